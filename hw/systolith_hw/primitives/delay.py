"""Registers in a row: the value of some cycles ago."""

from typing import Any

from amaranth.hdl import Module, Signal

__all__ = ["delay"]


def delay(m: Module, value: Any, cycles: int, name: str, *, reset: bool = False) -> Any:
    """Return the `value` of `cycles` cycles ago, in its shape.

    Parameters
    ----------
    m : Module
        Of the component.
    value : Value
        Also a layout's view.
    cycles : int
        0 or more; 0 returns `value` itself.
    name : str
        Of the registers, which are numbered from 0.
    reset : bool
        Whether the registers are reset to zero: only control needs that.
    """
    if cycles < 0:
        raise ValueError(f"Cycles of a delay must be 0 or more, not {cycles}")
    for stage in range(cycles):
        later: Any = Signal(value.shape(), name=f"{name}_{stage}", reset_less=not reset)
        m.d.sync += later.eq(value)
        value = later
    return value
