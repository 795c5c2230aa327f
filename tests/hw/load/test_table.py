"""The table writer: bytes of words in order to successive entries, until the last."""

from itertools import pairwise
from random import Random

import pytest
from amaranth.hdl import ResetInserter, Signal

from systolith_hw.interface.buffers import SINK_JOB
from systolith_hw.load.table import TableWriter
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.streams import simulate, stream_put, trace

CONFIG = small_config(functions=1)


def job(dest):
    return {name: 0 for name in SINK_JOB.members} | {"dest": dest}


@pytest.mark.parametrize("stall", [0.0, 0.6, 0.95])
def test_each_word_takes_eight_cycles_and_its_bytes_go_to_successive_entries(stall):
    dut = TableWriter(CONFIG)
    random = Random(1)
    regions = [(3, 1), (0, 32), (16, 4)]
    words = [[random.getrandbits(64) for _ in range(count)] for _, count in regions]
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
        cycle, end, decided = 0, None, False
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
            assert (en, fault) == (decided, 0)
            decided = busy
            if took:
                taken.append(cycle)
            if en:
                writes.append((cycle, addr, value))
            if finish:
                finishes.append(cycle)
                end = cycle if len(finishes) == len(regions) else None
            cycle += 1
        assert ctx.get(dut.word.ready) == 0

    simulate(dut, jobs, feed, watch)
    places = [dest + index for dest, count in regions for index in range(8 * count)]
    values = [byte for region in words for word in region for byte in word.to_bytes(8, "little")]
    cycles = [cycle + 1 + byte for cycle in taken for byte in range(8)]
    assert writes == list(zip(cycles, places, values, strict=True))
    ends = [sum(count for _, count in regions[: index + 1]) - 1 for index in range(len(regions))]
    assert finishes == [taken[index] + 7 for index in ends]
    if not stall:
        steps = [after - before for before, after in pairwise(taken[1:33])]
        assert set(steps) == {8}


def test_a_place_beyond_the_end_is_a_fault():
    dut = TableWriter(CONFIG)
    seen = []

    async def feed(ctx):
        await stream_put(ctx, dut.job, [job(253)])
        await stream_put(ctx, dut.word, [0])

    async def watch(ctx):
        rows = await trace(ctx, 14, dut.busy, dut.fault, dut.fault_addr)
        seen.extend((fault, at) for busy, fault, at in rows if busy)

    simulate(dut, feed, watch)
    assert seen == [(0, 253), (0, 254), (0, 255), *((1, place) for place in range(256, 261))]


def test_a_reset_ends_the_job_in_the_middle_of_a_word():
    dut = TableWriter(CONFIG)
    rst = Signal()

    async def bench(ctx):
        await stream_put(ctx, dut.job, [job(0)])
        await stream_put(ctx, dut.word, [5])
        ctx.set(rst, 1)
        await ctx.tick().repeat(2)
        ctx.set(rst, 0)
        ctx.set(dut.word.valid, 1)
        rows = await trace(ctx, 10, dut.taken, dut.word.ready, dut.write.en)
        assert rows == [(0, 0, 0)] * 10
        assert ctx.get(dut.job.ready) == 1

    simulate(ResetInserter(rst)(dut), bench)
