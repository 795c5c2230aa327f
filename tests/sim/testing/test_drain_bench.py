"""The drain's bench: what it expects of jobs that are small enough to see."""

import numpy as np

from systolith_hw.spec.numerics import requantize
from systolith_hw.spec.winograd import A_T, LANES, OUTPUTS, PATCH, SCALE
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.drain_bench import DrainBench, patches_job, windows_job


def results(bench, sums, columns=4):
    """Return the requantised sums (columns, ...) of the first columns."""
    return np.array(
        [
            [
                requantize(
                    int(value),
                    int(bench.bias[column]),
                    int(bench.multiplier[column]),
                    int(bench.shift[column]),
                    0,
                    -128,
                    127,
                )
                for value in sums[column].ravel()
            ]
            for column in range(columns)
        ]
    )


def test_a_word_of_windows_has_the_maxima_of_their_sums():
    bench = DrainBench(small_config(4, 4), seed=1)
    words = bench.words(windows_job((2, 1, 1, 1, 1), (5, 0, 0, 0, 0), acc_base=3))
    sums = bench.banks[0, [3, 8]].T
    assert words == [tuple(results(bench, sums).max(axis=1).tolist())]


def test_the_lanes_that_it_fills_in_give_the_words_that_it_expects():
    config = small_config(4, 4, winograd=4, acc_depth=4 * LANES)
    bench = DrainBench(config, seed=2)
    transform = np.array(A_T, object)
    for pool in (0, 1):
        job = patches_job(8, 2, pool=pool)
        words = bench.fill(job)
        lanes = bench.banks[0, : 2 * LANES].reshape(PATCH, PATCH, 2, 4).transpose(3, 2, 0, 1)
        # SCALE**2 = 2**6 * 9, and 9 has an inverse.
        exact = (transform @ lanes.astype(object) @ transform.T) >> 6
        total = exact * pow(SCALE**2 >> 6, -1, 1 << config.acc_width)
        half = 1 << (config.acc_width - 1)
        total = (total + half) % (2 * half) - half
        rows = total[:, :, :2].transpose(0, 2, 1, 3).reshape(4, 2, 2 * OUTPUTS)
        wanted = results(bench, rows).reshape(4, 2, -1)
        if pool:
            wanted = wanted.reshape(4, 1, 2, -1, 2).max(axis=(2, 4))
        assert words == [tuple(word) for word in wanted.reshape(4, -1).T.tolist()]
