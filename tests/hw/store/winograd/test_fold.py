"""The fold: six words to four, at any distance of groups, modulo its width."""

from random import Random

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from systolith_hw.spec.winograd import B_T, KERNEL, PATCH, SCALE, G
from systolith_hw.store.winograd.fold import DROPPED_BITS, Fold
from systolith_sim.testing.streams import simulate


def groups(rng, count):
    """Return the words of random convolutions of one dimension, and three times their sums."""
    made = []
    for _ in range(count):
        patch = rng.integers(-(1 << 20), 1 << 20, PATCH)
        kernel = rng.integers(-128, 128, KERNEL)
        words = (np.array(G) @ kernel) * (np.array(B_T) @ patch)
        sums = np.correlate(patch, kernel)
        made.append((words.tolist(), (SCALE // 8 * sums).tolist()))
    return made


async def play(ctx, dut, items, gap):
    """Give groups with `gap()` cycles between them; return results with their cycles."""
    queue = []
    for words, _ in items:
        queue += [(word, index == 0) for index, word in enumerate(words)]
        queue += [(None, False)] * gap()
    queue += [(None, False)] * 20
    random = Random(0)
    starts, got = [], []
    for cycle, (word, first) in enumerate(queue):
        value = random.getrandbits(dut.width) if word is None else word
        ctx.set(dut.i, value % (1 << dut.width))
        ctx.set(dut.first, first)
        if first:
            starts.append(cycle)
        if ctx.get(dut.valid):
            got.append((cycle, ctx.get(dut.o)))
        await ctx.tick()
    return starts, got


@pytest.mark.parametrize("width", [26, 33, 38])
@pytest.mark.parametrize("most_gap", [0, 1, 9])
def test_four_results_come_latency_cycles_after_the_first_word(width, most_gap):
    random = Random(width + most_gap)
    dut = Fold(width)
    items = groups(np.random.default_rng(width), 60)
    outcome = []

    async def bench(ctx):
        outcome.extend(await play(ctx, dut, items, lambda: random.randint(0, most_gap)))

    simulate(dut, bench)
    starts, got = outcome
    modulus = 1 << (width - DROPPED_BITS)
    assert got == [
        (start + Fold.LATENCY + place, value % modulus)
        for start, (_, results) in zip(starts, items, strict=True)
        for place, value in enumerate(results)
    ]


def test_a_reset_lets_no_result_out():
    dut = Fold(26)
    rst = Signal()
    seen = []

    async def bench(ctx):
        for cycle in range(40):
            ctx.set(dut.first, cycle in (0, 6, 12))
            ctx.set(rst, cycle == 13)
            seen.append((cycle, ctx.get(dut.valid)))
            await ctx.tick()

    simulate(ResetInserter(rst)(dut), bench)
    assert [cycle for cycle, valid in seen if valid] == [9, 10, 11, 12]
