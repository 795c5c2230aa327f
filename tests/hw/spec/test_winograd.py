"""Winograd's numbers: exactness, and the bounds, proved by the extremes that attain them."""

import random
from itertools import product

import numpy as np
import pytest

from systolith_hw.spec import winograd as spec

A_T, B_T, G = (np.array(matrix, dtype=object) for matrix in (spec.A_T, spec.B_T, spec.G))


def transform(matrix, x):
    return matrix @ x @ matrix.T


def direct(patch, kernel):
    rows = range(spec.OUTPUTS)
    return np.array([[(patch[y : y + 3, x : x + 3] * kernel).sum() for x in rows] for y in rows])


def extreme_patch(lane, sign):
    factors = sign * np.outer(B_T[lane // spec.PATCH], B_T[lane % spec.PATCH])
    return np.where(factors > 0, 127, -128).astype(object)


def extreme_kernel(lane, sign):
    factors = sign * np.outer(G[lane // spec.PATCH], G[lane % spec.PATCH])
    return np.where(factors > 0, 127, -128).astype(object)


def pairs():
    rng = random.Random(5)
    for _ in range(50):
        draw = lambda count: [rng.randrange(-128, 128) for _ in range(count)]  # noqa: E731
        yield np.array(draw(36), object).reshape(6, 6), np.array(draw(9), object).reshape(3, 3)
    for lane, sign, other in product(range(spec.LANES), (-1, 1), (-1, 1)):
        yield extreme_patch(lane, sign), extreme_kernel(lane, other)


def test_the_sums_are_those_of_the_direct_convolution():
    for patch, kernel in pairs():
        lanes = transform(B_T, patch) * transform(G, kernel)
        assert (transform(A_T, lanes) == spec.SCALE**2 * direct(patch, kernel)).all()


def test_extremes_attain_the_ranges_of_every_lane():
    for lane in range(spec.LANES):
        place = divmod(lane, spec.PATCH)
        patches = [transform(B_T, extreme_patch(lane, sign))[place] for sign in (-1, 1)]
        kernels = [transform(G, extreme_kernel(lane, sign))[place] for sign in (-1, 1)]
        assert tuple(patches) == spec.data_range(lane)
        assert tuple(kernels) == spec.weight_range(lane)


def width(low, high):
    """Return the fewest bits of signed numbers that hold both."""
    return max((-low - 1).bit_length(), high.bit_length()) + 1


def test_the_widths_are_the_least_that_hold_the_ranges():
    data = [spec.data_range(lane) for lane in range(spec.LANES)]
    weights = [spec.weight_range(lane) for lane in range(spec.LANES)]
    assert width(min(low for low, _ in data), max(high for _, high in data)) == spec.DATA_WIDTH
    assert (
        width(min(low for low, _ in weights), max(high for _, high in weights)) == spec.WEIGHT_WIDTH
    )


@pytest.mark.requirement("NUM-4")
def test_the_extremes_of_a_lane_attain_the_bound_of_a_partial_sum():
    largest = max(
        abs(transform(B_T, extreme_patch(lane, a)) * transform(G, extreme_kernel(lane, b)))[
            divmod(lane, spec.PATCH)
        ]
        for lane, a, b in product(range(spec.LANES), (-1, 1), (-1, 1))
    )
    assert spec.psum_bound(1) == largest
    assert spec.psum_bound(12) == 12 * largest


def sums_of(lanes, bits, acc_width):
    """Return the sums of lanes' sums that are kept modulo 2**bits."""
    exact = transform(A_T, lanes % (1 << bits)) % (1 << bits)
    ninth = pow(9, -1, 1 << acc_width)
    found = (exact >> 6) * ninth % (1 << acc_width)
    half = 1 << (acc_width - 1)
    return (found + half) % (1 << acc_width) - half


@pytest.mark.parametrize("acc_width", [20, 24])
def test_six_bits_more_are_enough_and_five_are_not(acc_width):
    # Of one channel and more: sums up to the limits of acc_width.
    wrong = {5: 0, 6: 0}
    rng = random.Random(6)
    count = (1 << (acc_width - 1)) // (9 * 128 * 128)
    for _ in range(40):
        lanes, want = 0, 0
        for _ in range(min(count, 12)):
            patch = np.array([rng.choice([-128, 127]) for _ in range(36)], object).reshape(6, 6)
            kernel = np.array([rng.choice([-128, 127]) for _ in range(9)], object).reshape(3, 3)
            lanes = lanes + transform(B_T, patch) * transform(G, kernel)
            want = want + direct(patch, kernel)
        for extra, bad in wrong.items():
            wrong[extra] = bad + (sums_of(lanes, acc_width + extra, acc_width) != want).sum()
    assert wrong[spec.EXTRA_BITS] == 0
    assert wrong[spec.EXTRA_BITS - 1] > 0
    assert spec.sum_width(acc_width) == acc_width + spec.EXTRA_BITS


def test_the_range_of_one_dimensions_points_is_that_of_all_words():
    words = np.array(list(product((-3, 2), repeat=spec.KERNEL)))
    points = words @ np.array(spec.G).T
    assert spec.point_range(spec.G, -3, 2) == (points.min(), points.max())
