"""Writing weights to their buffer, gathered ones row by row of a unit."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.interface.buffers import WordSink, buffer_shape
from systolith_hw.interface.layouts import instruction_layout
from systolith_hw.primitives.countdown import Countdown
from systolith_hw.primitives.register import drive
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import Buffer, Opcode

__all__ = ["RING_FIELDS", "UnitWriter"]

RING_FIELDS = data.StructLayout(
    {name: instruction_layout(Opcode.LOAD)[name].shape for name in ("gather", "units")}
)
"""The fields of a LOAD that say how gathered weights stand in the buffer."""


class UnitWriter(wiring.Component):
    """Writes one word per cycle to successive places, or those of gathered runs where they belong.

    The words of a gathered run are ``rows`` places apart. The next run begins one place further;
    behind ``rows`` runs the next unit follows, and behind the ring's last unit its first one.

    See WordSink for the members; a write comes one cycle after its decision.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    ring : In, :data:`RING_FIELDS`, with ``job``
    run_last : In, the next word is the last of its run
    complete : Out, pulse: a unit's last word is written
    """

    job: stream.Interface
    word: stream.Interface
    last: Signal
    write: Any
    taken: Signal
    busy: Signal
    finish: Signal
    fault: Signal
    fault_addr: Signal
    ring: Any
    run_last: Signal
    complete: Signal

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        super().__init__(
            {
                **WordSink(Buffer.WEIGHT, config.cols, config).members,
                "ring": In(RING_FIELDS),
                "run_last": In(1),
                "complete": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rows = self.config.rows
        depth = buffer_shape(Buffer.WEIGHT, self.config).depth
        # `takes` is a copy of `active` for the source of words: a single register would have to
        # drive two places that are far apart.
        active = Signal()
        takes = Signal(reset_less=True)
        gathers = Signal(reset_less=True)
        place = Signal.like(self.job.p.dest, reset_less=True)
        start = Signal.like(place, reset_less=True)  # of the run
        base = Signal.like(place, reset_less=True)  # of the ring
        units = Signal.like(self.ring.units, reset_less=True)
        row = Countdown(rows.bit_length(), "row")
        unit = Countdown(len(units) + 1, "unit")
        step = active & self.word.valid
        m.d.comb += [
            self.job.ready.eq(~active),
            self.word.ready.eq(takes),
            self.taken.eq(step),
            self.busy.eq(step),
            self.finish.eq(step & self.last),
            self.fault.eq(step & (place >= depth)),
            self.fault_addr.eq(place),
        ]
        run_ends = gathers & self.run_last
        unit_ends = run_ends & row.last
        following = Mux(run_ends & ~row.last, start + 1, place + Mux(gathers & ~run_ends, rows, 1))
        next_place = Mux(unit_ends & unit.last, base, following)
        with m.If(step):
            m.d.sync += place.eq(next_place)
            with m.If(run_ends):
                m.d.sync += [start.eq(next_place), *row.advance()]
            with m.If(unit_ends):
                m.d.sync += [*row.load(rows), *unit.advance()]
                with m.If(unit.last):
                    m.d.sync += unit.load(units)
        with m.If(self.finish):
            m.d.sync += [active.eq(0), takes.eq(0)]
        # Nothing reads these registers before `active`, so they load the payload, valid or not.
        with m.If(~active):
            m.d.sync += [
                active.eq(self.job.valid),
                takes.eq(self.job.valid),
                gathers.eq(self.ring.gather),
                place.eq(self.job.p.dest),
                start.eq(self.job.p.dest),
                base.eq(self.job.p.dest),
                units.eq(self.ring.units),
                *row.load(rows),
                *unit.load(self.ring.units),
            ]
        addr = drive(m, self.write.addr, "write_addr_out")
        value = drive(m, self.write.data, "write_data_out")
        m.d.sync += [
            addr.eq(place),
            value.as_value().eq(self.word.p),
            self.write.en.eq(step),
            self.complete.eq(step & (unit_ends | (gathers & self.last))),
        ]
        return m
