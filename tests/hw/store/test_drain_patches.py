"""The drain with Winograd's patches: exact sums requantised, pooled, and put in raster order."""

from itertools import accumulate
from random import Random

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from systolith_hw.spec.timing import strip_latency
from systolith_hw.spec.winograd import LANES
from systolith_hw.store.drain import Drain
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.drain_bench import DrainBench, patches_job, windows_job
from systolith_sim.testing.streams import simulate, stream_get, stream_put, trace

CONFIGS = [(4, 4, 4), (4, 4, 1), (4, 8, 2), (8, 4, 2), (3, 6, 1), (8, 8, 8)]


def make_config(rows, cols, lanes, patches=64, **changes):
    return small_config(
        rows, cols, post_lanes=lanes, winograd=4, acc_depth=patches * LANES, **changes
    )


class Run:
    """Jobs through a drain: their words, the ends of STOREs, and its pulses."""

    def __init__(self, bench, jobs, *, stall_in=0.0, stall_out=0.0, limit=60_000):
        self.bench = bench
        self.config = bench.config
        self.words, self.ends, self.pulses = [], [], []
        places = [self._expected(job) for job in jobs]
        self.expected = [word for words in places for word in words]
        self.expected_ends = list(accumulate(map(len, places)))
        drain = bench.drain

        async def feed(ctx):
            payloads = [job.payload(self.config) for job in jobs]
            await stream_put(ctx, drain.job, payloads, seed=1, stall=stall_in)

        async def take(ctx):
            got = await stream_get(ctx, drain.word, len(self.expected), seed=2, stall=stall_out)
            self.words.extend(bench.unpack(word) for word in got)
            self.ends.extend(number for number, word in enumerate(got, start=1) if word.last)
            ctx.set(drain.word.ready, 1)
            rows = await trace(ctx, 150, drain.word.valid, drain.active, drain.holds)
            assert not any(valid for valid, _, _ in rows)
            assert rows[-1] == (0, 0, 0)

        async def count(ctx):
            while True:
                _, _, drained, fault = await ctx.tick().sample(drain.drained, drain.fault)
                assert not fault
                self.pulses += [drained] * drained

        simulate(
            bench,
            feed,
            take,
            background=[bench.accumulators, count],
            watch=[drain.word],
            limit=limit,
        )
        assert self.words == self.expected
        assert self.ends == self.expected_ends
        assert len(self.pulses) == len(jobs)

    def _expected(self, job):
        return self.bench.fill(job) if job.fields.get("winograd") else self.bench.words(job)


@pytest.mark.parametrize(("rows", "cols", "lanes"), CONFIGS)
@pytest.mark.parametrize(("stall_in", "stall_out"), [(0.0, 0.0), (0.98, 0.9)])
def test_words_are_the_sums_of_the_direct_convolution(rows, cols, lanes, stall_in, stall_out):
    config = make_config(rows, cols, lanes, acc_width=32 - rows)
    bench = DrainBench(config, seed=rows * cols + lanes)
    blocks = config.col_groups
    jobs = [
        patches_job(6, 4, blocks=blocks, param_base=lanes, high=100),
        patches_job(10, 6, 2, bank=1, pool=1, acc_base=5, zero_point=-9, low=-9),
        patches_job(1, 1, acc_base=20 * LANES),
        patches_job(4, 10, blocks=blocks, pool=1, acc_base=30 * LANES),
        patches_job(3, 9, 2, acc_base=40 * LANES),
    ]
    Run(bench, jobs, stall_in=stall_in, stall_out=stall_out)


def random_jobs(random, config, count):
    """Return jobs of both kinds: windows of the first sums, patches in places of their own."""
    jobs, first = [], [LANES, LANES]
    while len(jobs) < count:
        common = {
            "blocks": random.randint(1, config.col_groups),
            "bank": random.getrandbits(1),
            "param_base": random.randrange(0, config.param_depth - config.cols, config.post_lanes),
            "zero_point": random.randint(-128, 127),
        }
        if random.random() < 0.3:
            counts = tuple(random.randint(1, 3) for _ in range(5))
            strides = (1, 3, 2, 6, 0)
            assert np.dot(np.array(counts) - 1, strides) < LANES
            jobs.append(windows_job(counts, strides, **common))
            continue
        pool = random.getrandbits(1)
        width, height = (random.randint(1, 20) << pool for _ in range(2))
        images = random.randint(1, 2)
        words = LANES * images * -(-width // 4) * -(-height // 4)
        base = first[common["bank"]]
        if base + words <= config.acc_depth and words <= 20 * LANES:
            first[common["bank"]] += words
            jobs.append(patches_job(width, height, images, pool=pool, acc_base=base, **common))
    return jobs


@pytest.mark.parametrize("seed", range(6))
def test_random_jobs_of_both_kinds(seed):
    random = Random(seed)
    rows, cols, lanes = random.choice(CONFIGS)
    config = make_config(rows, cols, lanes, patches=150, acc_width=random.randint(20, 32))
    stall_in, stall_out = random.choice([0, 0.98]), random.choice([0, 0.5, 0.95])
    print(f"seed {seed}: {rows}x{cols}, {lanes} lanes, stalls {stall_in} and {stall_out}")
    jobs = random_jobs(random, config, 7)
    Run(DrainBench(config, seed), jobs, stall_in=stall_in, stall_out=stall_out)


def test_the_widest_strips_of_64_sums():
    bench = DrainBench(make_config(4, 4, 4, patches=64), seed=1)
    Run(bench, [patches_job(64, 9), patches_job(61, 2, pool=0, bank=1)])


@pytest.mark.parametrize(("lanes", "groups"), [(4, 1), (2, 2), (1, 4)])
def test_patches_take_36_cycles_for_each_group_of_lanes_without_a_pause(lanes, groups):
    config = make_config(4, 4, lanes)
    bench = DrainBench(config, seed=0)
    drain = bench.drain
    job = patches_job(12, 5)
    rows = []

    async def feed(ctx):
        ctx.set(drain.word.ready, 1)
        await stream_put(ctx, drain.job, [job.payload(config)])
        rows.extend(await trace(ctx, 1500, drain.busy, drain.active, drain.word.valid))

    simulate(bench, feed, background=[bench.accumulators])
    cycles = 6 * LANES * groups
    assert [cycle for cycle, (busy, _, _) in enumerate(rows) if busy] == list(range(cycles))
    # The next STORE may begin three cycles after the last strip's words may be read.
    assert sum(active for _, active, _ in rows) == cycles + strip_latency(config) + 2
    # A word stands at the queue's end four cycles after its read.
    strips = [cycles // 2 - 1, cycles - 1]
    valid = [cycle for cycle, row in enumerate(rows) if row[2]]
    begins = [last + strip_latency(config) + 4 for last in strips]
    wanted = [begins[0] + k for k in range(48)] + [begins[1] + k for k in range(12)]
    assert valid == wanted


def test_a_third_strip_waits_until_the_words_of_the_first_have_left():
    config = make_config(4, 4, 4)
    bench = DrainBench(config, seed=3)
    drain = bench.drain
    job = patches_job(40, 12)
    expected = bench.fill(job)
    words = []

    async def feed(ctx):
        await stream_put(ctx, drain.job, [job.payload(config)])
        # 160 words do not fit the queue.
        rows = await trace(ctx, 1500, drain.busy)
        assert sum(busy for (busy,) in rows) == 2 * 10 * LANES
        got = await stream_get(ctx, drain.word, len(expected))
        words.extend(bench.unpack(word) for word in got)

    simulate(bench, feed, background=[bench.accumulators], watch=[drain.word])
    assert words == expected


@pytest.mark.parametrize("cycle", [20, 75, 150, 230, 300])
def test_after_a_reset_nothing_of_the_store_before_is_left(cycle):
    bench = DrainBench(make_config(4, 4, 4), seed=cycle)
    drain = bench.drain
    jobs = [
        patches_job(8, 12),
        patches_job(10, 6, pool=1, bank=1),
        windows_job((1,) * 5, (0,) * 5, acc_base=6 * LANES),
    ]
    places = [bench.fill(job) for job in jobs[:2]] + [bench.words(jobs[2])]
    rst = Signal()
    words = []

    async def test(ctx):
        await stream_put(ctx, drain.job, [jobs[0].payload(bench.config)])
        await ctx.tick().repeat(cycle)
        ctx.set(rst, 1)
        await ctx.tick()
        ctx.set(rst, 0)
        assert not ctx.get(drain.active)
        assert not ctx.get(drain.holds)
        assert not ctx.get(drain.word.valid)

    async def feed(ctx):
        await ctx.tick().repeat(cycle + 2)
        await stream_put(ctx, drain.job, [job.payload(bench.config) for job in jobs[1:]])

    async def take(ctx):
        await ctx.tick().repeat(cycle + 2)
        got = await stream_get(ctx, drain.word, len(places[1] + places[2]))
        words.extend(bench.unpack(word) for word in got)

    simulate(ResetInserter(rst)(bench), test, feed, take, background=[bench.accumulators])
    assert words == places[1] + places[2]


@pytest.mark.parametrize(
    ("fields", "addr"),
    [
        ({"acc_base": 29}, 144),
        ({"acc_base": 36}, 144),
        ({"acc_base": 0}, None),
        ({"param_base": 16}, 16),
        ({"param_base": 12}, None),
    ],
)
def test_an_address_beyond_a_buffer_is_a_fault(fields, addr):
    config = make_config(4, 4, 4, patches=4)
    assert (config.acc_depth, config.param_depth) == (144, 16)
    drain = Drain(config)
    job = patches_job(8, 7, **fields)
    seen = []

    async def bench(ctx):
        ctx.set(drain.word.ready, 1)
        await stream_put(ctx, drain.job, [job.payload(config)])
        rows = await trace(ctx, 400, drain.fault, drain.fault_addr)
        seen.extend(at for fault, at in rows if fault)

    simulate(drain, bench)
    assert min(seen, default=None) == addr
