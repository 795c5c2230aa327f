"""The staging memory: patches in, words in raster order out."""

from random import Random

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from systolith_hw.spec import timing
from systolith_hw.spec.winograd import LANES, OUTPUTS, PATCH
from systolith_hw.store.winograd.staging import HALVES, Staging
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.streams import simulate


def make_dut(block, lanes):
    return Staging(small_config(block, block, post_lanes=lanes, winograd=4, acc_depth=4 * LANES))


class Strip:
    """Values (rows, pixels, block) of whole patches, of which some rows and pixels are words."""

    def __init__(self, rng, block, across, pool, last):
        self.size = OUTPUTS >> pool
        self.values = rng.integers(-128, 128, (self.size, self.size * across, block))
        self.rows = int(rng.integers(1, self.size + 1))
        self.pixels = self.size * (across - 1) + int(rng.integers(1, self.size + 1))
        self.last = last

    def words(self):
        kept = self.values[: self.rows, : self.pixels].reshape(-1, self.values.shape[2])
        words = [int.from_bytes(np.int8(word).tobytes(), "little") for word in kept]
        return [(word, index == len(words) - 1 and self.last) for index, word in enumerate(words)]

    def description(self):
        return {"pixels": self.pixels, "rows": self.rows, "last": self.last}


class Bench:
    """Fills strips while there is a half for them, takes words at random."""

    def __init__(self, dut, *, seed=0, busy=0.0):
        self.dut = dut
        self.random = Random(seed)
        self.busy = busy
        self.halves = HALVES
        self.completed, self.first_reads, self.words = [], [], []
        self.cycle = 0

    async def watch(self, ctx):
        dut = self.dut
        begun = False
        while True:
            ctx.set(dut.room, self.random.random() >= self.busy)
            _, _, reading, freed, valid, word, last = await ctx.tick().sample(
                dut.reading, dut.freed, dut.word_valid, dut.word, dut.word_last
            )
            if reading and not begun:
                self.first_reads.append(self.cycle)
            begun = (begun or reading) and not freed
            self.halves += freed
            if valid:
                self.words.append((word, last))
            self.cycle += 1

    async def fill(self, ctx, strip, across, pool):
        """Give a strip patch by patch, a group of lanes at a time."""
        dut = self.dut
        lanes = dut.config.post_lanes
        while not self.halves:
            await ctx.tick()
        self.halves -= 1
        ctx.set(dut.across, across)
        ctx.set(dut.pool, pool)
        ctx.set(dut.strip.p, strip.description())
        ctx.set(dut.strip.valid, 1)
        assert ctx.get(dut.strip.ready)
        await ctx.tick()
        ctx.set(dut.strip.valid, 0)
        for patch in range(across):
            for group in range(dut.config.block // lanes):
                for row, column in np.ndindex(strip.size, PATCH):
                    if column >= strip.size:
                        ctx.set(dut.i_valid, 0)
                        ctx.set(dut.i[0], self.random.randint(-128, 127))
                    else:
                        channels = slice(group * lanes, (group + 1) * lanes)
                        values = strip.values[row, patch * strip.size + column, channels]
                        for lane, value in enumerate(values.tolist()):
                            ctx.set(dut.i[lane], value)
                        ctx.set(dut.place, {"row": row, "column": column})
                        ctx.set(dut.i_valid, 1)
                        done = row == column == strip.size - 1
                        ctx.set(dut.patch_last, done)
                        if done:
                            self.completed.append(self.cycle)
                    await ctx.tick()
                    ctx.set(dut.patch_last, 0)


@pytest.mark.parametrize(("block", "lanes"), [(4, 4), (4, 1), (6, 2)])
@pytest.mark.parametrize("pool", [0, 1])
@pytest.mark.parametrize("busy", [0.0, 0.9])
def test_the_words_of_strips_come_in_raster_order(block, lanes, pool, busy):
    dut = make_dut(block, lanes)
    rng = np.random.default_rng(block + lanes)
    bench = Bench(dut, busy=busy)
    sizes = [int(rng.integers(1, 5)) for _ in range(4)] + [16]
    strips = [
        Strip(rng, block, across, pool, last)
        for across in sizes
        for last in ((0, 1) if across < 16 else (1,))
    ]
    expected = [word for strip in strips for word in strip.words()]

    async def test(ctx):
        for strip in strips:
            await bench.fill(ctx, strip, strip.values.shape[1] // strip.size, pool)
        while len(bench.words) < len(expected):
            await ctx.tick()
        await ctx.tick().repeat(10)
        assert ctx.get(dut.empty)

    simulate(dut, test, background=[bench.watch], limit=40_000)
    assert bench.words == expected
    assert bench.halves == HALVES


def test_the_first_word_is_read_after_a_delay_and_then_one_per_cycle():
    dut = make_dut(4, 4)
    bench = Bench(dut)
    rng = np.random.default_rng(0)
    strips = [Strip(rng, 4, 2, 0, 1) for _ in range(3)]

    async def test(ctx):
        for strip in strips:
            await bench.fill(ctx, strip, 2, 0)
        while len(bench.words) < sum(len(strip.words()) for strip in strips):
            await ctx.tick()

    simulate(dut, test, background=[bench.watch])
    ends = bench.completed[1::2]
    assert bench.first_reads == [end + Staging.DELAY for end in ends]
    assert Staging.LATENCY == timing.STAGED


def test_it_is_not_empty_until_the_last_word_can_be_seen_behind_the_queue():
    dut = make_dut(4, 4)
    bench = Bench(dut)
    strip = Strip(np.random.default_rng(0), 4, 1, 0, 1)
    rows = []

    async def test(ctx):
        await bench.fill(ctx, strip, 1, 0)
        while len(rows) < 60:
            _, _, *row = await ctx.tick().sample(dut.empty, dut.reading)
            rows.append(row)

    simulate(dut, test, background=[bench.watch])
    last_read = max(cycle for cycle, (_, reading) in enumerate(rows) if reading)
    assert [empty for empty, _ in rows].index(1) == last_read + Staging.LATENCY + 3


@pytest.mark.parametrize("cycle", [10, 30, 40, 60])
def test_a_reset_forgets_all_strips(cycle):
    dut = make_dut(4, 2)
    rst = Signal()
    rng = np.random.default_rng(cycle)
    bench = Bench(dut, busy=0.5)
    before, after = Strip(rng, 4, 1, 0, 1), Strip(rng, 4, 2, 0, 1)

    async def reset(ctx):
        await ctx.tick().repeat(cycle)
        ctx.set(rst, 1)
        await ctx.tick()
        ctx.set(rst, 0)

    async def test(ctx):
        await bench.fill(ctx, before, 1, 0)
        await ctx.tick().repeat(40)
        ctx.set(rst, 1)
        await ctx.tick()
        ctx.set(rst, 0)
        bench.words.clear()
        assert ctx.get(dut.empty)
        await bench.fill(ctx, after, 2, 0)
        while len(bench.words) < len(after.words()):
            await ctx.tick()

    bench.halves = 9
    simulate(ResetInserter(rst)(dut), reset, test, background=[bench.watch])
    assert bench.words == after.words()


@pytest.mark.parametrize("cycles", range(4))
def test_words_under_way_do_not_outlive_a_reset_of_one_cycle(cycles):
    dut = make_dut(4, 2)
    rst = Signal()
    bench = Bench(dut)
    strip = Strip(np.random.default_rng(0), 4, 2, 0, 1)
    strip.rows = strip.size

    async def test(ctx):
        await bench.fill(ctx, strip, 2, 0)
        while not ctx.get(dut.reading):
            await ctx.tick()
        for _ in range(cycles):
            await ctx.tick()
        assert ctx.get(dut.reading)
        ctx.set(rst, 1)
        await ctx.tick()
        ctx.set(rst, 0)
        bench.words.clear()
        for _ in range(10):
            assert ctx.get(dut.empty)
            await ctx.tick()

    simulate(ResetInserter(rst)(dut), test, background=[bench.watch])
    assert bench.words == []
