"""Functions by table: every lane gives its entry of the table, LATENCY cycles later."""

from random import Random

import pytest
from amaranth.hdl import ResetInserter, Signal

from systolith_hw.store.lookup import Lookup
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.streams import simulate


def make_dut(lanes):
    return Lookup(small_config(8, 8, post_lanes=lanes, functions=1))


async def fill(ctx, dut, table, places, pause=0.0, seed=0):
    random = Random(seed)
    for place in places:
        while random.random() < pause:
            ctx.set(dut.write.en, 0)
            await ctx.tick()
        ctx.set(dut.write.addr, place)
        ctx.set(dut.write.data[0], table[place] & 255)
        ctx.set(dut.write.en, 1)
        await ctx.tick()
    ctx.set(dut.write.en, 0)


async def look_up(ctx, dut, lanes, values):
    """Give the lanes values, one set per cycle, and return what comes out in each cycle."""
    found = []
    for given in [*values, *[[0] * lanes] * dut.LATENCY]:
        for lane, value in enumerate(given):
            ctx.set(dut.i[lane], value)
        _, _, *results = await ctx.tick().sample(*(dut.o[lane] for lane in range(lanes)))
        found.append(results)
    return found[dut.LATENCY :]


@pytest.mark.parametrize("lanes", [1, 2, 8])
@pytest.mark.parametrize("pause", [0.0, 0.5])
def test_every_value_of_every_lane_becomes_its_entry(lanes, pause):
    dut = make_dut(lanes)
    random = Random(lanes)
    table = [random.randint(-128, 127) for _ in range(256)]
    places = random.sample(range(256), 256)
    columns = [random.sample(range(-128, 128), 256) for _ in range(lanes)]
    values = [list(given) for given in zip(*columns, strict=True)]

    async def bench(ctx):
        await fill(ctx, dut, table, places, pause, lanes)
        ctx.set(dut.use, 1)
        # The last entry may still travel to the last lane, as a value does in the drain.
        await ctx.tick().repeat(lanes)
        found = await look_up(ctx, dut, lanes, values)
        assert found == [[table[value + 128] for value in given] for given in values]
        ctx.set(dut.use, 0)
        await ctx.tick().repeat(dut.LATENCY)
        assert await look_up(ctx, dut, lanes, values) == values

    simulate(dut, bench)


def test_an_entry_is_replaced_alone_and_a_step_later_in_each_lane():
    dut = make_dut(4)
    table = list(range(-128, 128))

    async def bench(ctx):
        await fill(ctx, dut, table, range(256))
        ctx.set(dut.use, 1)
        await ctx.tick().repeat(4)
        await fill(ctx, dut, [99] * 256, [128 + 5])
        # Lane l is written l cycles after lane 0; a value read in the same cycle is not defined.
        for lane in range(4):
            ctx.set(dut.i[lane], 5)
        rows = []
        for _ in range(8):
            _, _, *row = await ctx.tick().sample(*(dut.o[lane] for lane in range(4)))
            rows.append(row)
        late = dut.LATENCY
        assert [rows[late + lane + 1][lane] for lane in range(4)] == [99] * 4
        assert [rows[late][lane] for lane in (2, 3)] == [5] * 2
        assert rows[late + 1][3] == 5
        found = await look_up(ctx, dut, 4, [[4, 6, 4, 6]])
        assert found == [[4, 6, 4, 6]]

    simulate(dut, bench)


def test_a_reset_stops_a_write_on_its_way():
    dut = make_dut(8)
    rst = Signal()
    table = [7] * 256

    async def bench(ctx):
        await fill(ctx, dut, table, range(256))
        await ctx.tick().repeat(8)
        await fill(ctx, dut, [1] * 256, [3])
        ctx.set(rst, 1)
        await ctx.tick()
        ctx.set(rst, 0)
        ctx.set(dut.use, 1)
        await ctx.tick().repeat(8)
        (row,) = await look_up(ctx, dut, 8, [[3 - 128] * 8])
        assert row == [1, 1, *[7] * 6]

    simulate(ResetInserter(rst)(dut), bench)
