"""The reader of raw weights: the nine taps of each row of each block, row by row."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.primitives.countdown import Countdown
from systolith_hw.primitives.register import drive
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.winograd import KERNEL, LANES

__all__ = ["TAP_JOB", "TapReader"]

_TAPS = KERNEL * KERNEL

TAP_JOB = data.StructLayout({"weight_base": 24, "c_count": 16})
"""An instruction's weights: c_count chunks of 9 x rows words, from word ``weight_base`` on."""


class TapReader(wiring.Component):
    """Reads the kernels of the array's rows in turn: nine words of the weight buffer for each row.

    Rows follow each other every 36 cycles. Tap t of row i of chunk c is word
    ``weight_base + (c * 9 + t) * rows + i``. A chunk begins when the ring has a free half.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    job : In, stream of :data:`TAP_JOB`
    free : In, see Ring
    take : Out, see Ring
    addr : Out, word of the weight buffer
    begin : Out, in the cycle of the first of a row's nine addresses
    last : Out, with ``begin``: the row is the last of its chunk
    fault : Out, pulse: the address lies beyond the buffer's end
    """

    job: stream.Interface
    free: Signal
    take: Signal
    addr: Signal
    begin: Signal
    last: Signal
    fault: Signal

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        super().__init__(
            {
                "job": In(stream.Signature(TAP_JOB)),
                "free": In(1),
                "take": Out(1),
                "addr": Out(24),
                "begin": Out(1),
                "last": Out(1),
                "fault": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rows = self.config.rows
        active = Signal()
        row = Countdown(rows.bit_length(), "row")
        chunk = Countdown(16, "chunk")
        chunk_start = Signal()
        # Addresses of the first taps of the next row, and of the chunk after its own.
        row_addr = Signal(24, reset_less=True)
        next_chunk = Signal(24, reset_less=True)
        # Cycles since the kernels of the row before began; at 0 the next row may begin.
        age = Signal(range(LANES))
        starts = active & (age == 0) & (~chunk_start | self.free)
        reads = starts | ((age != 0) & (age < _TAPS))
        issued = Signal()
        addr = drive(m, self.addr, "addr_out")
        last = drive(m, self.last, "last_out")
        m.d.comb += [
            self.job.ready.eq(~active),
            self.take.eq(starts & chunk_start),
            self.fault.eq(issued & (addr >= self.config.weight_depth)),
        ]
        m.d.sync += [
            self.begin.eq(starts),
            last.eq(row.last),
            issued.eq(reads),
            addr.eq(Mux(starts, row_addr, addr + rows)),
        ]
        with m.If(starts | (age != 0)):
            m.d.sync += age.eq(Mux(age == LANES - 1, 0, age + 1))
        with m.If(starts):
            m.d.sync += chunk_start.eq(row.last)
            with m.If(row.last):
                m.d.sync += [
                    *row.load(rows),
                    *chunk.advance(),
                    row_addr.eq(next_chunk),
                    next_chunk.eq(next_chunk + _TAPS * rows),
                    active.eq(~chunk.last),
                ]
            with m.Else():
                m.d.sync += [*row.advance(), row_addr.eq(row_addr + 1)]
        with m.If(self.job.valid & self.job.ready):
            m.d.sync += [
                active.eq(1),
                chunk_start.eq(1),
                *row.load(rows),
                *chunk.load(self.job.p.c_count),
                row_addr.eq(self.job.p.weight_base),
                next_chunk.eq(self.job.p.weight_base + _TAPS * rows),
            ]
        return m
