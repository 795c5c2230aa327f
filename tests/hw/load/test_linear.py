"""Linear writers: words in order to successive places, group after group, until the last."""

from itertools import accumulate
from random import Random

import pytest
from amaranth.hdl import ResetInserter, Signal

from systolith_hw.interface.buffers import buffer_shape
from systolith_hw.load.linear import LinearWriter
from systolith_hw.spec.isa import Buffer
from systolith_hw.spec.legal import word_bytes
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.streams import simulate, stream_put, trace

BUFFERS = [Buffer.WEIGHT, Buffer.PARAM]


@pytest.mark.parametrize("buffer", BUFFERS)
@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("stall", [0.0, 0.6])
def test_words_go_to_successive_places_a_cycle_after_they_are_taken(
    buffer, lanes, stall, write_regions
):
    config = small_config(post_lanes=lanes)
    groups = buffer_shape(buffer, config).groups
    random = Random(lanes)
    bits = 8 * word_bytes(buffer, config)
    regions = [
        (dest, [random.getrandbits(bits) for _ in range(count)])
        for dest, count in [(3, 1), (0, 5), (6, 4)]
    ]
    rows = write_regions(LinearWriter(buffer, config), regions, stall)
    assert all((row.busy, row.fault) == (row.took, 0) for row in rows)
    taken = [cycle for cycle, row in enumerate(rows) if row.took]
    writes = []
    for cycle, row in enumerate(rows):
        if row.en:
            group = row.en.bit_length() - 1
            assert row.en == 1 << group
            writes.append((cycle, row.addr * groups + group, row.value))
    placed = [(dest + index, word) for dest, words in regions for index, word in enumerate(words)]
    assert writes == [(cycle + 1, *each) for cycle, each in zip(taken, placed, strict=True)]
    ends = accumulate(len(words) for _, words in regions)
    assert [c for c, row in enumerate(rows) if row.finish] == [taken[end - 1] for end in ends]


@pytest.mark.parametrize("buffer", BUFFERS)
def test_a_place_beyond_the_end_is_a_fault(buffer, sink_job):
    config = small_config(post_lanes=2)
    dut = LinearWriter(buffer, config)
    shape = buffer_shape(buffer, config)
    end = shape.groups * shape.depth
    seen = []

    async def feed(ctx):
        await stream_put(ctx, dut.job, [sink_job(end - 1)])
        await stream_put(ctx, dut.word, [0, 0])

    async def watch(ctx):
        rows = await trace(ctx, 12, dut.taken, dut.fault, dut.fault_addr)
        seen.extend((fault, at) for took, fault, at in rows if took)

    simulate(dut, feed, watch)
    assert seen == [(0, end - 1), (1, end)]


def test_a_reset_ends_the_job(sink_job):
    dut = LinearWriter(Buffer.WEIGHT, small_config())
    rst = Signal()

    async def bench(ctx):
        await stream_put(ctx, dut.job, [sink_job(0)])
        ctx.set(rst, 1)
        await ctx.tick().repeat(2)
        ctx.set(rst, 0)
        ctx.set(dut.word.valid, 1)
        rows = await trace(ctx, 6, dut.taken, dut.word.ready, dut.write.en)
        assert rows == [(0, 0, 0)] * 6
        assert ctx.get(dut.job.ready) == 1

    simulate(ResetInserter(rst)(dut), bench)
