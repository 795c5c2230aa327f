"""The output transform: a chain of lanes, and the sequence that they follow."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.primitives.delay import delay
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.winograd import OUTPUTS, PATCH
from systolith_hw.store.winograd.lane import LANE_CONTROL, TURN_DEPTH, OutputLane

__all__ = ["OutputTransform"]


class OutputTransform(wiring.Component):
    """Transforms the 36 sums of patches to 4x4 exact sums, each lane a cycle behind the one before.

    The control travels from lane to lane. Each lane gives the exact sum of row r and column c
    ``OutputLane.LATENCY + PATCH * r + c`` cycles after its first word of the patch.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    start : In, pulse, LEAD cycles before a patch's first word in lane 0; at least 36 cycles apart
    i : In, a word of sum_width bits for each lane, skewed
    o : Out, an exact sum for each lane, signed(acc_width), skewed
    valid : Out, a bit for each lane, with each of the 16 sums
    """

    start: Signal
    i: Any
    o: Any
    valid: Signal

    LEAD = 2

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        lanes = config.post_lanes
        super().__init__(
            {
                "start": In(1),
                "i": In(data.ArrayLayout(config.sum_width, lanes)),
                "o": Out(data.ArrayLayout(signed(config.acc_width), lanes)),
                "valid": Out(lanes),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        control: Any = Signal(LANE_CONTROL)
        self._build_sequence(m, control)
        for index in range(self.config.post_lanes):
            m.submodules[f"lane_{index}"] = lane = OutputLane(self.config)
            m.d.comb += [
                lane.i.eq(self.i[index]),
                lane.control.eq(control),
                self.o[index].eq(lane.o),
                self.valid[index].eq(lane.valid),
            ]
            control = lane.control_next
        return m

    def _build_sequence(self, m: Module, control: Any) -> None:
        """Drive lane 0's control: a patch's columns, and its rows OutputLane.READ cycles later."""
        word, column = Signal(range(PATCH)), Signal(range(PATCH))
        read, row = Signal(range(PATCH)), Signal(range(OUTPUTS))
        writing, reading = Signal(), Signal()
        addr = Signal(range(TURN_DEPTH))
        word_last, read_last = word == PATCH - 1, read == PATCH - 1

        with m.If(self.start):
            m.d.sync += [writing.eq(1), word.eq(0), column.eq(0)]
        with m.Elif(writing):
            m.d.sync += word.eq(Mux(word_last, 0, word + 1))
            with m.If(word_last):
                m.d.sync += [column.eq(column + 1), writing.eq(column != PATCH - 1)]

        before = OutputLane.READ - 1  # the number of the word whose cycle decides the first read
        with m.If(writing & (column == before // PATCH) & (word == before % PATCH)):
            m.d.sync += [reading.eq(1), read.eq(0), row.eq(0)]
        with m.Elif(reading):
            m.d.sync += read.eq(Mux(read_last, 0, read + 1))
            with m.If(read_last):
                m.d.sync += [row.eq(row + 1), reading.eq(row != OUTPUTS - 1)]
        with m.If(reading):
            # To the same row of the next column; to the next row; to the next patch.
            back = (PATCH - 1) * OUTPUTS - 1
            m.d.sync += addr.eq(
                Mux(~read_last, addr + OUTPUTS, Mux(row == OUTPUTS - 1, addr + 1, addr - back))
            )

        head_column, head_row = Signal(), Signal()
        m.d.sync += [
            head_column.eq(writing & (word == 0)),
            head_row.eq(delay(m, reading & (read == 0), 1, "row_begins", reset=True)),
        ]
        m.d.comb += [
            control.column.eq(head_column),
            control.row.eq(head_row),
            control.addr.eq(delay(m, addr, 1, "head_addr")),
        ]
