"""The path from the sums of Winograd's lanes by the requantisers to words in raster order."""

from typing import Any

from amaranth.hdl import Module, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect

from systolith_hw.interface.core import DrainRead
from systolith_hw.primitives.delay import delay
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.winograd import LANES, OUTPUTS, PATCH
from systolith_hw.store.lanes import PostLanes
from systolith_hw.store.winograd.lane import OutputLane
from systolith_hw.store.winograd.output import OutputTransform
from systolith_hw.store.winograd.pool import PatchPool
from systolith_hw.store.winograd.staging import Staging
from systolith_hw.store.winograd.strips import STRIP_FIELDS, Strips

__all__ = ["PatchPath"]


class PatchPath(wiring.Component):
    """Turns the 36 sums of each patch into exact sums, and their requantised results into words.

    The requantisers are between these two halves. The inputs that describe the read of a sum arrive
    one cycle before the core gets its ``place``. The drain reads the 36 sums of a patch without a
    pause, for one group of lanes after the other.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    store : In, the fields :data:`STRIP_FIELDS` of the STORE; constant while it is drained
    between : In, no STORE is being drained
    group_first : In, pulse, once for each group of lanes: the first sum of a patch is read
    patch_first, patch_last : In, pulse: the first or last of all sums of a patch is read
    across_last, down_last, store_last : In, with ``patch_last``, see :class:`Strips`
    may_begin : Out, the next patch may begin
    sum : In, the core's sums, signed(sum_width) for each lane
    exact : Out, an exact sum for each lane, signed(acc_width)
    exact_valid : Out, a bit for each lane
    value : In, int8 results, aligned: PostLanes.result_latency after the last lane's ``exact``
    room : In, a word may be read from the staging memory
    reading : Out, a word is read
    word, word_valid, word_last : Out, see :class:`Staging`; Staging.LATENCY cycles later
    empty : Out, no strip and no word is held
    """

    store: Any
    between: Any
    group_first: Any
    patch_first: Any
    patch_last: Any
    across_last: Any
    down_last: Any
    store_last: Any
    may_begin: Any
    sum: Any
    exact: Any
    exact_valid: Any
    value: Any
    room: Any
    reading: Any
    word: Any
    word_valid: Any
    word_last: Any
    empty: Any

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        lanes = config.post_lanes
        super().__init__(
            {
                "store": In(STRIP_FIELDS),
                "between": In(1),
                "group_first": In(1),
                "patch_first": In(1),
                "patch_last": In(1),
                "across_last": In(1),
                "down_last": In(1),
                "store_last": In(1),
                "may_begin": Out(1),
                "sum": In(data.ArrayLayout(signed(config.sum_width), lanes)),
                "exact": Out(data.ArrayLayout(signed(config.acc_width), lanes)),
                "exact_valid": Out(lanes),
                "value": In(data.ArrayLayout(signed(8), lanes)),
                "room": In(1),
                "reading": Out(1),
                "word": Out(config.block * 8),
                "word_valid": Out(1),
                "word_last": Out(1),
                "empty": Out(1),
            }
        )

    @staticmethod
    def latency(config: AcceleratorConfig) -> int:
        """Return the cycles from the read of a strip's last sum to the first read of its words."""
        last_exact = OutputLane.LATENCY + PATCH * (OUTPUTS - 1) + OUTPUTS - LANES
        aligned = last_exact + config.post_lanes - 1 + PostLanes.result_latency(config)
        return 1 + DrainRead.LATENCY + aligned + PatchPool.LATENCY + Staging.DELAY

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.strips = strips = Strips()
        m.submodules.transform = transform = OutputTransform(self.config)
        m.submodules.pool = pool = PatchPool(self.config)
        m.submodules.staging = staging = Staging(self.config)
        connect(m, strips.strip, staging.strip)

        ahead = 1 + DrainRead.LATENCY - OutputTransform.LEAD
        latency = PostLanes.result_latency(self.config)
        valid = delay(m, transform.valid[-1], latency, "value_valid", reset=True)
        m.d.comb += [
            transform.start.eq(delay(m, self.group_first, ahead, "start", reset=True)),
            transform.i.eq(self.sum),
            self.exact.eq(transform.o),
            self.exact_valid.eq(transform.valid),
            pool.pool.eq(self.store.pool),
            pool.i.eq(self.value),
            pool.i_valid.eq(valid),
            staging.pool.eq(self.store.pool),
            staging.across.eq(self.store.x_count),
            staging.i.eq(pool.o),
            staging.i_valid.eq(pool.o_valid),
            staging.place.eq(pool.place),
            staging.patch_last.eq(pool.patch_last),
        ]
        names = ("between", "patch_first", "patch_last", "across_last", "down_last", "store_last")
        m.d.comb += [getattr(strips, name).eq(getattr(self, name)) for name in names]
        m.d.comb += [
            strips.store.eq(self.store),
            strips.freed.eq(staging.freed),
            self.may_begin.eq(strips.may_begin),
            staging.room.eq(self.room),
        ]
        names = ("reading", "word", "word_valid", "word_last", "empty")
        m.d.comb += [getattr(self, name).eq(getattr(staging, name)) for name in names]
        return m
