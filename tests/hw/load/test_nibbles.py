"""Weights of 4 bits: a word of memory becomes two words of the buffer, in two cycles."""

from itertools import pairwise
from random import Random

import pytest
from amaranth.hdl import ResetInserter, Signal

from systolith_hw.load.linear import LinearWriter
from systolith_hw.load.nibbles import NibbleWriter, weight_writer
from systolith_hw.load.units import UnitWriter
from systolith_sim.emulator.gather import ring_places
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.streams import simulate, stream_put, trace


def halves(word, cols):
    """Return the two words that a word of nibbles makes, as integers."""
    data = word.to_bytes(cols, "little")
    signs = {nibble: nibble | 0xF0 if nibble & 8 else nibble for nibble in range(16)}
    low = bytes(signs[byte & 15] for byte in data)
    high = bytes(signs[byte >> 4] for byte in data)
    return [int.from_bytes(low, "little"), int.from_bytes(high, "little")]


def write(dut, jobs, stall):
    """Give a writer (dest, nibbles, gather, units, runs of words) and return a row a cycle."""
    rows = []

    async def feed(ctx):
        for seed, (dest, nibbles, gather, units, runs) in enumerate(jobs):
            ctx.set(dut.nibbles, nibbles)
            if hasattr(dut, "ring"):
                ctx.set(dut.ring, {"gather": gather, "units": units})
            await stream_put(ctx, dut.job, [{"dest": dest}])
            # What the next job has comes while this one is under way.
            ctx.set(dut.nibbles, 1 - nibbles)
            for number, run in enumerate(runs):
                for place, word in enumerate(run):
                    ends = place == len(run) - 1
                    if hasattr(dut, "ring"):
                        ctx.set(dut.run_last, ends)
                    ctx.set(dut.last, ends and number == len(runs) - 1)
                    await stream_put(ctx, dut.word, [word], seed=seed + place, stall=stall)

    async def watch(ctx):
        words = sum(len(run) for *_, runs in jobs for run in runs)
        more = [dut.complete] if hasattr(dut, "complete") else []
        signals = (dut.write.en, dut.write.addr, dut.write.data.as_value(), dut.taken, dut.busy)
        signals += (dut.finish, dut.fault, *more)
        rows.extend(await trace(ctx, 7 * words + 20 * len(jobs), *signals))

    simulate(dut, feed, watch)
    return rows


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("cols", [2, 4, 6])
def test_each_word_of_nibbles_is_written_twice_and_taken_once(cols, stall):
    random = Random(cols)
    dut = weight_writer(small_config(2, cols, nibbles=1))
    assert isinstance(dut, NibbleWriter)
    assert isinstance(dut.writer, LinearWriter)
    jobs = [
        (dest, nibbles, 0, 0, [[random.getrandbits(8 * cols) for _ in range(count)]])
        for dest, nibbles, count in [(3, 1, 4), (0, 0, 5), (9, 1, 1), (2, 1, 3), (7, 0, 1)]
    ]
    rows = write(dut, jobs, stall)
    wanted = []
    for dest, nibbles, _, _, (words,) in jobs:
        made = [half for word in words for half in halves(word, cols)] if nibbles else words
        wanted += [(dest + place, word) for place, word in enumerate(made)]
    assert [(row[1], row[2]) for row in rows if row[0]] == wanted
    assert sum(row[3] for row in rows) == sum(len(words) for *_, (words,) in jobs)
    assert sum(row[4] for row in rows) == len(wanted)
    assert sum(row[5] for row in rows) == len(jobs)
    assert not any(row[6] for row in rows)
    if not stall:  # the two words follow each other
        written = [cycle for cycle, row in enumerate(rows) if row[0]]
        assert [b - a for a, b in pairwise(written[:8])] == [1] * 7


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("rows", [2, 4])
def test_gathered_runs_of_nibbles_stand_in_their_rows_of_units(rows, stall):
    random = Random(rows)
    dut = weight_writer(small_config(rows, rows, gather=16 * rows, nibbles=1))
    assert isinstance(dut, NibbleWriter)
    assert isinstance(dut.writer, UnitWriter)
    shapes = [(3, 1, 1, 2, 3 * rows + 1, 2), (0, 0, 1, 3, rows, 3), (1, 1, 0, 0, 2, 3)]
    jobs = [
        (*start, [[random.getrandbits(8 * rows) for _ in range(count)] for _ in range(runs)])
        for *start, runs, count in shapes
    ]
    traced = write(dut, jobs, stall)
    wanted, ends = [], []
    for dest, nibbles, gather, units, runs in jobs:
        made = [[h for w in run for h in halves(w, rows)] if nibbles else run for run in runs]
        places = ring_places(len(runs), (dest, units or 1, len(made[0])), rows)
        for number, run in enumerate(made):
            if gather:
                wanted += zip(places[number].tolist(), run, strict=True)
            else:
                wanted += [(dest + number * len(run) + w, word) for w, word in enumerate(run)]
            if gather and (number % rows == rows - 1 or number == len(made) - 1):
                ends.append(len(wanted))
    assert [(row[1], row[2]) for row in traced if row[0]] == wanted
    written, found = 0, []
    for row in traced:
        written += row[0]
        if row[7]:
            found.append(written)
    assert found == ends


def test_a_place_beyond_the_end_is_a_fault_of_either_word():
    config = small_config(nibbles=1)
    end = config.weight_depth
    for dest, faults in ((end - 2, 0), (end - 1, 1), (end, 2)):
        rows = write(weight_writer(config), [(dest, 1, 0, 0, [[5]])], 0.0)
        assert sum(row[6] for row in rows) == faults


@pytest.mark.parametrize("cycles", [1, 2])
def test_a_reset_ends_the_job_within_a_word_or_between_two(cycles):
    config = small_config(nibbles=1)
    dut = weight_writer(config)
    assert isinstance(dut, NibbleWriter)
    rst = Signal()

    async def bench(ctx):
        ctx.set(dut.nibbles, 1)
        await stream_put(ctx, dut.job, [{"dest": 0}])
        ctx.set(dut.word.valid, 1)
        await ctx.tick().repeat(cycles)
        ctx.set(rst, 1)
        await ctx.tick().repeat(2)
        ctx.set(rst, 0)
        rows = await trace(ctx, 6, dut.taken, dut.word.ready, dut.write.en)
        assert rows == [(0, 0, 0)] * 6
        ctx.set(dut.word.valid, 0)
        await stream_put(ctx, dut.job, [{"dest": 4}])
        ctx.set(dut.word.p, 0x21)
        ctx.set(dut.word.valid, 1)
        data = dut.write.data.as_value()
        rows = await trace(ctx, 3, dut.write.en, dut.write.addr, data, dut.taken)
        assert rows[1:] == [(1, 4, 1, 1), (1, 5, 2, 0)]

    simulate(ResetInserter(rst)(dut), bench)


def test_without_nibbles_the_writer_stands_alone():
    assert isinstance(weight_writer(small_config()), LinearWriter)
    assert isinstance(weight_writer(small_config(gather=64)), UnitWriter)
