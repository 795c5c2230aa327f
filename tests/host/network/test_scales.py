"""Scales, zero points, multipliers and shifts."""

import numpy as np
import pytest

from systolith_host.errors import SystolithError
from systolith_host.network.scales import (
    activation_scale,
    quantize_weight,
    requantisation,
    weight_limit,
)
from systolith_hw.spec.numerics import MAX_SHIFT


def test_tensor_that_is_never_negative_is_unsigned():
    scale = activation_scale(0.0, 5.1)
    assert (scale.unsigned, scale.zero_point) == (True, 0)
    assert scale.scale == pytest.approx(0.02)
    assert scale.quantize(np.array([0, 0.02, 5.1, 9, -1])).tolist() == [0, 1, 255, 255, 0]


@pytest.mark.parametrize(("low", "high"), [(-2.1, 2.64), (-7, -1), (-1e-3, 800), (-800, 1e-3)])
def test_signed_tensor_holds_its_range_and_zero(low, high):
    scale = activation_scale(low, high)
    assert not scale.unsigned
    assert -128 <= scale.zero_point <= 127
    values = scale.quantize(np.array([low, 0.0, high]))
    real = (values.astype(float) - scale.zero_point) * scale.scale
    assert np.allclose(real, [low, 0.0, high], atol=scale.scale)
    assert real[1] == 0.0


@pytest.mark.parametrize("bits", [8, 4])
def test_weights_of_fewer_bits_stay_within_them(bits):
    weight = np.random.default_rng(bits).standard_normal((70, 300)).astype(np.float32)
    made, _, scale = quantize_weight(weight, np.zeros(70, np.float32), 0.1, bits=bits)
    limit = weight_limit(bits)
    assert (made.min(), made.max()) == (-limit, limit)
    error = np.square(made * scale[:, None] - weight).mean(axis=1)
    plain = np.abs(weight).max(axis=1, keepdims=True) / limit
    whole = np.square(np.rint(weight / plain) * plain - weight).mean(axis=1)
    # With few steps it pays to clip the largest weights.
    assert (error <= whole * 1.001).all()
    assert error.mean() < (0.75 if bits == 4 else 1.001) * whole.mean()


def test_channels_without_weights_have_a_scale_at_any_bits():
    weight = np.zeros((2, 9), np.float32)
    made, bias, scale = quantize_weight(weight, np.array([1.0, 0], np.float32), 0.1, bits=4)
    assert not made.any()
    assert (scale > 0).all()
    assert bias[0] * 0.1 * scale[0] == pytest.approx(1)


def test_constant_tensor_still_has_a_scale():
    assert activation_scale(0.0, 0.0).scale > 0


def test_weights_use_their_whole_range_in_each_channel():
    weight = np.random.default_rng(1).normal(size=(5, 4, 3, 3)).astype(np.float32)
    weight *= np.array([1, 10, 0.01, 1e-6, 1e4], np.float32).reshape(-1, 1, 1, 1)
    quantised, bias, scale = quantize_weight(weight, np.zeros(5, np.float32), 0.1)
    assert quantised.dtype == np.int8
    assert np.abs(quantised).reshape(5, -1).max(axis=1).tolist() == [127] * 5
    error = np.abs(quantised * scale.reshape(-1, 1, 1, 1) - weight)
    assert (error.reshape(5, -1).max(axis=1) <= scale * 0.5001).all()
    assert bias.tolist() == [0] * 5


def test_bias_is_in_steps_of_the_sum():
    weight = np.full((1, 1, 1, 1), 1.27, np.float32)
    _, bias, scale = quantize_weight(weight, np.array([3.0], np.float32), 0.1)
    assert scale[0] == pytest.approx(0.01)
    assert bias.tolist() == [3000]


def test_dead_channels_keep_their_bias():
    weight = np.zeros((3, 2, 1, 1), np.float32)
    weight[1] = 1e-20
    quantised, bias, scale = quantize_weight(weight, np.array([0, 2, -2], np.float32), 0.5)
    assert not quantised.any()
    assert (scale > 0).all()
    assert np.allclose(bias * scale * 0.5, [0, 2, -2])
    assert np.abs(bias).max() <= 1 << 24


@pytest.mark.parametrize("width", [8, 16, 24])
def test_multiplier_is_normalised_and_precise(width):
    ratio = np.concatenate([np.geomspace(1e-9, 100, 200), 2.0 ** -np.arange(1, 20)])
    multiplier, shift = requantisation(ratio, width, "layer")
    assert ((multiplier >= 1 << (width - 1)) & (multiplier < 1 << width)).all()
    assert ((shift >= 1) & (shift <= MAX_SHIFT)).all()
    assert np.allclose(multiplier / 2.0**shift, ratio, rtol=2.0**-width)


def test_multiplier_that_rounds_up_to_a_power_of_two_is_halved():
    multiplier, shift = requantisation(np.array([1 - 2**-20]), 8, "layer")
    assert (multiplier.tolist(), shift.tolist()) == ([128], [7])


def test_tiny_ratio_takes_the_largest_shift():
    multiplier, shift = requantisation(np.array([2.0**-58, 2.0**-80]), 16, "layer")
    assert shift.tolist() == [MAX_SHIFT, MAX_SHIFT]
    assert multiplier.tolist() == [16, 0]


@pytest.mark.parametrize("width", [9, 16, 24])
def test_ratio_beyond_the_multiplier_crosses_the_output_in_a_step(width):
    largest = ((1 << width) - 1) / 2
    multiplier, shift = requantisation(np.array([largest, largest + 1, 1e40]), width, "layer")
    assert (multiplier / 2.0**shift).tolist() == [largest] * 3
    assert largest > 255


@pytest.mark.parametrize(("low", "high"), [(0, 1e-12), (-1e-20, 3e-12), (-1e-28, 0)])
def test_tiny_tensor_keeps_its_values(low, high):
    scale = activation_scale(low, high)
    values = np.linspace(low, high, 7)
    real = (scale.quantize(values).astype(float) - scale.zero_point) * scale.scale
    assert np.allclose(real, values, rtol=0, atol=(high - low) / 255)


def test_ratio_out_of_range_names_layer_and_channel():
    with pytest.raises(SystolithError, match=r"^conv1: channel 1 must be scaled by 200, which is"):
        requantisation(np.array([1.0, 200.0]), 8, "conv1")
    with pytest.raises(SystolithError, match=r"^conv1: scale of channel 0 must be positive, not"):
        requantisation(np.array([np.nan]), 8, "conv1")


def test_kept_weights_keep_a_float_bias_of_more_than_32_bits():
    weight = np.array([[1e-8], [1e-8], [1e-8]], np.float32)
    kept = np.full(3, 1e-10)
    bias = np.array([0.5, -0.5, 0.02 * 1e-10 * (2**31 - 1)])
    integers, whole, scale = quantize_weight(weight, bias, 0.02, kept)
    np.testing.assert_allclose(whole * 0.02 * scale, bias, rtol=1e-6)
    assert integers[2, 0] == 100
    assert scale[2] == kept[2]
    assert whole[2] == 2**31 - 1
    assert (integers[:2] == 0).all()
