"""A frame around a component that brings all its ports to two pins, to measure it alone."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Harness"]

_FAN_IN = 4


class Harness(wiring.Component):
    """Registers drive and take every port, so that only the component's own paths are timed.

    Inputs come from a shift register, outputs go through a tree of parities: nothing can be
    optimised away. It computes nothing useful.

    Parameters
    ----------
    component : wiring.Component

    Members
    -------
    i, o : the pins
    """

    i: Signal
    o: Signal

    def __init__(self, component: wiring.Component) -> None:
        self.component = component
        super().__init__({"i": In(1), "o": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut: Any = self.component
        m.submodules.dut = dut
        inputs: list[Any] = []
        outputs: list[Any] = []
        for _, member, value in dut.signature.flatten(dut):
            (inputs if member.flow is In else outputs).append(Value.cast(value))
        drive = Signal(sum(map(len, inputs)), name="harness_drive", reset_less=True)
        level = Signal(sum(map(len, outputs)), name="harness_take", reset_less=True)
        m.d.sync += [drive.eq(Cat(self.i, drive)), level.eq(Cat(outputs))]
        m.d.comb += Cat(inputs).eq(drive)
        while len(level) > 1:
            parts = range(0, len(level), _FAN_IN)
            parity = Signal(len(parts), name=f"harness_parity_{len(parts)}", reset_less=True)
            m.d.sync += parity.eq(Cat(level[k : k + _FAN_IN].xor() for k in parts))
            level = parity
        m.d.comb += self.o.eq(level)
        return m
