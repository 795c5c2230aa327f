"""One lane of the output transform, with its control given by hand."""

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from systolith_hw.spec.winograd import LANES, OUTPUTS, PATCH
from systolith_hw.store.winograd.lane import TURN_DEPTH, OutputLane
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.patches import direct_sums, lane_sums, random_patches
from systolith_sim.testing.streams import simulate

WORDS = PATCH * OUTPUTS


def make_lane(acc_width):
    return OutputLane(small_config(winograd=4, acc_depth=4 * LANES, acc_width=acc_width))


def schedule(starts):
    """Return by cycle what the control is for patches that begin in those cycles."""
    control = {}
    for patch, start in enumerate(starts):
        for column in range(PATCH):
            control.setdefault(start + PATCH * column, {})["column"] = 1
        for row, column in np.ndindex(OUTPUTS, PATCH):
            cycle = start + OutputLane.READ + PATCH * row + column
            addr = (WORDS * patch + OUTPUTS * column + row) % TURN_DEPTH
            control.setdefault(cycle, {})["addr"] = addr
            if column == 0:
                control.setdefault(cycle + 1, {})["row"] = 1
    return control


async def play(ctx, dut, starts, words, rst=None, reset_at=None):
    """Return the lane's results and what it passes on, by cycle."""
    control = schedule(starts)
    results, passed = {}, {}
    for cycle in range(starts[-1] + LANES + OutputLane.LATENCY):
        given = control.get(cycle, {}) if reset_at is None or cycle < reset_at else {}
        now = {"column": 0, "row": 0, "addr": 0, **given}
        ctx.set(dut.control, now)
        for start, patch in zip(starts, words, strict=True):
            if 0 <= cycle - start < LANES:
                ctx.set(dut.i, int(patch[cycle - start]) % (1 << dut.config.sum_width))
        if rst is not None:
            ctx.set(rst, cycle == reset_at)
        if ctx.get(dut.valid):
            results[cycle] = ctx.get(dut.o)
        after = ctx.get(dut.control_next)
        passed[cycle] = {name: after[name] for name in now}
        await ctx.tick()
    return results, passed, control


@pytest.mark.parametrize("acc_width", [20, 26, 32])
def test_sums_come_row_by_row_and_the_control_goes_on_a_cycle_later(acc_width):
    dut = make_lane(acc_width)
    patches, kernels = random_patches(np.random.default_rng(acc_width), 12, acc_width)
    words = lane_sums(patches, kernels).transpose(0, 2, 1).reshape(-1, LANES)
    sums = direct_sums(patches, kernels)
    # At once, and each distance from there to one behind the last result.
    starts = np.cumsum([0, *range(LANES, LANES + 4), *range(60, 67)]).tolist()
    outcome = []

    async def bench(ctx):
        outcome.extend(await play(ctx, dut, starts, words))

    simulate(dut, bench)
    results, passed, control = outcome
    assert results == {
        start + OutputLane.LATENCY + PATCH * row + column: int(patch[row, column])
        for start, patch in zip(starts, sums, strict=True)
        for row, column in np.ndindex(OUTPUTS, OUTPUTS)
    }
    idle = {"column": 0, "row": 0, "addr": 0}
    for cycle, values in passed.items():
        assert values == {**idle, **control.get(cycle - 1, {})}


def test_a_reset_lets_no_sum_out():
    dut = make_lane(20)
    rst = Signal()
    outcome = []

    async def bench(ctx):
        words = np.zeros((2, LANES), int)
        outcome.extend(await play(ctx, dut, [0, LANES], words, rst, OutputLane.LATENCY + 1))

    simulate(ResetInserter(rst)(dut), bench)
    assert list(outcome[0]) == [OutputLane.LATENCY, OutputLane.LATENCY + 1]


def test_the_latency_is_that_of_the_parts():
    assert (OutputLane.READ, OutputLane.LATENCY) == (35, 49)
