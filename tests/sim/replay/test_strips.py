"""Winograd's STOREs in the replay, cycle by cycle next to the gateware's drain."""

from random import Random

import numpy as np
import pytest
from numba import njit

from systolith_hw.spec.isa import Instruction, Opcode
from systolith_hw.spec.legal import broken_rule
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.winograd import LANES
from systolith_hw.store.drain import Drain
from systolith_sim.replay import bus, control, fetch, store, strips
from systolith_sim.replay.facts import make_facts
from systolith_sim.replay.parts import IDLE, ITEMS, READY, STATE, zeroed
from systolith_sim.replay.table import COLUMNS, make_table
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.drain_bench import patches_job, windows_job
from systolith_sim.testing.streams import simulate, stream_put

SHAPES = [(2, 2), (4, 12), (8, 6), (20, 8), (40, 8), (63, 3), (64, 2), (2, 36)]


def random_job(config, random):
    """Return a job of a few windows or patches, and its words."""
    blocks = random.randint(1, config.col_groups)
    if random.random() < 0.4:
        counts = [random.randint(1, 2), random.randint(1, 2), random.randint(1, 40), 2, 1]
        return windows_job(counts, (1,) * 5, blocks=blocks), blocks * counts[2] * 2
    width, height = random.choice(SHAPES)
    images, pool = random.randint(1, 2), random.getrandbits(1) * (1 - width % 2)
    job = patches_job(width, height, images, blocks=blocks, pool=pool)
    return job, blocks * images * (width >> pool) * (height >> pool)


def instruction(job, words, config):
    """Return the STORE of a job, whose words are one run."""
    region = {"addr": 0, "run_words": words, "runs": 1, "planes": 1}
    found = Instruction(Opcode.STORE, {**job.payload(config), **region})
    assert broken_rule(found, config) is None
    return found


def simulated(config, jobs, ready):
    """Return for each cycle whether a sum is read, a STORE is drained, and a word is offered."""
    drain = Drain(config)
    rows = []

    async def feed(ctx):
        await stream_put(ctx, drain.job, [job.payload(config) for job in jobs])

    async def take(ctx):
        for now in ready:
            ctx.set(drain.word.ready, bool(now))
            _, _, *row = await ctx.tick().sample(drain.busy, drain.active, drain.word.valid)
            rows.append(row)

    simulate(drain, feed, take, limit=len(ready) + 10)
    return np.array(rows, np.bool_)


@njit
def replayed(table, facts, mine, ready, times):
    """Return the same of the replay's engine, whose instructions wait only for the drain."""
    f = facts[0]
    items, storer, staged = zeroed(ITEMS), zeroed(store.STORE), zeroed(strips.STRIPS)
    fetches, tokens, writes = zeroed(fetch.FETCH), zeroed(control.CONTROL), zeroed(bus.WRITE_PORT)
    store.start(storer, f)
    rows = np.zeros((len(ready), 3), np.bool_)
    row = 0
    for now in range(len(ready)):
        storer.gate_row = row
        storer.gate_full = storer.computed_met = storer.loaded_met = row < len(table)
        storer.walker[STATE] = IDLE
        store.offer(storer, staged, f, table, items, tokens, writes, now)
        storer.takes_word = ready[now]
        storer.moved = ready[now] and storer.words[READY] != 0
        rows[now, 0] = storer.reads_sum
        rows[now, 1] = not storer.drain_idle
        rows[now, 2] = storer.words[READY] != 0
        row += storer.leaves_gate
        store.step(storer, staged, f, table, items, mine, fetches, times, now)
    return rows


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("share", [1.0, 0.3, 0.08])
def test_sums_are_read_and_words_come_in_the_cycles_of_the_gateware(seed, share):
    random = Random(f"{seed} {share}")
    rows, cols, lanes = random.choice([(4, 4, 4), (4, 8, 4), (4, 4, 2), (2, 2, 1)])
    config = small_config(rows, cols, post_lanes=lanes, winograd=4, acc_depth=128 * LANES)
    jobs, words = zip(*(random_job(config, random) for _ in range(4)), strict=True)
    stores = [instruction(*one, config) for one in zip(jobs, words, strict=True)]
    table = make_table(stores, config, 0).rows
    facts = make_facts(config, Memory(), 0, len(table), 0)
    reads = (table[:, COLUMNS.index("windows")] * table[:, COLUMNS.index("reads")]).sum()
    cycles = int(1.2 * reads + sum(words) / share + 700)
    ready = np.array([random.random() < share for _ in range(cycles)])
    times = np.full((len(table), 4), -1, np.int64)
    found = replayed(table, facts, store.mine(table), ready, times)
    wanted = simulated(config, jobs, ready)
    assert (wanted[:, 2] & ready).sum() == sum(words)
    differ = np.flatnonzero((found != wanted).any(axis=1))
    assert len(differ) == 0, (cycles, differ[:5], wanted[differ[:5]], found[differ[:5]])
    assert (np.diff(times[:, :3], axis=1) >= 0).all()
