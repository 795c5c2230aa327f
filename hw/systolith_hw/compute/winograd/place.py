"""The place within a patch: two counters of six, one inside the other."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.spec.winograd import PATCH

__all__ = ["PatchPlace"]


class PatchPlace(wiring.Component):
    """Counts through the 36 places of a patch, from the cycle after ``begin`` on.

    Members
    -------
    begin : In, pulse, at least 36 cycles after the one before
    valid : Out, ``inner`` and ``outer`` are a place
    inner, outer : Out, 0 to 5 each; ``inner`` advances every cycle, ``outer`` every six cycles
    """

    begin: Signal
    valid: Signal
    inner: Signal
    outer: Signal

    def __init__(self) -> None:
        super().__init__(
            {
                "begin": In(1),
                "valid": Out(1),
                "inner": Out(range(PATCH)),
                "outer": Out(range(PATCH)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        with m.If(self.begin):
            m.d.sync += [self.valid.eq(1), self.inner.eq(0), self.outer.eq(0)]
        with m.Elif(self.inner != PATCH - 1):
            m.d.sync += self.inner.eq(self.inner + 1)
        with m.Else():
            m.d.sync += [self.inner.eq(0), self.outer.eq(self.outer + 1)]
            with m.If(self.outer == PATCH - 1):
                m.d.sync += [self.outer.eq(0), self.valid.eq(0)]
        return m
