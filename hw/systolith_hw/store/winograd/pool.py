"""The places of a patch's values, and the maxima of their 2x2 windows."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.primitives.delay import delay
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.winograd import OUTPUTS

__all__ = ["PLACE_LAYOUT", "PatchPool"]

PLACE_LAYOUT = data.StructLayout({"column": range(OUTPUTS), "row": range(OUTPUTS)})
"""A value's place in its patch, or in the 2x2 maxima of its patch."""


class PatchPool(wiring.Component):
    """Passes on the 4x4 values of patches, or the maxima of their 2x2 windows.

    Values arrive row by row, the four of a row in successive cycles, and leave LATENCY cycles
    later. With ``pool`` only the maximum of each window leaves, in the place of its last value.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    pool : In, gives maxima; must not change while values arrive
    i : In, an int8 value for each lane, aligned
    i_valid : In
    o : Out, a value or maximum for each lane
    o_valid : Out
    place : Out, :data:`PLACE_LAYOUT` of ``o``
    patch_last : Out, pulse with the last value of a patch
    """

    pool: Signal
    i: Any
    i_valid: Signal
    o: Any
    o_valid: Signal
    place: Any
    patch_last: Signal

    LATENCY = 2

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        values = data.ArrayLayout(signed(8), config.post_lanes)
        super().__init__(
            {
                "pool": In(1),
                "i": In(values),
                "i_valid": In(1),
                "o": Out(values),
                "o_valid": Out(1),
                "place": Out(PLACE_LAYOUT),
                "patch_last": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        index: Any = Signal(PLACE_LAYOUT)
        with m.If(self.i_valid):
            m.d.sync += index.as_value().eq(index.as_value() + 1)
        # `of_pair` arrives with the maxima of two neighbours, `of_window` with those of 2x2.
        of_pair = delay(m, index, 1, "index_of_pair")
        pair_valid = delay(m, self.i_valid, 1, "pair_valid", reset=True)
        of_window = delay(m, of_pair, 1, "index_of_window")
        pair_ends = pair_valid & of_pair.column[0]
        is_last = of_pair.as_value().all()

        for lane in range(self.config.post_lanes):
            value = self.i[lane]
            before = delay(m, value, 1, f"before_{lane}")
            pair = Signal(signed(8), name=f"pair_{lane}", reset_less=True)
            # The maxima of the row above, in the order of their columns.
            other = Signal(signed(8), name=f"other_{lane}", reset_less=True)
            above = Signal(signed(8), name=f"above_{lane}", reset_less=True)
            window = Signal(signed(8), name=f"window_{lane}", reset_less=True)
            m.d.sync += [
                pair.eq(Mux(self.pool & (before > value), before, value)),
                window.eq(Mux(self.pool & (above > pair), above, pair)),
            ]
            with m.If(pair_ends):
                m.d.sync += [other.eq(pair), above.eq(other)]
            m.d.comb += self.o[lane].eq(window)

        o_valid, patch_last = Signal(), Signal()
        m.d.sync += [
            o_valid.eq(pair_valid & (~self.pool | (of_pair.column[0] & of_pair.row[0]))),
            patch_last.eq(pair_valid & is_last),
        ]
        m.d.comb += [
            self.o_valid.eq(o_valid),
            self.patch_last.eq(patch_last),
            self.place.column.eq(Mux(self.pool, of_window.column >> 1, of_window.column)),
            self.place.row.eq(Mux(self.pool, of_window.row >> 1, of_window.row)),
        ]
        return m
