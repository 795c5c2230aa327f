"""Registers of data behind the ports that they drive."""

from typing import Any

from amaranth.hdl import Module, Signal

__all__ = ["drive"]


def drive(m: Module, port: Any, name: str) -> Any:
    """Return a register without a reset that drives `port`, of its shape.

    A port that is assigned directly would be reset with its component, and routing a reset to data
    is long and useless.

    Parameters
    ----------
    m : Module
        Of the component.
    port : Value
        Out member of the component, or field of one.
    name : str
        Of the register.
    """
    register: Any = Signal(port.shape(), name=name, reset_less=True)
    m.d.comb += port.eq(register)
    return register
