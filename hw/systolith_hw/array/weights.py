"""The weight loader: streams weight blocks from the weight buffer into the array's shadows."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["WEIGHT_JOB", "WeightLoader"]

WEIGHT_JOB = data.StructLayout({"weight_base": 24, "s_count": 8, "r_count": 8, "c_count": 16})
"""The blocks of an instruction: s_count x r_count x c_count of them from ``weight_base`` on."""


class WeightLoader(wiring.Component):
    """Reads ``rows`` weight words a block; a block every ``rows`` cycles where the array allows.

    A block may enter the array in the cycle in which the pass that uses the block before it begins
    (``swap``, which comes a cycle ahead of the pass's first address), never earlier.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    job : In, stream of :data:`WEIGHT_JOB`
    swap : In
        The pass that uses the loaded block presents its first address in the next cycle.
    ready : Out
        A block is loaded, or its last word is being decided on: a pass whose first address is
        presented two cycles later or more finds it in the shadows.
    addr : Out, of the weight buffer
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
        s, r, c = (
            Signal(width, reset_less=True, name=f"{n}_left")
            for n, width in (("s", 8), ("r", 8), ("c", 16))
        )
        next_addr = Signal(24, reset_less=True)
        beat = Signal(range(rows))
        full = Signal()

        first_beat = beat == 0
        last_beat = beat == rows - 1
        issue = active & (~first_beat | ~full | self.swap)
        last_block = (s == 0) & (r == 0) & (c == 0)
        finish = issue & last_beat & last_block
        issued = Signal()
        m.d.comb += [
            self.ready.eq(full | last_beat),
            self.job.ready.eq(~active | finish),
            self.fault.eq(issued & (self.addr >= self.config.weight_depth)),
        ]
        m.d.sync += [issued.eq(issue), self.capture.eq(issue & first_beat)]
        with m.If(issue):
            m.d.sync += [
                self.addr.eq(next_addr),
                next_addr.eq(next_addr + 1),
                beat.eq(Mux(last_beat, 0, beat + 1)),
            ]
        with m.If(issue & last_beat):
            m.d.sync += full.eq(1)
            with m.If(s != 0):
                m.d.sync += s.eq(s - 1)
            with m.Else():
                m.d.sync += s.eq(job.s_count - 1)
                with m.If(r != 0):
                    m.d.sync += r.eq(r - 1)
                with m.Else():
                    m.d.sync += [r.eq(job.r_count - 1), c.eq(c - 1)]
        with m.Elif(self.swap):
            m.d.sync += full.eq(0)
        with m.If(finish):
            m.d.sync += active.eq(0)
        with m.If(self.job.valid & self.job.ready):
            m.d.sync += [
                active.eq(1),
                job.eq(self.job.p),
                s.eq(self.job.p.s_count - 1),
                r.eq(self.job.p.r_count - 1),
                c.eq(self.job.p.c_count - 1),
                next_addr.eq(self.job.p.weight_base),
            ]
        return m
