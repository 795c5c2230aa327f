"""The transform of weights against NumPy: random starts, pauses, and each lane's extremes."""

from random import Random

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from systolith_hw.compute.winograd.weights import KernelTransform
from systolith_hw.spec.winograd import KERNEL, LANES, WEIGHT_WIDTH, G, weight_range
from systolith_sim.testing.streams import simulate

TAPS = KERNEL * KERNEL
POINTS = np.array(G)


def lanes_of(kernels):
    """Return the lanes of kernels of shape (..., 3, 3)."""
    lanes = np.einsum("ij,...jk,lk->...il", POINTS, kernels, POINTS)
    return lanes.reshape(*kernels.shape[:-2], LANES)


def random_starts(count, pause, random):
    starts = [random.randint(1, 40)]
    for _ in range(count - 1):
        starts.append(starts[-1] + LANES + random.randint(0, pause))
    return starts


def run(kernels, starts, seed=0, reset_at=None, record=lambda *_: ()):
    """Return the lanes of kernels of shape (count, cols, 3, 3) whose first taps come then."""
    random = Random(seed)
    cols = kernels.shape[1]
    dut = KernelTransform(cols)
    reset = Signal()
    taps = {
        (start + col + k, col): int(kernel[col, k // KERNEL, k % KERNEL])
        for start, kernel in zip(starts, kernels, strict=True)
        for col in range(cols)
        for k in range(TAPS)
    }
    seen = []

    async def bench(ctx):
        for cycle in range(starts[-1] + LANES + KernelTransform.LATENCY + cols):
            ctx.set(reset, cycle == reset_at)
            ctx.set(dut.begin, cycle + 1 in starts)
            for col in range(cols):
                ctx.set(dut.i[col], taps.get((cycle, col), random.randint(-128, 127)))
            _, _, values = await ctx.tick().sample(dut.o)
            seen.append([values[col] for col in range(cols)])

    simulate(ResetInserter(reset)(dut), bench, background=record(dut, reset))
    return np.array(
        [
            [
                [seen[start + col + KernelTransform.LATENCY + k][col] for k in range(LANES)]
                for col in range(cols)
            ]
            for start in starts
        ]
    )


@pytest.mark.parametrize("cols", [1, 3])
@pytest.mark.parametrize("pause", [0, 1, 7, 50])
def test_lanes_are_those_of_the_matrices_at_any_pause(cols, pause):
    rng = np.random.default_rng(cols + pause)
    kernels = rng.integers(-128, 128, (24, cols, KERNEL, KERNEL))
    kernels[::3] = rng.choice([-128, 127], kernels[::3].shape)
    got = run(kernels, random_starts(len(kernels), pause, Random(pause)))
    assert np.array_equal(got, lanes_of(kernels))


def test_each_lane_reaches_its_extremes():
    signs = np.einsum("ij,lk->iljk", POINTS, POINTS).reshape(LANES, KERNEL, KERNEL)
    highest = np.where(signs > 0, 127, -128)
    lowest = np.where(signs > 0, -128, 127)
    kernels = np.concatenate([highest, lowest])[:, None]
    got = run(kernels, [1 + LANES * index for index in range(len(kernels))])[:, 0]
    for lane in range(LANES):
        assert (got[LANES + lane, lane], got[lane, lane]) == weight_range(lane)


@pytest.mark.rtl
@pytest.mark.parametrize("reset_at", [None, 700])
def test_the_netlist_gives_the_same_lanes(ecp5_recording, reset_at):
    rng = np.random.default_rng(8)
    kernels = rng.choice([-128, 127], (24, 3, KERNEL, KERNEL))
    kernels[::2] = rng.integers(-128, 128, kernels[::2].shape)
    run(kernels, random_starts(24, 7, Random(8)), reset_at=reset_at, record=ecp5_recording.record)
    # The first two kernels fill both halves of the memories.
    assert ecp5_recording.wrong_cycles(settle=150) == 0


def test_the_lanes_have_the_width_of_the_specification():
    assert KernelTransform(2).o[0].shape().width == WEIGHT_WIDTH


@pytest.mark.parametrize("reset_at", [3, 8, 20, 45])
def test_after_a_reset_in_the_middle_of_a_kernel_the_next_ones_are_right(reset_at):
    rng = np.random.default_rng(reset_at)
    kernels = rng.integers(-128, 128, (4, 2, KERNEL, KERNEL))
    starts = [1, 37, 180, 216]
    got = run(kernels, starts, reset_at=reset_at)
    assert np.array_equal(got[2:], lanes_of(kernels[2:]))
