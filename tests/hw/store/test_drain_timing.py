"""The drain keeps to the timing that the specification states, cycle by cycle, with both kinds."""

from collections import deque
from random import Random

import pytest

from systolith_hw.spec import timing
from systolith_hw.spec.winograd import LANES, OUTPUTS
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.drain_bench import DrainBench, patches_job, windows_job
from systolith_sim.testing.streams import simulate, stream_put


class Queue:
    """The drain's queue of words: two cycles from input to output."""

    def __init__(self):
        self.stored, self.valid = 0, False

    def step(self, arrives, ready):
        moves = self.stored > 0 and (not self.valid or ready)
        self.stored += arrives - moves
        self.valid = moves or (self.valid and not ready)


def pieces(job, config):
    """Return for each word of windows, or strip of patches: how many reads, and how many words."""
    fields, groups = job.fields, config.block // config.post_lanes
    dx, dy, x, y, n = job.counts
    if not fields.get("winograd"):
        return [(dx * dy * groups, 1)] * (x * y * n * fields["blocks"])
    pool, height = fields.get("pool", 0), fields["height"]
    image = [
        (x * LANES * groups, (fields["width"] >> pool) * (min(OUTPUTS, height - top) >> pool))
        for top in range(0, height, OUTPUTS)
    ]
    return image * (n * fields["blocks"])


def predict(jobs, config, ready):
    """Return for each cycle whether a sum is read, a STORE is drained, and a word is offered."""
    rows = []
    jobs = deque(jobs)
    queue, arrivals = Queue(), set()
    room, free, free_before = timing.DRAIN_WORDS, timing.STRIPS, timing.STRIPS
    strips = deque()  # the cycle from which words may be read, and how many are left
    reader_free, cleared = 0, 0
    job, left, read, idle_from, active_from = None, deque(), 0, 0, 0
    for now, taken_away in enumerate(ready):
        patches = job is not None and job.fields.get("winograd", 0)
        active = bool(left) and now >= active_from
        # A direct STORE waits for room, and for the words of patches of the one before.
        waits = not patches and (strips or now < cleared)
        begins = active and read == 0
        may_begin = free_before > 0 if patches else room > 0 and not waits
        busy = active and (not begins or may_begin)
        reading = bool(strips) and now >= max(strips[0][0], reader_free) and room > 0
        rows.append((busy, now < idle_from, queue.valid))

        free_before = free
        room += queue.valid and taken_away
        if reading:
            room -= 1
            strips[0][1] -= 1
            arrivals.add(now + timing.STAGED)
            if strips[0][1] == 0:
                strips.popleft()
                free += 1
                reader_free, cleared = now + 2, now + timing.STAGED_CLEAR
        if busy and begins:
            room, free = (room, free - 1) if patches else (room - 1, free)
        if busy:
            read += 1
            if read == left[0][0]:
                _, words = left.popleft()
                read = 0
                latency = timing.strip_latency if patches else timing.drain_latency
                if patches:
                    strips.append([now + latency(config), words])
                else:
                    arrivals.add(now + latency(config))
                if not left:
                    idle_from = now + latency(config) + 3
        queue.step(now in arrivals, taken_away)
        if not left and now >= idle_from and jobs:
            job = jobs.popleft()
            left = deque(pieces(job, config))
            idle_from, active_from = len(ready), now + 1
    return rows


def random_job(random, config):
    blocks = random.randint(1, config.col_groups)
    if random.random() < 0.5:
        counts = [random.randint(1, 2), random.randint(1, 2), random.randint(1, 20), 2, 1]
        return windows_job(counts, (1, 1, 1, 1, 1), blocks=blocks)
    pool = random.getrandbits(1)
    width, height = random.choice([(2, 2), (4, 12), (8, 6), (20, 8), (40, 8), (64, 2), (2, 36)])
    return patches_job(width, height, random.randint(1, 2), blocks=blocks, pool=pool)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("share", [1.0, 0.5, 0.1])
def test_it_reads_and_gives_words_in_the_cycles_that_the_specification_says(seed, share):
    random = Random(f"{seed} {share}")
    print(f"seed {seed} {share}")
    rows, cols, lanes = random.choice([(4, 4, 4), (4, 8, 4), (4, 4, 2), (2, 2, 1)])
    config = small_config(rows, cols, post_lanes=lanes, winograd=4, acc_depth=128 * LANES)
    bench = DrainBench(config, seed)
    drain = bench.drain
    jobs = [random_job(random, config) for _ in range(5)]
    reads = sum(piece for job in jobs for piece, _ in pieces(job, config))
    words = sum(count for job in jobs for _, count in pieces(job, config))
    ready = [random.random() < share for _ in range(int(1.2 * reads + words / share + 700))]
    got = []

    async def feed(ctx):
        await stream_put(ctx, drain.job, [job.payload(config) for job in jobs])

    async def take(ctx):
        for now in ready:
            ctx.set(drain.word.ready, now)
            _, _, *row = await ctx.tick().sample(drain.busy, drain.active, drain.word.valid)
            got.append(tuple(map(bool, row)))

    simulate(drain, feed, take, limit=len(ready) + 10)
    assert sum(valid and now for (_, _, valid), now in zip(got, ready, strict=True)) == words
    assert got == [tuple(map(bool, row)) for row in predict(jobs, config, ready)]
