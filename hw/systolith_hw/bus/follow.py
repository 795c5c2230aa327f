"""The beats that the bursts of one reader still owe, checked against the rules of AXI4."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.stream.queue import Queue

__all__ = ["BurstFollower"]


class BurstFollower(wiring.Component):
    """Counts beats against the lengths of the requested bursts.

    A burst counts for beats that come in the next cycle or later.

    Parameters
    ----------
    bursts : int
        Limit on outstanding bursts.

    Members
    -------
    burst : In, stream of lengths: beats minus one of a requested burst
    beat, last : In, pulse: a beat came; its RLAST
    broken : Out, pulse two cycles later
        No burst requested this beat, or its RLAST is wrong.
    """

    burst: stream.Interface
    beat: Signal
    last: Signal
    broken: Signal

    def __init__(self, bursts: int) -> None:
        self.bursts = bursts
        super().__init__(
            {
                "burst": In(stream.Signature(8)),
                "beat": In(1),
                "last": In(1),
                "broken": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.lengths = lengths = Queue(8, self.bursts)
        wiring.connect(m, wiring.flipped(self.burst), lengths.i)
        # One cycle for the route from the port.
        beat = Signal()
        last = Signal(reset_less=True)
        came = Signal(8)
        ends = came == lengths.o.p
        m.d.sync += [
            beat.eq(self.beat),
            last.eq(self.last),
            self.broken.eq(beat & (~lengths.o.valid | (last != ends))),
        ]
        m.d.comb += lengths.o.ready.eq(beat & ends)
        with m.If(beat):
            m.d.sync += came.eq(Mux(ends, 0, came + 1))
        return m
