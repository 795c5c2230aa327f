"""The post-processing lanes: take sums with the columns' skew, give pooled words of channels."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from systolith_hw.interface.buffers import BufferWrite, buffer_shape
from systolith_hw.interface.core import DrainRead
from systolith_hw.interface.layouts import OUTPUT_LAYOUT, PARAM_LAYOUT
from systolith_hw.primitives.delay import delay
from systolith_hw.primitives.register import drive
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import Buffer
from systolith_hw.store.lookup import Lookup
from systolith_hw.store.requantize import Requantizer

__all__ = ["PostLanes", "drain_flags"]


def drain_flags(config: AcceleratorConfig) -> data.StructLayout:
    """Return the layout of the flags that travel with a read: its place in its window and word."""
    return data.StructLayout(
        {
            "valid": 1,
            "first": 1,  # of the window
            "last": 1,  # of the window
            "word_last": 1,  # of the word
            "group": range(max(2, config.block // config.post_lanes)),  # of lanes in the word
        }
    )


class PostLanes(wiring.Component):
    """Requantises ``post_lanes`` sums per cycle, keeps each window's maximum, joins lanes to words.

    With ``functions`` the requantised values may be looked up in a table before the maximum.

    The reads of a word come in successive cycles, group after group. Lane l works l cycles behind
    lane 0, as the columns do, and the int8 results are aligned. A word follows :meth:`latency`
    cycles after the flags of its last read.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    flags : In, :func:`drain_flags`, in the cycle of the core's ``drain.place``
    sum : In, sums, signed(acc_width), in lane l DrainRead.LATENCY + l cycles later
    param : In, :data:`PARAM_LAYOUT` for each lane, with its sum
    output : In, :data:`OUTPUT_LAYOUT`; must not change while results are in the pipeline
    word : Out, ``block`` bytes
    word_valid : Out, ``word`` is new; whoever takes words cannot delay them
    value : Out, only with ``winograd``
        An int8 result for each lane, aligned: :meth:`result_latency` cycles after the last lane's
        sum.
    table : In, only with ``functions``: the tables' write side
    use_table : In, only with ``functions``: values are looked up; constant as `output` is
    """

    flags: Any
    sum: Any
    param: Any
    output: Any
    word: Signal
    word_valid: Signal
    value: Any
    table: Any
    use_table: Signal

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        values = data.ArrayLayout(signed(8), config.post_lanes)
        super().__init__(
            {
                "flags": In(drain_flags(config)),
                "sum": In(data.ArrayLayout(signed(config.acc_width), config.post_lanes)),
                "param": In(data.ArrayLayout(PARAM_LAYOUT, config.post_lanes)),
                "output": In(OUTPUT_LAYOUT),
                "word": Out(config.block * 8),
                "word_valid": Out(1),
                **({"value": Out(values)} if config.winograd else {}),
                **(
                    {
                        "table": In(BufferWrite(buffer_shape(Buffer.TABLE, config))),
                        "use_table": In(1),
                    }
                    if config.functions
                    else {}
                ),
            }
        )

    @staticmethod
    def result_latency(config: AcceleratorConfig) -> int:
        """Cycles from a sum to its result, which is ready for pooling."""
        return Requantizer.LATENCY + (Lookup.LATENCY if config.functions else 0)

    @staticmethod
    def latency(config: AcceleratorConfig) -> int:
        """Return the cycles from the flags of a word's last read to the word."""
        aligned = DrainRead.LATENCY + PostLanes.result_latency(config) + config.post_lanes - 1
        return aligned + 2

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = self.config.post_lanes

        values = []
        for lane in range(lanes):
            m.submodules[f"requantizer_{lane}"] = requantizer = Requantizer(self.config)
            m.d.comb += [
                requantizer.sum.eq(self.sum[lane]),
                requantizer.param.eq(self.param[lane]),
                requantizer.output.eq(self.output),
            ]
            values.append(delay(m, requantizer.value, lanes - 1 - lane, f"aligned_{lane}"))
        if self.config.functions:
            m.submodules.lookup = lookup = Lookup(self.config)
            connect(m, flipped(self.table), lookup.write)
            m.d.comb += lookup.use.eq(self.use_table)
            m.d.comb += [lookup.i[lane].eq(value) for lane, value in enumerate(values)]
            values = [lookup.o[lane] for lane in range(lanes)]

        # The flags reach the aligned values, the maxima and the word; only `valid` is reset.
        latency = self.latency(self.config)
        pooling = delay(m, self.flags, latency - 2, "flags")
        before = delay(m, pooling, 1, "flags_of_maxima")
        flags = delay(m, before, 1, "flags_of_word")
        valid = delay(m, self.flags.valid, latency, "arrives", reset=True)

        groups = self.config.block // lanes
        word = drive(m, self.word, "word_out")
        for lane, value in enumerate(values):
            best = Signal(signed(8), name=f"best_{lane}", reset_less=True)
            m.d.sync += best.eq(Mux(pooling.first | (value > best), value, best))
            for group in range(groups):
                with m.If(before.group == group):
                    m.d.sync += word.word_select(group * lanes + lane, 8).eq(best)
        m.d.comb += self.word_valid.eq(valid & flags.last & flags.word_last)
        if self.config.winograd:
            m.d.comb += [self.value[lane].eq(value) for lane, value in enumerate(values)]
        return m
