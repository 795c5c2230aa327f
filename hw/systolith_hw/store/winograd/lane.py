"""One lane of the output transform: 36 sums of a patch in, 16 exact sums out."""

from typing import Any

from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.primitives.delay import delay
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.winograd import PATCH
from systolith_hw.store.winograd.fold import DROPPED_BITS, Fold
from systolith_hw.store.winograd.ninth import Ninth

__all__ = ["LANE_CONTROL", "TURN_DEPTH", "OutputLane"]

TURN_DEPTH = 32
"""Words of a lane's turn. A patch has 24; those of the next one go into the ring behind them."""

LANE_CONTROL = data.StructLayout({"column": 1, "row": 1, "addr": range(TURN_DEPTH)})
"""What a lane does: ``column`` and ``row`` are pulses, ``addr`` is the turn's word that is read."""


class OutputLane(wiring.Component):
    """Folds the columns of a patch, turns them, folds the rows, and divides by nine.

    A word per cycle: the vertical points of a column of lanes, column after column. The exact sums
    of a row come in four successive cycles, row after row every PATCH cycles; the first one LATENCY
    cycles after the patch's first word. The next patch may follow at once or at any later time.

    Words of columns go into a ring, the turn, in the order in which they come. The next patch
    overwrites the word of column c and row r at the earliest 22 + 5 c - 5 r cycles after its read.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    i : In, a lane's sum
    control : In
        :data:`LANE_CONTROL`. ``column`` comes with the first word of each column, ``addr`` from
        READ cycles after a patch's first word on, and ``row`` a cycle after the first ``addr`` of
        each row.
    control_next : Out, the same a cycle later, for the next lane
    o : Out, signed(acc_width)
    valid : Out, with each of the 16 sums
    """

    i: Signal
    control: Any
    control_next: Any
    o: Signal
    valid: Signal

    READ = (PATCH - 1) * (PATCH - 1) + Fold.LATENCY + 1
    """From a patch's first word to the first read of the turn: all of row 0 is written in time."""

    LATENCY = READ + 1 + Fold.LATENCY + Ninth.LATENCY

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        super().__init__(
            {
                "i": In(config.sum_width),
                "control": In(LANE_CONTROL),
                "control_next": Out(LANE_CONTROL),
                "o": Out(signed(config.acc_width)),
                "valid": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = self.config.sum_width - DROPPED_BITS
        m.submodules.columns = columns = Fold(self.config.sum_width)
        m.submodules.turn = turn = memory.Memory(
            shape=unsigned(width), depth=TURN_DEPTH, init=[], attrs={"ram_style": "distributed"}
        )
        m.submodules.rows = rows = Fold(width)
        m.submodules.ninth = ninth = Ninth(width - DROPPED_BITS)
        write: Any = turn.write_port()
        read = turn.read_port(domain="comb")
        control = self.control

        w_addr = Signal(range(TURN_DEPTH))
        with m.If(columns.valid):
            m.d.sync += w_addr.eq(w_addr + 1)
        turned = delay(m, read.data, 1, "turned")
        m.d.comb += [
            columns.i.eq(self.i),
            columns.first.eq(control.column),
            write.addr.eq(w_addr),
            write.data.eq(columns.o),
            write.en.eq(columns.valid),
            read.addr.eq(control.addr),
            rows.i.eq(turned),
            rows.first.eq(control.row),
            ninth.i.eq(rows.o),
            self.o.eq(ninth.o),
            self.valid.eq(delay(m, rows.valid, Ninth.LATENCY, "valid", reset=True)),
            self.control_next.column.eq(delay(m, control.column, 1, "column", reset=True)),
            self.control_next.row.eq(delay(m, control.row, 1, "row", reset=True)),
            self.control_next.addr.eq(delay(m, control.addr, 1, "addr")),
        ]
        return m
