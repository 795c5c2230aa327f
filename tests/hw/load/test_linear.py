"""Linear writers: words in order to successive places, group after group, until the last."""

from random import Random

import pytest
from amaranth.hdl import ResetInserter, Signal

from systolith_hw.interface.buffers import SINK_JOB, buffer_shape
from systolith_hw.load.linear import LinearWriter
from systolith_hw.spec.isa import Buffer
from systolith_hw.spec.legal import word_bytes
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.streams import simulate, stream_put, trace

BUFFERS = [Buffer.WEIGHT, Buffer.PARAM]


def job(dest):
    return {name: 0 for name in SINK_JOB.members} | {"dest": dest}


@pytest.mark.parametrize("buffer", BUFFERS)
@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("stall", [0.0, 0.6])
def test_words_go_to_successive_places_a_cycle_after_they_are_taken(buffer, lanes, stall):
    config = small_config(post_lanes=lanes)
    dut = LinearWriter(buffer, config)
    shape = buffer_shape(buffer, config)
    random = Random(lanes)
    bits = 8 * word_bytes(buffer, config)
    regions = [(3, 1), (0, 5), (6, 4)]
    words = [[random.getrandbits(bits) for _ in range(count)] for _, count in regions]
    taken, writes, finishes = [], [], []

    async def jobs(ctx):
        await stream_put(ctx, dut.job, [job(dest) for dest, _ in regions])

    async def feed(ctx):
        for region in words:
            for index, word in enumerate(region):
                ctx.set(dut.last, index == len(region) - 1)
                await stream_put(ctx, dut.word, [word], seed=word, stall=stall)
        # A word too many must never be taken.
        ctx.set(dut.word.valid, 1)

    async def watch(ctx):
        cycle, end = 0, None
        while end is None or cycle < end + 8:
            _, _, took, busy, finish, fault, en, addr, value = await ctx.tick().sample(
                dut.taken,
                dut.busy,
                dut.finish,
                dut.fault,
                dut.write.en,
                dut.write.addr,
                dut.write.data.as_value(),
            )
            assert (busy, fault) == (took, 0)
            if took:
                taken.append(cycle)
            if en:
                group = en.bit_length() - 1
                assert en == 1 << group
                writes.append((cycle, addr * shape.groups + group, value))
            if finish:
                finishes.append(cycle)
                end = cycle if len(finishes) == len(regions) else None
            cycle += 1
        assert ctx.get(dut.word.ready) == 0

    simulate(dut, jobs, feed, watch)
    places = [dest + index for dest, count in regions for index in range(count)]
    flat = [word for region in words for word in region]
    assert writes == [
        (cycle + 1, place, word) for cycle, place, word in zip(taken, places, flat, strict=True)
    ]
    ends = [sum(len(region) for region in words[: index + 1]) - 1 for index in range(len(words))]
    assert finishes == [taken[index] for index in ends]


@pytest.mark.parametrize("buffer", BUFFERS)
def test_a_place_beyond_the_end_is_a_fault(buffer):
    config = small_config(post_lanes=2)
    dut = LinearWriter(buffer, config)
    shape = buffer_shape(buffer, config)
    end = shape.groups * shape.depth
    seen = []

    async def feed(ctx):
        await stream_put(ctx, dut.job, [job(end - 1)])
        await stream_put(ctx, dut.word, [0, 0])

    async def watch(ctx):
        rows = await trace(ctx, 12, dut.taken, dut.fault, dut.fault_addr)
        seen.extend((fault, at) for took, fault, at in rows if took)

    simulate(dut, feed, watch)
    assert seen == [(0, end - 1), (1, end)]


def test_a_reset_ends_the_job():
    dut = LinearWriter(Buffer.WEIGHT, small_config())
    rst = Signal()

    async def bench(ctx):
        await stream_put(ctx, dut.job, [job(0)])
        ctx.set(rst, 1)
        await ctx.tick().repeat(2)
        ctx.set(rst, 0)
        ctx.set(dut.word.valid, 1)
        rows = await trace(ctx, 6, dut.taken, dut.word.ready, dut.write.en)
        assert rows == [(0, 0, 0)] * 6
        assert ctx.get(dut.job.ready) == 1

    simulate(ResetInserter(rst)(dut), bench)
