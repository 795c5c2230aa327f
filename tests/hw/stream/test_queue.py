"""The queue: order, capacity, latency, reset."""

from random import Random

import pytest
from amaranth.hdl import ResetInserter, Signal, signed
from amaranth.lib import data

from systolith_hw.stream.queue import Queue
from systolith_sim.testing.streams import simulate, stream_get, stream_put, trace

LAYOUT = data.StructLayout({"value": signed(8), "flag": 1})


@pytest.mark.parametrize("depth", [0, -3])
def test_a_depth_below_one_is_refused(depth):
    with pytest.raises(ValueError, match=rf"^Queue depth must be at least 1, not {depth}$"):
        Queue(8, depth)


@pytest.mark.parametrize("depth", [1, 2, 3, 8, 33])
@pytest.mark.parametrize(
    ("stall_in", "stall_out"), [(0.0, 0.0), (0.7, 0.0), (0.0, 0.7), (0.4, 0.5)]
)
def test_words_come_out_in_order_and_keep_their_shape(depth, stall_in, stall_out):
    random = Random(depth)
    words = [{"value": random.randint(-128, 127), "flag": random.getrandbits(1)} for _ in range(80)]
    dut = Queue(LAYOUT, depth)
    taken = []

    async def feed(ctx):
        await stream_put(ctx, dut.i, words, seed=1, stall=stall_in)

    async def take(ctx):
        taken.extend(await stream_get(ctx, dut.o, len(words), seed=2, stall=stall_out))
        ctx.set(dut.o.ready, 1)
        assert all(valid == 0 for (valid,) in await trace(ctx, 8, dut.o.valid))

    simulate(dut, feed, take, watch=[dut.o])
    assert [{"value": word.value, "flag": word.flag} for word in taken] == words


@pytest.mark.parametrize(
    ("shape", "word"),
    [(5, 21), (signed(12), -2048), (data.ArrayLayout(signed(4), 3), [-8, 7, -1])],
)
def test_other_shapes_pass_too(shape, word):
    dut = Queue(shape, 4)
    taken = []

    async def feed(ctx):
        await stream_put(ctx, dut.i, [word])

    async def take(ctx):
        taken.extend(await stream_get(ctx, dut.o, 1))

    simulate(dut, feed, take)
    got = list(taken[0]) if isinstance(word, list) else taken[0]
    assert got == word


@pytest.mark.parametrize("depth", [1, 2, 5, 16])
def test_it_holds_depth_words_and_no_more(depth):
    dut = Queue(8, depth)

    async def bench(ctx):
        ctx.set(dut.i.valid, 1)
        taken = 0
        for _ in range(depth + 10):
            _, _, ready, level, empty = await ctx.tick().sample(dut.i.ready, dut.level, dut.empty)
            assert level == taken
            assert empty == (taken == 0)
            taken += ready
        assert taken == depth
        assert ctx.get(dut.level) == depth

    simulate(dut, bench)


def test_a_word_a_cycle_two_cycles_from_input_to_output():
    dut = Queue(8, 4)

    async def feed(ctx):
        await stream_put(ctx, dut.i, range(20))

    async def take(ctx):
        ctx.set(dut.o.ready, 1)
        rows = await trace(ctx, 24, dut.o.valid, dut.o.p)
        assert [payload for valid, payload in rows if valid] == list(range(20))
        assert [valid for valid, _ in rows] == [0, 0] + [1] * 20 + [0, 0]

    simulate(dut, feed, take)


def test_a_queue_of_one_word_passes_one_every_two_cycles_after_a_cycle():
    dut = Queue(8, 1)

    async def feed(ctx):
        await stream_put(ctx, dut.i, range(10))

    async def take(ctx):
        ctx.set(dut.o.ready, 1)
        rows = await trace(ctx, 22, dut.o.valid, dut.o.p)
        assert [payload for valid, payload in rows if valid] == list(range(10))
        assert [valid for valid, _ in rows] == [0, 1] * 10 + [0, 0]

    simulate(dut, feed, take)


def test_reset_empties_it():
    reset = Signal()
    dut = Queue(8, 4)

    async def bench(ctx):
        await stream_put(ctx, dut.i, [1, 2, 3])
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)
        ctx.set(dut.o.ready, 1)
        assert ctx.get(dut.level) == 0
        assert ctx.get(dut.empty)
        assert all(valid == 0 for (valid,) in await trace(ctx, 5, dut.o.valid))
        ctx.set(dut.o.ready, 0)
        await stream_put(ctx, dut.i, [9])
        assert await stream_get(ctx, dut.o, 1) == [9]

    simulate(ResetInserter(reset)(dut), bench)
