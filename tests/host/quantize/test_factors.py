"""Factors of sums and means come as close to real ratios as the multiplier's width allows."""

import math
import random

import numpy as np
import pytest

from systolith_host.errors import SystolithError
from systolith_host.quantize.factors import LARGEST_FACTOR, mean_factors, sum_factors


def ratios(seed):
    rng = random.Random(seed)
    return math.exp(rng.uniform(-4, 4)), math.exp(rng.uniform(-4, 4))


@pytest.mark.parametrize("width", [8, 12, 16, 24])
@pytest.mark.parametrize("seed", range(20))
def test_both_inputs_of_a_sum_are_scaled_closer_than_16_bits_each_would(width, seed):
    wanted = ratios(seed)
    factors, multiplier, shift = sum_factors(wanted, width, "sum")
    assert 0 < multiplier < 1 << width
    assert 1 <= shift <= 62
    assert all(0 <= factor <= LARGEST_FACTOR for factor in factors)
    errors = [
        abs(factor * multiplier / 2**shift - ratio)
        for factor, ratio in zip(factors, wanted, strict=True)
    ]
    # Half a step of the larger factor: the best that rounding without a search can give each.
    step = max(wanted) / LARGEST_FACTOR / 2
    assert sum(errors) < step * (0.5 if width == 8 else 0.2 if width == 12 else 0.05)


def test_a_sum_of_equal_scales_has_equal_factors():
    factors, multiplier, shift = sum_factors((0.7, 0.7), 16, "sum")
    assert factors[0] == factors[1]
    assert factors[0] * multiplier / 2**shift == pytest.approx(0.7, rel=1e-8)


def test_an_input_far_smaller_than_the_other_may_vanish():
    factors, multiplier, shift = sum_factors((1.0, 1e-9), 16, "sum")
    assert factors[1] == 0
    assert factors[0] * multiplier / 2**shift == pytest.approx(1.0, rel=1e-8)


@pytest.mark.parametrize("ratios", [(1e12, 1.0), (1e10, 2e10), (1e33, 1e33)])
@pytest.mark.parametrize("width", [8, 16, 24])
def test_a_step_of_a_sum_crosses_the_output_where_its_ratio_is_too_large(ratios, width):
    factors, multiplier, shift = sum_factors(ratios, width, "sum")
    assert max(factors) <= LARGEST_FACTOR
    assert max(factors) * multiplier / 2**shift > 255
    assert np.argmax(factors) == np.argmax(ratios)


@pytest.mark.parametrize("bad", [(1.0, 0.0), (math.inf, 1.0), (1.0, math.nan)])
def test_a_sum_that_no_multiplier_can_scale_is_refused(bad):
    with pytest.raises(SystolithError, match=r"^sum: "):
        sum_factors(bad, 16, "sum")


@pytest.mark.parametrize("taps", [1, 4, 9, 49])
@pytest.mark.parametrize("seed", range(10))
def test_a_mean_is_scaled_closer_than_its_multiplier_is_wide(taps, seed):
    ratio = ratios(seed)[0] / taps
    weight, multiplier, shift = mean_factors(ratio, taps, 12, "mean")
    assert 1 <= weight <= 127
    assert 0 < multiplier < 1 << 12
    assert 256 * taps * weight <= 1 << 19
    assert weight * multiplier / 2**shift == pytest.approx(ratio, rel=1 / (1 << 12) / 8)


def test_a_mean_of_many_taps_keeps_its_sum_in_20_bits():
    assert mean_factors(1e-5, 10_000, 16, "mean")[0] == 1


def test_large_ratios_of_a_mean_take_large_weights():
    weight, multiplier, shift = mean_factors(100_000.0, 1, 16, "mean")
    assert weight * multiplier / 2**shift == pytest.approx(100_000.0, rel=1e-4)


@pytest.mark.parametrize("width", [9, 16, 24])
def test_a_step_of_a_mean_crosses_the_output_where_its_ratio_is_too_large(width):
    weight, multiplier, shift = mean_factors(1e12, 9, width, "mean")
    assert weight * multiplier / 2**shift > 255


@pytest.mark.parametrize("bad", [0.0, math.nan])
def test_a_mean_that_no_multiplier_can_scale_is_refused(bad):
    with pytest.raises(SystolithError, match=r"^mean: "):
        mean_factors(bad, 9, 16, "mean")
