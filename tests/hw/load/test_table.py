"""The table writer: bytes of words in order to successive entries, until the last."""

from itertools import accumulate, pairwise
from random import Random

import pytest
from amaranth.hdl import ResetInserter, Signal

from systolith_hw.load.table import TableWriter
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.streams import simulate, stream_put, trace

CONFIG = small_config(functions=1)


@pytest.mark.parametrize("stall", [0.0, 0.6, 0.95])
def test_each_word_takes_eight_cycles_and_its_bytes_go_to_successive_entries(stall, write_regions):
    random = Random(1)
    regions = [
        (dest, [random.getrandbits(64) for _ in range(count)])
        for dest, count in [(3, 1), (0, 32), (16, 4)]
    ]
    rows = write_regions(TableWriter(CONFIG), regions, stall)
    assert not any(row.fault for row in rows)
    assert [row.en for row in rows[1:]] == [row.busy for row in rows[:-1]]
    taken = [cycle for cycle, row in enumerate(rows) if row.took]
    writes = [(cycle, row.addr, row.value) for cycle, row in enumerate(rows) if row.en]
    places = [dest + index for dest, words in regions for index in range(8 * len(words))]
    values = [byte for _, words in regions for word in words for byte in word.to_bytes(8, "little")]
    cycles = [cycle + 1 + byte for cycle in taken for byte in range(8)]
    assert writes == list(zip(cycles, places, values, strict=True))
    ends = accumulate(len(words) for _, words in regions)
    finishes = [cycle for cycle, row in enumerate(rows) if row.finish]
    assert finishes == [taken[end - 1] + 7 for end in ends]
    if not stall:
        steps = [after - before for before, after in pairwise(taken[1:33])]
        assert set(steps) == {8}


def test_a_place_beyond_the_end_is_a_fault(sink_job):
    dut = TableWriter(CONFIG)
    seen = []

    async def feed(ctx):
        await stream_put(ctx, dut.job, [sink_job(253)])
        await stream_put(ctx, dut.word, [0])

    async def watch(ctx):
        rows = await trace(ctx, 14, dut.busy, dut.fault, dut.fault_addr)
        seen.extend((fault, at) for busy, fault, at in rows if busy)

    simulate(dut, feed, watch)
    assert seen == [(0, 253), (0, 254), (0, 255), *((1, place) for place in range(256, 261))]


def test_a_reset_ends_the_job_in_the_middle_of_a_word(sink_job):
    dut = TableWriter(CONFIG)
    rst = Signal()

    async def bench(ctx):
        await stream_put(ctx, dut.job, [sink_job(0)])
        await stream_put(ctx, dut.word, [5])
        ctx.set(rst, 1)
        await ctx.tick().repeat(2)
        ctx.set(rst, 0)
        ctx.set(dut.word.valid, 1)
        rows = await trace(ctx, 10, dut.taken, dut.word.ready, dut.write.en)
        assert rows == [(0, 0, 0)] * 10
        assert ctx.get(dut.job.ready) == 1

    simulate(ResetInserter(rst)(dut), bench)
