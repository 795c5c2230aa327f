"""The transform of activations against NumPy: random starts, pauses, and each lane's extremes."""

from random import Random

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from systolith_hw.compute.winograd.transform import PatchTransform
from systolith_hw.spec.winograd import B_T, DATA_WIDTH, LANES, PATCH, data_range
from systolith_sim.testing.streams import simulate

B = np.array(B_T)


def lanes_of(patches):
    """Return the lanes of patches of shape (..., 6, 6)."""
    return np.einsum("ij,...jk,lk->...il", B, patches, B).reshape(*patches.shape[:-2], LANES)


def random_starts(count, pause, random):
    starts = [random.randint(0, 40)]
    for _ in range(count - 1):
        starts.append(starts[-1] + LANES + random.randint(0, pause))
    return starts


def run(patches, starts, seed=0, reset_at=None, record=lambda *_: ()):
    """Return the lanes of patches of shape (count, rows, 6, 6) that begin in these cycles."""
    random = Random(seed)
    rows = patches.shape[1]
    dut = PatchTransform(rows)
    reset = Signal()
    pixels = {
        (start + row + k, row): int(patch[row, k % PATCH, k // PATCH])
        for start, patch in zip(starts, patches, strict=True)
        for row in range(rows)
        for k in range(LANES)
    }
    seen = []

    async def bench(ctx):
        for cycle in range(starts[-1] + LANES + PatchTransform.LATENCY + rows):
            ctx.set(reset, cycle == reset_at)
            ctx.set(dut.begin, cycle in starts)
            for row in range(rows):
                ctx.set(dut.i[row], pixels.get((cycle, row), random.randint(-128, 127)))
            _, _, values = await ctx.tick().sample(dut.o)
            seen.append([values[row] for row in range(rows)])

    simulate(ResetInserter(reset)(dut), bench, background=record(dut, reset))
    return np.array(
        [
            [
                [seen[start + row + PatchTransform.LATENCY + k][row] for k in range(LANES)]
                for row in range(rows)
            ]
            for start in starts
        ]
    )


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("pause", [0, 1, 7, 50])
def test_lanes_are_those_of_the_matrices_at_any_pause(rows, pause):
    rng = np.random.default_rng(rows + pause)
    patches = rng.integers(-128, 128, (24, rows, PATCH, PATCH))
    patches[::3] = rng.choice([-128, 127], patches[::3].shape)
    got = run(patches, random_starts(len(patches), pause, Random(pause)))
    assert np.array_equal(got, lanes_of(patches))


def test_each_lane_reaches_its_extremes():
    signs = np.einsum("ij,lk->iljk", B, B).reshape(LANES, PATCH, PATCH)
    highest = np.where(signs > 0, 127, -128)
    lowest = np.where(signs > 0, -128, 127)
    patches = np.concatenate([highest, lowest])[:, None]
    got = run(patches, [LANES * index for index in range(len(patches))])[:, 0]
    for lane in range(LANES):
        assert (got[LANES + lane, lane], got[lane, lane]) == data_range(lane)
    assert abs(got).max() < 1 << (DATA_WIDTH - 1)


@pytest.mark.rtl
@pytest.mark.parametrize("reset_at", [None, 700])
def test_the_netlist_gives_the_same_lanes(ecp5_recording, reset_at):
    rng = np.random.default_rng(8)
    patches = rng.choice([-128, 127], (24, 3, PATCH, PATCH))
    patches[::2] = rng.integers(-128, 128, patches[::2].shape)
    run(patches, random_starts(24, 7, Random(8)), reset_at=reset_at, record=ecp5_recording.record)
    # The first patch fills the memories.
    assert ecp5_recording.wrong_cycles(settle=150) == 0


def test_the_lanes_have_the_width_of_the_specification():
    assert PatchTransform(2).o[0].shape().width == DATA_WIDTH


@pytest.mark.parametrize("reset_at", [3, 20, 45, 70])
def test_after_a_reset_in_the_middle_of_a_patch_the_next_ones_are_right(reset_at):
    rng = np.random.default_rng(reset_at)
    patches = rng.integers(-128, 128, (4, 2, PATCH, PATCH))
    starts = [0, 36, 180, 216]
    got = run(patches, starts, reset_at=reset_at)
    assert np.array_equal(got[2:], lanes_of(patches[2:]))
