"""The output transform: exact sums of skewed lanes, patch after patch at any distance."""

from random import Random

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from systolith_hw.spec.winograd import LANES, OUTPUTS, PATCH
from systolith_hw.store.winograd.lane import OutputLane
from systolith_hw.store.winograd.output import OutputTransform
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.patches import direct_sums, lane_sums, random_patches
from systolith_sim.testing.streams import simulate


def make_config(block, lanes, **changes):
    return small_config(block, block, post_lanes=lanes, winograd=4, acc_depth=4 * LANES, **changes)


async def play(ctx, dut, starts, words, *, rst=None, reset_at=None):
    """Give lane l word k of patch p in cycle starts[p] + k + l; return the results of each lane.

    Words are (patches, lanes, 36); cycles without a word have a random one.
    """
    width, lanes = dut.config.sum_width, dut.config.post_lanes
    random = Random(1)
    results = [{} for _ in range(lanes)]
    places = {start + k: (p, k) for p, start in enumerate(starts) for k in range(LANES)}
    for cycle in range(starts[-1] + LANES + lanes + OutputLane.LATENCY):
        ctx.set(dut.start, cycle + OutputTransform.LEAD in starts)
        if rst is not None:
            ctx.set(rst, cycle == reset_at)
        for lane in range(lanes):
            place = places.get(cycle - lane)
            word = words[place[0], lane, place[1]] if place else random.getrandbits(width)
            ctx.set(dut.i[lane], int(word) % (1 << width))
            if ctx.get(dut.valid) >> lane & 1:
                results[lane][cycle] = ctx.get(dut.o[lane])
        await ctx.tick()
    return results


def make_patches(config, count, seed):
    """Return the words and the direct sums of random patches, (count, lanes, 36 or 16)."""
    lanes = config.post_lanes
    rng = np.random.default_rng(seed)
    patches, kernels = random_patches(rng, count * lanes, config.acc_width)
    # The vertical points of a column first.
    words = lane_sums(patches, kernels).transpose(0, 2, 1)
    sums = direct_sums(patches, kernels)
    return words.reshape(count, lanes, -1), sums.reshape(count, lanes, -1)


@pytest.mark.parametrize(
    ("block", "lanes", "acc_width"), [(4, 1, 30), (4, 2, 20), (4, 4, 32), (6, 2, 27)]
)
@pytest.mark.parametrize("most_gap", [0, 1, 50])
def test_the_sums_are_those_of_the_direct_convolution(block, lanes, acc_width, most_gap):
    config = make_config(block, lanes, acc_width=acc_width)
    dut = OutputTransform(config)
    words, sums = make_patches(config, 21, acc_width)
    random = Random(most_gap)
    starts = [OutputTransform.LEAD]
    for _ in words[1:]:
        starts.append(starts[-1] + LANES + random.randint(0, most_gap))
    outcome = []

    async def bench(ctx):
        outcome.extend(await play(ctx, dut, starts, words))

    simulate(dut, bench)
    for lane, got in enumerate(outcome):
        assert got == {
            start + lane + OutputLane.LATENCY + PATCH * row + column: value
            for start, patch in zip(starts, sums[:, lane].tolist(), strict=True)
            for (row, column), value in zip(np.ndindex(OUTPUTS, OUTPUTS), patch, strict=True)
        }


@pytest.mark.rtl
def test_the_netlist_gives_the_same_sums(ecp5_recording):
    config = make_config(4, 2, acc_width=30)
    dut = OutputTransform(config)
    words, _ = make_patches(config, 12, seed=4)
    random = Random(4)
    starts = np.cumsum([LANES + random.choice([0, 0, 7]) for _ in words]).tolist()
    rst = Signal()

    async def bench(ctx):
        await play(ctx, dut, starts, words, rst=rst, reset_at=starts[7] + 20)

    background = ecp5_recording.record(dut, rst)
    simulate(ResetInserter(rst)(dut), bench, background=background)
    # Two patches fill the turns.
    assert ecp5_recording.wrong_cycles(settle=200) == 0


@pytest.mark.parametrize("cycle", [2, 20, 60, 80])
def test_after_a_reset_only_patches_that_begin_then_give_sums(cycle):
    config = make_config(4, 2)
    dut = OutputTransform(config)
    words, sums = make_patches(config, 4, seed=cycle)
    starts = [2, 38, 84, 130]
    rst = Signal()
    outcome = []

    async def bench(ctx):
        outcome.extend(await play(ctx, dut, starts, words, rst=rst, reset_at=cycle))

    simulate(ResetInserter(rst)(dut), bench)
    after = [p for p, start in enumerate(starts) if start - OutputTransform.LEAD > cycle]
    for lane, got in enumerate(outcome):
        late = {at: value for at, value in got.items() if at > cycle}
        assert list(late.values()) == [int(value) for p in after for value in sums[p, lane]]
