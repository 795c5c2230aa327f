"""Strips: a half for each, the words of each, and the resets of both."""

from random import Random

import pytest
from amaranth.hdl import ResetInserter, Signal

from systolith_hw.store.winograd.staging import HALVES
from systolith_hw.store.winograd.strips import Strips
from systolith_sim.testing.streams import simulate

GAP = 36
"""Cycles from one patch's first sum to the next one's, at least."""


async def read_patch(ctx, dut, across_last=0, down_last=0, store_last=0):
    """Read a patch's sums; return the strip that is described then, if one is."""
    assert ctx.get(dut.may_begin)
    for cycle in range(GAP):
        ctx.set(dut.patch_first, cycle == 0)
        last = cycle == GAP - 1
        ctx.set(dut.patch_last, last)
        ctx.set(dut.across_last, across_last & last)
        ctx.set(dut.down_last, down_last & last)
        ctx.set(dut.store_last, store_last & last)
        await ctx.tick()
    ctx.set(dut.patch_last, 0)
    if not ctx.get(dut.strip.valid):
        return None
    strip = ctx.get(dut.strip.p)
    return strip.pixels, strip.rows, strip.last


async def begin_store(ctx, dut, **fields):
    ctx.set(dut.store, fields)
    ctx.set(dut.between, 1)
    await ctx.tick().repeat(2)
    ctx.set(dut.between, 0)


async def free_half(ctx, dut):
    ctx.set(dut.freed, 1)
    await ctx.tick()
    ctx.set(dut.freed, 0)
    await ctx.tick()


@pytest.mark.parametrize("seed", range(6))
def test_a_strip_has_the_pixels_and_rows_of_its_store(seed):
    dut = Strips()
    random = Random(seed)

    async def bench(ctx):
        for _ in range(6):
            pool = random.getrandbits(1)
            width, height = (random.randint(1, 12) << pool for _ in range(2))
            across, down = -(-width // 4), -(-height // 4)
            await begin_store(ctx, dut, pool=pool, width=width, height=height, x_count=across)
            for y in range(down):
                strips = [
                    await read_patch(
                        ctx, dut, x == across - 1, y == down - 1, x == across - 1 and y == down - 1
                    )
                    for x in range(across)
                ]
                rows = min(4, height - 4 * y)
                assert strips == [None] * (across - 1) + [
                    (width >> pool, rows >> pool, y == down - 1)
                ]
                await free_half(ctx, dut)

    simulate(dut, bench)


def test_only_the_first_patch_of_a_strip_waits_for_a_half():
    dut = Strips()

    async def bench(ctx):
        await begin_store(ctx, dut, width=8, height=16, x_count=2)
        for _ in range(HALVES):
            await read_patch(ctx, dut)
            await read_patch(ctx, dut, across_last=1)
        for _ in range(20):
            await ctx.tick()
            assert not ctx.get(dut.may_begin)
        await free_half(ctx, dut)
        await read_patch(ctx, dut)
        await read_patch(ctx, dut, across_last=1)
        await ctx.tick()
        assert not ctx.get(dut.may_begin)

    simulate(dut, bench)


def test_a_half_that_is_freed_when_another_is_taken_is_not_lost():
    dut = Strips()

    async def bench(ctx):
        await begin_store(ctx, dut, width=4, height=16, x_count=1)
        for _ in range(10):
            ctx.set(dut.freed, 1)
            ctx.set(dut.patch_first, 1)
            await ctx.tick()
            ctx.set(dut.freed, 0)
            ctx.set(dut.patch_first, 0)
            await ctx.tick()
            ctx.set(dut.patch_last, 1)
            ctx.set(dut.across_last, 1)
            await ctx.tick()
            ctx.set(dut.patch_last, 0)
            await ctx.tick()
            assert ctx.get(dut.may_begin)
        for _ in range(HALVES):
            await read_patch(ctx, dut, across_last=1)
        await ctx.tick()
        assert not ctx.get(dut.may_begin)

    simulate(dut, bench)


def test_a_reset_frees_all_halves():
    dut = Strips()
    rst = Signal()

    async def bench(ctx):
        for _ in range(2):
            await begin_store(ctx, dut, width=4, height=16, x_count=1)
            for _ in range(HALVES):
                await read_patch(ctx, dut, across_last=1)
            await ctx.tick()
            assert not ctx.get(dut.may_begin)
            ctx.set(rst, 1)
            await ctx.tick()
            ctx.set(rst, 0)

    simulate(ResetInserter(rst)(dut), bench)
