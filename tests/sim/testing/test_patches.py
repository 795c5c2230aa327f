"""Random patches: their sums fit, reach the extremes, and are those of the transforms."""

import numpy as np
import pytest

from systolith_hw.spec.winograd import A_T, SCALE
from systolith_sim.testing.patches import direct_sums, lane_sums, random_patches


@pytest.mark.parametrize("acc_width", [20, 30, 32])
def test_the_sums_of_random_patches_fill_the_width_and_fit_it(acc_width):
    patches, kernels = random_patches(np.random.default_rng(acc_width), 90, acc_width)
    sums = direct_sums(patches, kernels)
    most = (1 << (acc_width - 1)) - 1
    assert (sums.min(), sums.max()) == (-most - 1, most)


def test_the_output_transform_of_the_lanes_gives_the_direct_sums():
    patches, kernels = random_patches(np.random.default_rng(1), 30, 26)
    lanes = lane_sums(patches, kernels)
    transform = np.array(A_T)
    wanted = SCALE**2 * direct_sums(patches, kernels)
    assert (transform @ lanes @ transform.T == wanted).all()
