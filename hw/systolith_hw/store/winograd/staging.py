"""The staging memory: takes strips patch by patch, and gives their words in raster order."""

from typing import Any

from amaranth.hdl import Cat, MemoryData, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.primitives.countdown import Countdown
from systolith_hw.primitives.delay import delay
from systolith_hw.primitives.memory import RegisteredMemory
from systolith_hw.primitives.walk import Level, walk
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.timing import STRIPS
from systolith_hw.spec.winograd import OUTPUTS, STRIP_PATCHES
from systolith_hw.store.winograd.pool import PLACE_LAYOUT
from systolith_hw.stream.queue import Queue

__all__ = ["HALVES", "STRIP_LAYOUT", "Staging"]

HALVES = STRIPS
"""Halves of the memory: one is filled while the other is read."""

STRIP_LAYOUT = data.StructLayout(
    {"pixels": range(STRIP_PATCHES * OUTPUTS + 1), "rows": range(OUTPUTS + 1), "last": 1}
)
"""The words of a strip: pixels of a row, rows, and whether it is the last of its STORE."""

_PLACE = data.StructLayout(
    {"pixel": range(STRIP_PATCHES * OUTPUTS), "row": range(OUTPUTS), "half": range(HALVES)}
)


class Staging(wiring.Component):
    """Puts the words of strips in order. A strip is a row of up to STRIP_PATCHES patches.

    The patches of a strip arrive one after the other, each once for every group of lanes. When the
    last one is complete, the memory reads the strip's words row by row, and drops those beyond its
    pixels and rows. It reads one per cycle while there is ``room``, the first one DELAY cycles
    after the strip's last value. A word leaves LATENCY cycles after its read.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    pool : In, patches have 2x2 values instead of 4x4; must not change while values arrive
    across : In, patches of a strip, 1 to STRIP_PATCHES; must not change while values arrive
    i : In, int8 values of a group of lanes
    i_valid : In
    place : In, :data:`PLACE_LAYOUT`
    patch_last : In, pulse with the last value of a patch of a group
    strip : In, stream of :data:`STRIP_LAYOUT`
        A strip must arrive before its last value. The stream is always ready if at most HALVES
        strips have begun of which not all words have been read.
    room : In, a word may be read
    reading : Out, a word is read
    freed : Out, pulse: the last word of a strip is read
    word : Out, `block` bytes
    word_valid : Out
    word_last : Out, it is the last of its STORE
    empty : Out, no strip and no word is held
    """

    pool: Signal
    across: Signal
    i: Any
    i_valid: Signal
    place: Any
    patch_last: Signal
    strip: stream.Interface
    room: Signal
    reading: Signal
    freed: Signal
    word: Signal
    word_valid: Signal
    word_last: Signal
    empty: Signal

    DELAY = 2
    """Cycles from a strip's last value to the first read of its words."""

    LATENCY = RegisteredMemory.LATENCY

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        super().__init__(
            {
                "pool": In(1),
                "across": In(range(STRIP_PATCHES + 1)),
                "i": In(data.ArrayLayout(signed(8), config.post_lanes)),
                "i_valid": In(1),
                "place": In(PLACE_LAYOUT),
                "patch_last": In(1),
                "strip": In(stream.Signature(STRIP_LAYOUT)),
                "room": In(1),
                "reading": Out(1),
                "freed": Out(1),
                "word": Out(config.block * 8),
                "word_valid": Out(1),
                "word_last": Out(1),
                "empty": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = self.config.post_lanes
        groups = self.config.block // lanes
        complete = Signal(range(HALVES + 1))
        into: Any = Signal(_PLACE)
        out_of: Any = Signal(_PLACE)
        group, strip_done = self._build_filling(m, groups, into)
        self._build_reading(m, complete, out_of)
        m.d.sync += complete.eq(complete + strip_done - self.freed)

        words = []
        for index in range(groups):
            store = RegisteredMemory(
                MemoryData(shape=unsigned(8 * lanes), depth=1 << len(into.as_value()), init=[])
            )
            m.submodules[f"group_{index}"] = store
            m.d.comb += [
                store.w_addr.eq(into.as_value()),
                store.w_data.eq(self.i.as_value()),
                store.w_en.eq(self.i_valid & (group == index)),
                store.r_addr.eq(out_of.as_value()),
            ]
            words.append(store.r_data)
        m.d.comb += self.word.eq(Cat(words))
        return m

    def _build_filling(self, m: Module, groups: int, into: Any) -> tuple[Any, Any]:
        """Set the place of each value; return its group, and whether it completes its strip."""
        group = Signal(range(max(2, groups)))
        patch = Signal(range(STRIP_PATCHES))
        half = Signal(range(HALVES))
        # Patches are many cycles apart, so this may come one cycle late.
        is_last = Signal(reset_less=True)
        m.d.sync += is_last.eq(patch + 1 == self.across)
        group_last = group == groups - 1
        with m.If(self.patch_last):
            m.d.sync += group.eq(Mux(group_last, 0, group + 1))
            with m.If(group_last):
                m.d.sync += [patch.eq(Mux(is_last, 0, patch + 1)), half.eq(half ^ is_last)]
        column = self.place.column
        m.d.comb += [
            into.pixel.eq(Mux(self.pool, Cat(column[:-1], patch), Cat(column, patch))),
            into.row.eq(self.place.row),
            into.half.eq(half),
        ]
        return group, self.patch_last & group_last & is_last

    def _build_reading(self, m: Module, complete: Any, out_of: Any) -> None:
        """Read the words of complete strips while there is room for them."""
        m.submodules.strips = strips = Queue(STRIP_LAYOUT, HALVES)
        strip = strips.o.p
        pixels = Countdown(len(strip.pixels), "pixels")
        rows = Countdown(len(strip.rows), "rows")
        busy, half = Signal(), Signal(range(HALVES))
        pixel = Signal(len(out_of.pixel), reset_less=True)
        row = Signal(len(out_of.row), reset_less=True)
        reading = busy & self.room
        freed = reading & pixels.last & rows.last
        first_pixel = [*pixels.load(strip.pixels), pixel.eq(0)]
        with m.If(reading):
            walk(
                m,
                [
                    Level(pixels.last, first_pixel, [*pixels.advance(), pixel.eq(pixel + 1)]),
                    Level(rows.last, [], [*rows.advance(), row.eq(row + 1)]),
                ],
                end=[busy.eq(0), half.eq(half + 1)],
            )
        with m.If(~busy):
            m.d.sync += [*first_pixel, *rows.load(strip.rows), row.eq(0), busy.eq(complete != 0)]

        # A word counts as held until it is at the output of the queue behind, two cycles after it
        # enters.
        under_way = [delay(m, reading, 1, "read", reset=True)]
        for stage in range(self.LATENCY + 1):
            under_way.append(delay(m, under_way[-1], 1, f"under_way_{stage}", reset=True))
        m.d.comb += [
            strips.i.valid.eq(self.strip.valid),
            strips.i.p.eq(self.strip.p),
            self.strip.ready.eq(strips.i.ready),
            strips.o.ready.eq(freed),
            out_of.pixel.eq(pixel),
            out_of.row.eq(row),
            out_of.half.eq(half),
            self.reading.eq(reading),
            self.freed.eq(freed),
            self.word_valid.eq(under_way[self.LATENCY - 1]),
            self.word_last.eq(delay(m, freed & strip.last, self.LATENCY, "last")),
            self.empty.eq(strips.empty & ~Cat(under_way).any()),
        ]
