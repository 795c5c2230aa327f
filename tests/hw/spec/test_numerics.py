"""The rules of numbers against exact fractions."""

from fractions import Fraction
from math import floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from systolith_hw.spec.numerics import (
    MAX_SHIFT,
    device_offset,
    fits_signed,
    requantize,
    sum_bounds,
)

PROPERTY = settings(derandomize=True, deadline=None, database=None, max_examples=300)
SUMS = st.integers(-(1 << 31), (1 << 31) - 1)


@pytest.mark.requirement("NUM-3")
@PROPERTY
@given(SUMS, SUMS, st.integers(0, (1 << 24) - 1), st.integers(1, MAX_SHIFT), st.integers(-128, 127))
def test_requantize_is_the_nearest_integer_halves_up(acc, bias, multiplier, shift, zero_point):
    exact = Fraction((acc + bias) * multiplier, 1 << shift)
    expected = min(max(floor(exact + Fraction(1, 2)) + zero_point, -128), 127)
    assert requantize(acc, bias, multiplier, shift, zero_point, -128, 127) == expected


@pytest.mark.parametrize(("acc", "expected"), [(3, 2), (2, 1), (1, 1), (-1, 0), (-2, -1), (-3, -1)])
def test_halves_round_towards_plus_infinity(acc, expected):
    assert requantize(acc, 0, 1, 1, 0, -128, 127) == expected


def test_the_clamp_comes_after_the_zero_point():
    assert requantize(-100, 0, 2, 1, 10, 10, 127) == 10
    assert requantize(100, 0, 2, 1, 50, -128, 127) == 127
    assert requantize(0, 0, 2, 1, 5, -128, 3) == 3


@pytest.mark.requirement("NUM-4")
@PROPERTY
@given(
    st.lists(st.tuples(st.integers(-127, 127), st.integers(-128, 127)), max_size=20),
    st.integers(-(1 << 20), 1 << 20),
)
def test_no_partial_sum_leaves_its_bounds(taps, bias):
    positive = sum(weight for weight, _ in taps if weight > 0)
    negative = sum(weight for weight, _ in taps if weight < 0)
    low, high = sum_bounds(positive, negative, bias)
    total = 0
    for weight, activation in taps:
        total += weight * activation
        assert low <= total <= high
        assert low <= total + bias <= high


@pytest.mark.requirement("NUM-4")
def test_the_bounds_are_reached():
    low, high = sum_bounds(10, -3, 0)
    assert high == 10 * 127 + 3 * 128
    assert low == -10 * 128 - 3 * 127
    assert sum_bounds(10, -3, 100) == (low, high + 100)


def test_fits_signed_and_device_offset():
    assert [fits_signed(value, 8) for value in (-129, -128, 127, 128)] == [False, True, True, False]
    assert (device_offset(True), device_offset(False)) == (128, 0)
