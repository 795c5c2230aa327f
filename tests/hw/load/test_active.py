"""The mask's runs: those of active inputs pass as a ring has room, those of other regions all."""

from random import Random

import pytest
from amaranth.hdl import ResetInserter, Signal

from systolith_hw.load.active import ActiveRuns
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.streams import simulate, stream_get, stream_put, trace


async def write_word(ctx, dut, addr, bits):
    ctx.set(dut.mask.addr, addr)
    ctx.set(dut.mask.data, bits)
    ctx.set(dut.mask.en, 1)
    await ctx.tick()
    ctx.set(dut.mask.en, 0)


async def write_mask(ctx, dut, bits):
    """Write a mask, a bit for each input, as one scan does."""
    ctx.set(dut.asked, 1)
    await ctx.tick()
    ctx.set(dut.asked, 0)
    block = dut.config.block
    for word in range(0, len(bits), block):
        value = sum(bit << i for i, bit in enumerate(bits[word : word + block]))
        await write_word(ctx, dut, word // block, value)
    ctx.set(dut.done, 1)
    await ctx.tick()
    ctx.set(dut.done, 0)


async def begin(ctx, dut, gather, units=1):
    ctx.set(dut.gather, gather)
    ctx.set(dut.units, units)
    ctx.set(dut.begin, 1)
    await ctx.tick()
    ctx.set(dut.begin, 0)


async def give(ctx, dut, count):
    """Give runs, at most one every two cycles, as the walk over a region does."""
    for number in range(count):
        await stream_put(ctx, dut.i, [{"addr": number}])
        await ctx.tick()


@pytest.mark.parametrize("block", [2, 3, 4])
@pytest.mark.parametrize("density", [0.1, 0.5, 1])
def test_runs_of_active_inputs_pass(block, density):
    dut = ActiveRuns(small_config(block, block, gather=12 * block))
    random = Random(block)
    masks = [[int(random.random() < density) for _ in range(12 * block)] for _ in range(3)]
    for mask in masks:
        mask[random.randrange(len(mask))] = 1
    wanted = []
    for mask in masks:
        wanted += [number for number, bit in enumerate(mask) if bit] + [0, 1, 2]
    taken = []

    async def feed(ctx):
        for mask in masks:
            await write_mask(ctx, dut, mask)
            await begin(ctx, dut, 1, 2)
            await give(ctx, dut, len(mask))
            await begin(ctx, dut, 0)
            await give(ctx, dut, 3)

    async def take(ctx):
        taken.extend(run.addr for run in await stream_get(ctx, dut.o, len(wanted), stall=0.3))
        ctx.set(dut.o.ready, 1)
        assert all(row == (0,) for row in await trace(ctx, 30, dut.o.valid))

    async def free(ctx):
        while True:
            for _ in range(7):
                await ctx.tick()
            ctx.set(dut.free, 1)
            await ctx.tick()
            ctx.set(dut.free, 0)

    simulate(dut, feed, take, background=[free])
    assert taken == wanted


def test_the_first_run_of_a_unit_waits_for_room():
    dut = ActiveRuns(small_config(4, 4, gather=32))
    passed = []

    async def feed(ctx):
        await write_mask(ctx, dut, [1] * 32)
        await begin(ctx, dut, 1, 2)
        await give(ctx, dut, 32)

    async def watch(ctx):
        ctx.set(dut.o.ready, 1)
        for cycle in range(200):
            ctx.set(dut.free, cycle == 100)
            _, _, valid, waits = await ctx.tick().sample(dut.o.valid, dut.waits)
            passed.append(valid)
            if cycle in (99, 199):
                assert waits
        assert sum(passed[:100]) == 8
        assert sum(passed) == 12
        for _ in range(5):
            ctx.set(dut.free, 1)
            await ctx.tick()
        ctx.set(dut.free, 0)

    simulate(dut, feed, watch)


def test_a_gathering_region_waits_for_the_scan():
    dut = ActiveRuns(small_config(4, 4, gather=32))

    async def bench(ctx):
        ctx.set(dut.asked, 1)
        await ctx.tick()
        ctx.set(dut.asked, 0)
        await begin(ctx, dut, 1, 1)
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.o.ready, 1)
        rows = await trace(ctx, 20, dut.o.valid, dut.i.ready)
        assert rows == [(0, 0)] * 20
        await write_word(ctx, dut, 0, 1)
        ctx.set(dut.done, 1)
        await ctx.tick()
        ctx.set(dut.done, 0)
        rows = await trace(ctx, 8, dut.o.valid)
        assert (1,) in rows

    simulate(dut, bench)


def test_a_reset_ends_the_region():
    dut = ActiveRuns(small_config(4, 4, gather=32))
    rst = Signal()

    async def bench(ctx):
        await begin(ctx, dut, 1, 1)
        ctx.set(rst, 1)
        await ctx.tick().repeat(2)
        ctx.set(rst, 0)
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.o.ready, 1)
        # What comes next is a plain region.
        assert await trace(ctx, 3, dut.o.valid, dut.i.ready) == [(1, 1)] * 3

    simulate(ResetInserter(rst)(dut), bench)
