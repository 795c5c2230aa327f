"""The weight loader: streams weight blocks from the weight buffer into the array."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.primitives.countdown import Countdown
from systolith_hw.primitives.register import drive
from systolith_hw.primitives.walk import Level, walk
from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["WEIGHT_JOB", "WeightLoader"]

WEIGHT_JOB = data.StructLayout({"weight_base": 24, "s_count": 8, "r_count": 8, "c_count": 16})
"""An instruction's s_count x r_count x c_count blocks, from word ``weight_base`` on."""


class WeightLoader(wiring.Component):
    """Reads weight blocks of ``rows`` words each, at most one block every ``rows`` cycles.

    The array holds a waiting block next to the one in use. A further block may enter from the cycle
    on in which the waiting block's pass announces itself with ``swap``, never earlier.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    job : In, stream of :data:`WEIGHT_JOB`
    swap : In
        The pass that uses the loaded block presents its first address in the next cycle.
    ready : Out
        A block is loaded, or its last word is being issued: a pass whose first address follows two
        cycles later or more finds the block in the array.
    addr : Out, word of the weight buffer
    capture : Out, in the cycle of a block's first address
    fault : Out, pulse: the address lies beyond the buffer's end
    """

    job: stream.Interface
    swap: Signal
    ready: Signal
    addr: Signal
    capture: Signal
    fault: Signal

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        super().__init__(
            {
                "job": In(stream.Signature(WEIGHT_JOB)),
                "swap": In(1),
                "ready": Out(1),
                "addr": Out(24),
                "capture": Out(1),
                "fault": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rows = self.config.rows
        active = Signal()
        job = Signal(WEIGHT_JOB, reset_less=True)
        s, r, c = (Countdown(width, name) for name, width in (("s", 8), ("r", 8), ("c", 16)))
        next_addr = Signal(24, reset_less=True)
        # Rows of the block after the current one.
        beat = Signal(range(rows), init=rows - 1)
        first_beat = Signal(init=1)
        last_beat = Signal()
        full = Signal()

        # A register that is always equal to `first_beat & full`: the next block waits for a swap.
        held = Signal()
        issue = active & (~held | self.swap)
        # One cycle late: a block has at least two rows, and the counters move with its last one.
        last_block = Signal(reset_less=True)
        m.d.sync += last_block.eq(s.last & r.last & c.last)
        finish = issue & last_beat & last_block
        issued = Signal()
        # Registers that are unused until `active` take the payload without regard to `valid`.
        renews = ~active | last_block
        m.d.comb += [
            self.job.ready.eq(~active | finish),
            self.fault.eq(issued & (self.addr >= self.config.weight_depth)),
        ]
        addr = drive(m, self.addr, "addr_out")
        m.d.sync += [issued.eq(issue), self.capture.eq(issue & first_beat)]
        with m.If(issue):
            m.d.sync += [
                addr.eq(next_addr),
                next_addr.eq(next_addr + 1),
                beat.eq(Mux(last_beat, rows - 1, beat - 1)),
                first_beat.eq(last_beat),
                last_beat.eq(beat == 1),
            ]
        # A register that is always equal to `full | last_beat`.
        fills = issue & last_beat
        still_full = fills | (full & ~self.swap)
        m.d.sync += [
            self.ready.eq(still_full | Mux(issue, beat == 1, last_beat)),
            held.eq(still_full & Mux(issue, last_beat, first_beat)),
        ]
        with m.If(fills):
            m.d.sync += full.eq(1)
        with m.Elif(self.swap):
            m.d.sync += full.eq(0)
        with m.If(~active | fills):
            with m.If(renews):
                m.d.sync += [
                    active.eq(self.job.valid),
                    job.eq(self.job.p),
                    *s.load(self.job.p.s_count),
                    *r.load(self.job.p.r_count),
                    *c.load(self.job.p.c_count),
                    next_addr.eq(self.job.p.weight_base),
                ]
            with m.Else():
                taps = [Level.counted(s, job.s_count), Level.counted(r, job.r_count)]
                walk(m, taps, end=c.advance())
        return m
