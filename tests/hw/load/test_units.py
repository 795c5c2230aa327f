"""Gathered weights in their buffer: places in a ring of units, and the ends of units."""

import pytest
from amaranth.hdl import ResetInserter, Signal

from systolith_hw.load.units import UnitWriter
from systolith_sim.emulator.gather import ring_places
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.streams import simulate, stream_put, trace


def write(dut, jobs, stall):
    """Give a writer (dest, gather, units, runs, run words) and return a row for each cycle."""
    rows = []

    async def feed(ctx):
        value = 0
        for dest, gather, units, runs, words in jobs:
            ctx.set(dut.ring, {"gather": gather, "units": units})
            await stream_put(ctx, dut.job, [{"dest": dest}])
            for run in range(runs):
                for word in range(words):
                    ctx.set(dut.run_last, word == words - 1)
                    ctx.set(dut.last, word == words - 1 and run == runs - 1)
                    await stream_put(ctx, dut.word, [value], seed=value, stall=stall)
                    value += 1

    async def watch(ctx):
        total = sum(runs * words for *_, runs, words in jobs)
        signals = (dut.write.en, dut.write.addr, dut.write.data.as_value(), dut.complete)
        rows.extend(await trace(ctx, 4 * total + 20 * len(jobs), *signals, dut.fault))

    simulate(dut, feed, watch)
    return rows


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("rows", [2, 3, 4])
def test_runs_stand_in_their_rows_of_units_in_a_ring(rows, stall):
    config = small_config(rows, rows, gather=16 * rows)
    jobs = [
        (3, 1, 2, 5 * rows + 1, 3),
        (0, 0, 0, 3, 4),
        (1, 1, 3, 2 * rows, 1),
        (7, 1, 1, 3 * rows - 1, 2),
        (9, 1, 2, 1, 2),
    ]
    traced = write(UnitWriter(config), jobs, stall)
    wanted, ends = [], []
    for dest, gather, units, runs, words in jobs:
        if gather:
            places = ring_places(runs, (dest, units, words), rows)
            for run in range(runs):
                wanted += places[run].tolist()
                if run % rows == rows - 1 or run == runs - 1:
                    ends.append(len(wanted))
        else:
            wanted += range(dest, dest + runs * words)
    writes = [(row[1], row[2]) for row in traced if row[0]]
    assert writes == list(zip(wanted, range(len(wanted)), strict=True))
    written, found = 0, []
    for row in traced:
        written += row[0]
        if row[3]:
            found.append(written)
    assert found == ends
    assert not any(row[4] for row in traced)


def test_a_place_beyond_the_end_is_a_fault():
    config = small_config(4, 4, gather=64)
    # The last word of row 1 is the last of the buffer.
    traced = write(UnitWriter(config), [(config.weight_depth - 6, 1, 1, 2, 2)], 0.0)
    assert [row[4] for row in traced].count(1) == 0
    traced = write(UnitWriter(config), [(config.weight_depth - 4, 1, 1, 1, 2)], 0.0)
    assert [row[4] for row in traced].count(1) == 1


def test_a_reset_ends_the_job():
    dut = UnitWriter(small_config(gather=64))
    rst = Signal()

    async def bench(ctx):
        ctx.set(dut.ring, {"gather": 1, "units": 1})
        await stream_put(ctx, dut.job, [{"dest": 0}])
        ctx.set(rst, 1)
        await ctx.tick().repeat(2)
        ctx.set(rst, 0)
        ctx.set(dut.word.valid, 1)
        rows = await trace(ctx, 6, dut.taken, dut.word.ready, dut.write.en, dut.complete)
        assert rows == [(0, 0, 0, 0)] * 6
        assert ctx.get(dut.job.ready) == 1

    simulate(ResetInserter(rst)(dut), bench)
