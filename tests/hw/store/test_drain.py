"""The drain: windows, blocks, parameters and words, with the words' taker stalling."""

from itertools import accumulate
from random import Random

import numpy as np
import pytest

from systolith_hw.spec.timing import DRAIN_WORDS
from systolith_hw.store.drain import Drain
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.drain_bench import DrainBench, stacked_job, windows_job
from systolith_sim.testing.streams import simulate, stream_get, stream_put, trace


def example_jobs(config):
    lanes, groups = config.post_lanes, config.col_groups
    return [
        windows_job((1, 1, 6, 1, 1), (0, 0, 1, 0, 0), blocks=groups),
        windows_job(
            (2, 2, 3, 2, 1),
            (1, 6, 2, 12, 0),
            blocks=groups,
            bank=1,
            acc_base=3,
            param_base=lanes,
            zero_point=-7,
            low=-7,
        ),
        windows_job(
            (3, 3, 2, 2, 2), (1, 5, 2, 10, 25), acc_base=1, zero_point=20, high=90
        ),  # overlaps
        windows_job(
            (1, 1, 1, 1, 1), (0, 0, 0, 0, 0), bank=1, acc_base=63, param_base=2 * config.cols
        ),
        windows_job((2, 1, 2, 3, 2), (1, 0, 2, 4, 12), blocks=groups, bank=1, low=-100, high=-3),
    ]


CONFIGS = [(4, 4, 4), (4, 4, 1), (4, 8, 2), (8, 4, 2), (3, 6, 1)]


@pytest.mark.parametrize(("rows", "cols", "lanes"), CONFIGS)
@pytest.mark.parametrize(("stall_in", "stall_out"), [(0.0, 0.0), (0.95, 0.0), (0.0, 0.9)])
def test_words_are_pooled_requantised_blocks(rows, cols, lanes, stall_in, stall_out):
    config = small_config(rows, cols, post_lanes=lanes)
    check_words(config, example_jobs(config), stall_in, stall_out)


@pytest.mark.parametrize(("rows", "cols", "lanes"), [(4, 4, 4), (4, 8, 2), (8, 4, 2), (3, 6, 1)])
@pytest.mark.parametrize("stall_out", [0.0, 0.9])
def test_stacked_blocks_are_one_address_further_each(rows, cols, lanes, stall_out):
    config = small_config(rows, cols, post_lanes=lanes, gather=16 * min(rows, cols))
    groups = config.col_groups
    jobs = [
        stacked_job(4 * groups, param_base=0, zero_point=5, low=-90, high=99),
        windows_job((1, 1, 6, 1, 1), (0, 0, 1, 0, 0), blocks=groups, bank=1),
        stacked_job(3 * groups - groups // 2, acc_base=7, bank=1, param_base=cols),
        stacked_job(1, acc_base=63),
        windows_job((2, 2, 2, 1, 1), (1, 2, 4, 0, 0), blocks=groups),
    ]
    check_words(config, jobs, 0.0, stall_out)


def check_words(config, jobs, stall_in, stall_out):
    """Check the words of jobs, their ends, and that every job is drained once."""
    bench = DrainBench(config, seed=config.cols)
    drain = bench.drain
    expected = [word for job in jobs for word in bench.words(job)]
    words, ends = [], []
    pulses = []

    async def feed(ctx):
        await stream_put(
            ctx, drain.job, [job.payload(config) for job in jobs], seed=1, stall=stall_in
        )

    async def take(ctx):
        got = await stream_get(ctx, drain.word, len(expected), seed=2, stall=stall_out)
        words.extend(bench.unpack(word) for word in got)
        ends.extend(number for number, word in enumerate(got, start=1) if word.last)
        ctx.set(drain.word.ready, 1)
        assert all(valid == 0 for (valid,) in await trace(ctx, 60, drain.word.valid))
        assert ctx.get(drain.active) == 0

    async def count(ctx):
        while True:
            _, _, drained, fault = await ctx.tick().sample(drain.drained, drain.fault)
            assert not fault
            if drained:
                pulses.append(len(words))

    simulate(bench, feed, take, background=[bench.accumulators, count], watch=[drain.word])
    assert words == expected
    assert ends == list(accumulate(len(bench.words(job)) for job in jobs))
    assert len(pulses) == len(jobs)


@pytest.mark.parametrize(("lanes", "window"), [(4, (1, 1)), (2, (1, 1)), (1, (1, 1)), (4, (2, 2))])
def test_a_word_takes_window_times_groups_cycles(lanes, window):
    config = small_config(4, 4, post_lanes=lanes)
    bench = DrainBench(config, seed=0)
    drain = bench.drain
    job = windows_job((*window, 5, 4, 1), (1, 1, 1, 5, 0))
    rows = []

    async def feed(ctx):
        ctx.set(drain.word.ready, 1)
        await stream_put(ctx, drain.job, [job.payload(config)])
        rows.extend(await trace(ctx, 500, drain.busy, drain.word.valid))

    simulate(bench, feed, background=[bench.accumulators])
    busy = [cycle for cycle, (now, _) in enumerate(rows) if now]
    cycles = 20 * window[0] * window[1] * (4 // lanes)
    assert busy == list(range(cycles))
    assert sum(valid for _, valid in rows) == 20


def test_it_stops_when_the_queue_is_full_and_loses_nothing():
    config = small_config(4, 4)
    bench = DrainBench(config, seed=0)
    drain = bench.drain
    job = windows_job((1, 1, 60, 1, 1), (0, 0, 1, 0, 0))
    words = []

    async def feed(ctx):
        await stream_put(ctx, drain.job, [job.payload(config)])
        rows = await trace(ctx, 200, drain.busy)
        assert sum(busy for (busy,) in rows) == DRAIN_WORDS
        got = await stream_get(ctx, drain.word, 60)
        words.extend(bench.unpack(word) for word in got)

    simulate(bench, feed, background=[bench.accumulators], watch=[drain.word])
    assert words == bench.words(job)


@pytest.mark.parametrize(
    ("fields", "addr"),
    [({"acc_base": 59}, 64), ({"param_base": 16}, 16), ({"acc_base": 58}, None), ({}, None)],
)
def test_an_address_beyond_a_buffer_is_a_fault(fields, addr):
    config = small_config(4, 4)
    assert (config.acc_depth, config.param_depth) == (64, 16)
    drain = Drain(config)
    job = windows_job((1, 1, 6, 1, 1), (0, 0, 1, 0, 0), **fields)
    seen = []

    async def bench(ctx):
        ctx.set(drain.word.ready, 1)
        await stream_put(ctx, drain.job, [job.payload(config)])
        rows = await trace(ctx, 60, drain.fault, drain.fault_addr)
        seen.extend(at for fault, at in rows if fault)

    simulate(drain, bench)
    assert set(seen) == ({addr} if addr is not None else set())


def test_random_windows_of_all_kinds():
    random = Random(5)
    config = small_config(4, 8, post_lanes=2)
    bench = DrainBench(config, seed=9)
    drain = bench.drain
    jobs = []
    while len(jobs) < 8:
        counts = tuple(random.randint(1, most) for most in (3, 3, 4, 3, 2))
        strides = tuple(random.randint(0, 6) for _ in counts)
        if np.dot([count - 1 for count in counts], strides) < config.acc_depth - 4:
            jobs.append(
                windows_job(
                    counts,
                    strides,
                    blocks=random.randint(1, 2),
                    bank=random.getrandbits(1),
                    acc_base=random.randrange(4),
                    param_base=random.choice([0, 2, 8, 24]),
                    zero_point=random.randint(-128, 127),
                )
            )
    expected = [word for job in jobs for word in bench.words(job)]
    words, ends = [], []

    async def feed(ctx):
        await stream_put(ctx, drain.job, [job.payload(config) for job in jobs])

    async def take(ctx):
        got = await stream_get(ctx, drain.word, len(expected))
        words.extend(bench.unpack(word) for word in got)
        ends.extend(number for number, word in enumerate(got, start=1) if word.last)

    simulate(bench, feed, take, background=[bench.accumulators], watch=[drain.word])
    assert words == expected
    assert ends == list(accumulate(len(bench.words(job)) for job in jobs))
