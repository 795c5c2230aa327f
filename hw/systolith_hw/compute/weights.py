"""The weight loader: streams weight blocks from the weight buffer into the array."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.interface.gather import ACTIVE_LAYOUT
from systolith_hw.interface.layouts import instruction_layout
from systolith_hw.primitives.countdown import Countdown
from systolith_hw.primitives.delay import delay
from systolith_hw.primitives.register import drive
from systolith_hw.primitives.walk import Level, walk
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import Opcode

__all__ = ["WEIGHT_JOB", "WeightLoader", "weight_job_layout"]

WEIGHT_JOB = data.StructLayout({"weight_base": 24, "s_count": 8, "r_count": 8, "c_count": 16})
"""An instruction's s_count x r_count x c_count blocks, from word ``weight_base`` on."""


def weight_job_layout(config: AcceleratorConfig) -> data.StructLayout:
    """Return :data:`WEIGHT_JOB`, with ``gather`` in the configuration also the ring of units."""
    fields = instruction_layout(Opcode.CONV)
    ring = ("gather", "units") if config.gather else ()
    return data.StructLayout({**WEIGHT_JOB.members, **{name: fields[name].shape for name in ring}})


class WeightLoader(wiring.Component):
    """Reads weight blocks of ``rows`` words each, at most one block every ``rows`` cycles.

    The array holds a waiting block next to the one in use. A further block may enter from the cycle
    on in which the waiting block's pass announces itself with ``swap``, never earlier.

    A job with ``gather`` has as many units of s_count blocks as the last scan has made words, in a
    ring. The first block of a unit waits until the unit is complete.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    job : In, stream of :func:`weight_job_layout`
    swap : In
        The pass that uses the loaded block presents its first address in the next cycle.
    ready : Out
        A block is loaded, or its last word is being issued: a pass whose first address follows two
        cycles later or more finds the block in the array.
    addr : Out, word of the weight buffer
    capture : Out, in the cycle of a block's first address
    fault : Out, pulse: the address lies beyond the buffer's end
    words : In, only with ``gather``: the words that the last scan has made
    complete : In, only with ``gather``, pulse: a unit is complete
    free : Out, only with ``gather``, pulse: a unit has been read in all columns
    holds : Out, only with ``gather``: there are units that no job has taken
    """

    job: stream.Interface
    swap: Signal
    ready: Signal
    addr: Signal
    capture: Signal
    fault: Signal
    words: Signal
    complete: Signal
    free: Signal
    holds: Signal

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        super().__init__(
            {
                **(
                    {
                        "words": In(ACTIVE_LAYOUT["words"].shape),
                        "complete": In(1),
                        "free": Out(1),
                        "holds": Out(1),
                    }
                    if config.gather
                    else {}
                ),
                "job": In(stream.Signature(weight_job_layout(config))),
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
        job: Any = Signal(weight_job_layout(self.config), reset_less=True)
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
        count = self.job.p.c_count
        ring = _Ring(self, m, job, s, first_beat, last_beat) if self.config.gather else None
        if ring:
            issue &= ~(first_beat & ring.waits)
            count = Mux(self.job.p.gather, self.words, count)
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
        if ring:
            with m.If(ring.wraps):
                m.d.sync += next_addr.eq(job.weight_base)
        # The last word of a job may end its ring, too: the next job's address counts then.
        with m.If(~active | fills):
            with m.If(renews):
                m.d.sync += [
                    active.eq(self.job.valid),
                    job.eq(self.job.p),
                    *s.load(self.job.p.s_count),
                    *r.load(self.job.p.r_count),
                    *c.load(count),
                    next_addr.eq(self.job.p.weight_base),
                ]
            with m.Else():
                taps = [Level.counted(s, job.s_count), Level.counted(r, job.r_count)]
                walk(m, taps, end=c.advance())
        if ring:
            m.d.comb += [ring.issue.eq(issue), ring.begins.eq((~active | fills) & renews)]
        return m


class _Ring:
    """Where a job is in its ring of units, as part of the loader.

    Attributes
    ----------
    waits : Signal
        The next block is the first of a unit that is not complete.
    wraps : Value
        The address after this one is the first of the ring.
    issue, begins : Signal
        To be driven: an address is issued; the next job begins, if there is one.
    """

    def __init__(
        self, loader: WeightLoader, m: Module, job: Any, s: Countdown, first: Any, last: Any
    ) -> None:
        cols, new = loader.config.cols, loader.job.p
        self.issue, self.begins = Signal(name="ring_issue"), Signal(name="ring_begins")
        # Complete units that have not been begun.
        units = Signal(len(job.units) + 1)
        none = Signal(init=1)
        at_unit = Signal(reset_less=True)
        unit = Countdown(len(job.units) + 1, "unit")
        self.waits = Signal(name="ring_waits")
        takes = self.issue & first & at_unit & job.gather
        after = units + loader.complete - takes
        # As `last_block`: the counters move with the last word of a block.
        ends = Signal(reset_less=True)
        unit_ends = self.issue & last & ends
        self.wraps = unit_ends & unit.last
        m.d.comb += [
            self.waits.eq(job.gather & at_unit & none),
            # With the unit that comes now: the LOAD that it ends may be the last of a program.
            loader.holds.eq(~none | loader.complete),
        ]
        m.d.sync += [
            units.eq(after),
            none.eq(after[: len(units)] == 0),
            ends.eq(job.gather & s.last),
        ]
        with m.If(self.issue & last):
            m.d.sync += at_unit.eq(ends)
        with m.If(unit_ends):
            m.d.sync += unit.advance()
            with m.If(unit.last):
                m.d.sync += unit.load(job.units)
        with m.If(self.begins):
            m.d.sync += [at_unit.eq(1), *unit.load(new.units)]
        m.d.comb += loader.free.eq(delay(m, unit_ends, cols, "free", reset=True))
