"""The ring: what is written item by item comes out lane by lane, and halves are counted."""

from random import Random

import pytest

from systolith_hw.compute.winograd.ring import Ring, ring_shape
from systolith_hw.spec.winograd import LANES
from systolith_sim.testing.streams import simulate

MEMORIES, ITEMS = 3, 4


@pytest.mark.parametrize("seed", range(2))
def test_chunks_of_any_size_come_out_lane_by_lane(seed):
    random = Random(seed)
    print(f"seed {seed}")
    dut = Ring(ring_shape(MEMORIES, ITEMS, 9))
    sizes = [random.randint(1, ITEMS) for _ in range(5)]
    values = [random.getrandbits(9) for _ in range(4000)]
    now = [0]
    begun, expected, got = [], {}, {}

    async def clock(ctx):
        for cycle in range(MEMORIES, len(values)):
            now[0] = cycle
            for index in range(MEMORIES):
                ctx.set(dut.i[index], values[cycle - index] ^ index)
            _, _, data = await ctx.tick().sample(dut.read.data)
            for index in range(MEMORIES):
                place = cycle - Ring.LATENCY - index, index
                if place in expected:
                    got[place] = data[index]

    async def write(ctx):
        for size in sizes:
            while not ctx.get(dut.free):
                await ctx.tick()
            ctx.set(dut.take, 1)
            await ctx.tick()
            ctx.set(dut.take, 0)
            await ctx.tick().repeat(random.randint(3, 9))
            starts = []
            for item in range(size):
                ctx.set(dut.begin, 1)
                ctx.set(dut.last, item == size - 1)
                starts.append(now[0] + 1)
                if item == size - 1:
                    begun.append(starts)
                await ctx.tick()
                ctx.set(dut.begin, 0)
                await ctx.tick().repeat(LANES - 1 + random.randint(0, 2))

    async def read(ctx):
        for number in range(len(sizes)):
            while not ctx.get(dut.full):
                await ctx.tick()
            ctx.set(dut.start, 1)
            for lane in range(LANES):
                for item in range(5):
                    half = number % 2 * LANES * ITEMS
                    ctx.set(dut.read.addr, half + lane * ITEMS + min(item, ITEMS - 1))
                    ctx.set(dut.release, lane == LANES - 1 and item == 4)
                    if item < sizes[number]:
                        for index in range(MEMORIES):
                            value = values[begun[number][item] + lane] ^ index
                            expected[now[0], index] = value
                    await ctx.tick()
                    ctx.set(dut.start, 0)
            ctx.set(dut.release, 0)
        await ctx.tick().repeat(20)

    simulate(dut, write, read, background=[clock])
    assert len(expected) == LANES * sum(sizes) * MEMORIES
    assert got == expected


def test_two_halves_can_be_taken_and_two_read():
    dut = Ring(ring_shape(2, ITEMS, 9))

    async def pulse(ctx, *signals):
        for signal in signals:
            ctx.set(signal, 1)
        foreseen = ctx.get(dut.will_be_free)
        await ctx.tick()
        assert ctx.get(dut.free) == foreseen
        for signal in signals:
            ctx.set(signal, 0)
        return ctx.get(dut.free), ctx.get(dut.full)

    async def bench(ctx):
        assert (ctx.get(dut.free), ctx.get(dut.full)) == (1, 0)
        assert await pulse(ctx, dut.take) == (1, 0)
        assert await pulse(ctx, dut.take) == (0, 0)
        assert await pulse(ctx, dut.begin) == (0, 0)
        assert await pulse(ctx, dut.begin, dut.last) == (0, 1)
        assert await pulse(ctx, dut.begin, dut.last) == (0, 1)
        assert await pulse(ctx, dut.start) == (0, 1)
        assert await pulse(ctx, dut.start, dut.release) == (1, 0)
        assert await pulse(ctx, dut.take, dut.release) == (1, 0)
        assert await pulse(ctx, dut.take) == (0, 0)
        assert await pulse(ctx) == (0, 0)
        assert await pulse(ctx, dut.release) == (1, 0)
        assert await pulse(ctx, dut.release) == (1, 0)
        assert await pulse(ctx, dut.take, dut.release) == (1, 0)

    simulate(dut, bench)
