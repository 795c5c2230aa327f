"""The mesh against NumPy: random weight blocks, one after the other as fast as they may come."""

from random import Random

import numpy as np
import pytest

from systolith_hw.compute.mesh import Mesh
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.streams import simulate

SHAPES = [(2, 2), (3, 6), (4, 4), (8, 4)]


def run(config, weights, passes, starts, captures, seed=0):
    """Return the sums of each pass: ndarrays of shape (pixels, cols).

    `weights` are blocks of shape (rows, cols), `passes` activations of shape (pixels, rows);
    block b's row 0 enters column 0 in cycle captures[b], pass b's first pixel enters row 0 in cycle
    starts[b]. Everything that is not named carries noise.
    """
    rows, cols = config.rows, config.cols
    random = Random(seed)
    latency = Mesh.latency(config)
    total = starts[-1] + len(passes[-1]) + latency + cols + rows
    act, weight = {}, {}
    swap, capture = set(starts), set(captures)
    for block, values, start, first in zip(weights, passes, starts, captures, strict=True):
        for i in range(rows):
            for p in range(len(values)):
                act[start + p + i, i] = int(values[p, i])
            for j in range(cols):
                weight[first + i + j, j] = int(block[i, j])
    dut = Mesh(config)
    sums = []

    async def bench(ctx):
        for cycle in range(total):
            for i in range(rows):
                ctx.set(dut.act[i], act.get((cycle, i), random.randrange(256)) & 255)
            for j in range(cols):
                ctx.set(dut.weight[j], weight.get((cycle, j), random.randrange(256)) & 255)
            ctx.set(dut.swap, cycle in swap)
            ctx.set(dut.capture, cycle in capture)
            _, _, psum = await ctx.tick().sample(dut.psum)
            sums.append([psum[j] for j in range(cols)])

    simulate(dut, bench)
    return [
        np.array(
            [[sums[start + p + j + latency][j] for j in range(cols)] for p in range(len(values))]
        )
        for values, start in zip(passes, starts, strict=True)
    ]


def random_blocks(config, lengths, seed):
    rng = np.random.default_rng(seed)
    weights = [rng.integers(-128, 128, (config.rows, config.cols)) for _ in lengths]
    passes = [rng.integers(-128, 128, (length, config.rows)) for length in lengths]
    return weights, passes


@pytest.mark.parametrize(("rows", "cols"), SHAPES)
def test_blocks_follow_each_other_every_rows_cycles(rows, cols):
    config = small_config(rows, cols)
    weights, passes = random_blocks(config, [rows] * 6, seed=rows * cols)
    captures = [rows * index for index in range(6)]
    starts = [capture + rows for capture in captures]
    sums = run(config, weights, passes, starts, captures)
    for got, block, values in zip(sums, weights, passes, strict=True):
        assert np.array_equal(got, values @ block)


@pytest.mark.parametrize(("rows", "cols"), SHAPES)
def test_passes_and_pauses_of_any_length(rows, cols):
    random = Random(rows)
    config = small_config(rows, cols)
    lengths = [random.randint(rows, 3 * rows) for _ in range(5)]
    weights, passes = random_blocks(config, lengths, seed=rows + cols)
    starts, captures = [], []
    cycle = 0
    for length in lengths:
        captures.append(random.randint(starts[-1] if starts else 0, cycle + 2))
        starts.append(max(cycle, captures[-1] + rows) + random.randint(0, 3))
        cycle = starts[-1] + length
    sums = run(config, weights, passes, starts, captures, seed=1)
    for got, block, values in zip(sums, weights, passes, strict=True):
        assert np.array_equal(got, values @ block)


@pytest.mark.parametrize(("rows", "cols"), [(2, 2), (3, 6), (8, 4)])
@pytest.mark.parametrize("weight", [-128, 127])
def test_extreme_values_fit_the_partial_sums(rows, cols, weight):
    config = small_config(rows, cols)
    values = np.array([[-128] * rows, [127] * rows] * rows)
    sums = run(config, [np.full((rows, cols), weight)], [values], [rows], [0])
    assert np.array_equal(sums[0], values @ np.full((rows, cols), weight))


def test_a_weight_block_a_cycle_early_is_not_the_same():
    """The rule that the next block must not come before the swap is needed."""
    config = small_config(4, 4)
    weights, passes = random_blocks(config, [4, 4], seed=3)
    early = run(config, weights, passes, [4, 8], [0, 3])
    assert not np.array_equal(early[0], passes[0] @ weights[0])
