"""One lane of the output transform: takes the 36 sums of a patch, gives 16 exact sums."""

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
"""Words of a lane's turn. A patch takes 24; the words of the next one go behind them, in a ring."""

LANE_CONTROL = data.StructLayout({"column": 1, "row": 1, "addr": range(TURN_DEPTH)})
"""A lane's control: ``column`` and ``row`` are pulses, ``addr`` is the word read of the turn."""


class OutputLane(wiring.Component):
    """Folds the columns of a patch, turns them, folds the rows, and divides by nine.

    One word per cycle arrives: the vertical points of a column of lanes, column after column. The
    exact sums of a row leave in four successive cycles, and the rows follow each other every PATCH
    cycles; the first sum leaves LATENCY cycles after the patch's first word. The next patch may
    follow at once or at any later time.

    The turn is a ring that takes the words of columns in the order of their arrival. The next patch
    overwrites the word of column c and row r at least 22 + 5 c - 5 r cycles after its read.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    i : In, a word: the sum of one product lane, of sum_width bits
    control : In
        :data:`LANE_CONTROL`. ``column`` comes with the first word of each column, ``addr`` from
        READ cycles after a patch's first word on, and ``row`` one cycle after the first ``addr`` of
        each row.
    control_next : Out, ``control`` one cycle later, for the next lane
    o : Out, an exact sum, signed(acc_width)
    valid : Out, with each of the 16 sums
    """

    i: Signal
    control: Any
    control_next: Any
    o: Signal
    valid: Signal

    READ = (PATCH - 1) * (PATCH - 1) + Fold.LATENCY + 1
    """Cycles from a patch's first word to the first read of the turn; row 0 is there in time."""

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
