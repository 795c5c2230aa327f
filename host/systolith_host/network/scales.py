"""From real ranges to scales, zero points, multipliers and shifts."""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from systolith_host.errors import SystolithError
from systolith_hw.spec.numerics import MAX_SHIFT

__all__ = [
    "WEIGHT_LIMIT",
    "ActivationScale",
    "Held",
    "activation_scale",
    "as_held",
    "held_type",
    "quantize_weight",
    "weight_limit",
    "requantisation",
]

_SHARES = np.linspace(1, 0.3, 29, dtype=np.float32)
"""Factors of the scale of a channel's weights that are tried."""

_CHANNELS = 64
"""Channels that are tried at the same time."""

WEIGHT_LIMIT = 127
"""Weights are symmetric: -128 is not used."""

_LARGEST_BIAS = 2.0**31 + 0.5
"""Size of a bias that still is one of 32 bits, rounded."""

_BIAS_LIMIT = 1 << 24
"""Largest bias in steps of the sums; a channel with a larger one gets a coarser weight scale."""

_LEAST_RANGE = 2.0**-100
"""Range of a tensor that is always 0 on the calibration images. It is far below any other, so that
the tensor adds nothing to a sum; its steps are still normal numbers of float32."""

_LEAST_WEIGHT_SCALE = 2.0**-100
"""Scale of a channel without weights and bias: its sums vanish at any scale of the output."""

_ALL_STEPS = 255
"""From the least to the largest value of a type."""


class Held(Protocol):
    """A tensor: integers with a scale, or real numbers."""

    @property
    def unsigned(self) -> bool: ...

    @property
    def scale(self) -> float: ...

    @property
    def zero_point(self) -> int: ...

    @property
    def real(self) -> bool: ...


def as_held(tensor: Held, values: np.ndarray) -> np.ndarray:
    """Return real values as a tensor has them: its integers, or, if it is real, float32."""
    if tensor.real:
        return values.astype(np.float32)
    return ActivationScale(tensor.unsigned, tensor.scale, tensor.zero_point).quantize(values)


def held_type(tensor: Held) -> np.dtype:
    """Return the NumPy type of a tensor's values."""
    return np.dtype(np.float32 if tensor.real else np.uint8 if tensor.unsigned else np.int8)


@dataclass(frozen=True)
class ActivationScale:
    """How a tensor's real values become integers: real = (integer - zero_point) * scale."""

    unsigned: bool
    scale: float
    zero_point: int

    @property
    def low(self) -> int:
        """Least value of the type."""
        return 0 if self.unsigned else -128

    @property
    def high(self) -> int:
        """Largest value of the type."""
        return 255 if self.unsigned else 127

    def limits(self, low: float, high: float) -> tuple[int, int]:
        """Return a clamp of real values, infinite for none, in steps within the type."""
        steps = [
            min(max(value / self.scale + self.zero_point, self.low), self.high)
            for value in (low, high)
        ]
        return round(steps[0]), round(steps[1])

    def saturate(self, values: np.ndarray) -> np.ndarray:
        """Return real values clamped to the range of the type's integers, in float32."""
        low, high = ((end - self.zero_point) * self.scale for end in (self.low, self.high))
        return np.clip(values, low, high).astype(np.float32)

    def quantize(self, values: np.ndarray) -> np.ndarray:
        """Return real values as integers of the type, rounded to nearest and clamped."""
        with np.errstate(over="ignore"):  # infinity is clamped, too
            steps = np.rint(values / np.float32(self.scale)) + self.zero_point
        return np.clip(steps, self.low, self.high).astype(np.uint8 if self.unsigned else np.int8)


def activation_scale(low: float, high: float) -> ActivationScale:
    """Return the scale that spreads a range, widened to hold 0.0, over 256 steps.

    A tensor that is never negative becomes uint8 with zero point 0. Any other becomes int8 with
    the zero point of its range. So 0.0 is always exact.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    if high - low < _LEAST_RANGE:
        high = low + _LEAST_RANGE
    scale = float(np.float32((high - low) / _ALL_STEPS))
    if low == 0.0:
        return ActivationScale(True, scale, 0)
    zero_point = round(-128 - low / scale)
    return ActivationScale(False, scale, min(max(zero_point, -128), 127))


def quantize_weight(
    weight: np.ndarray,
    bias: np.ndarray,
    input_scale: float,
    kept_scale: np.ndarray | None = None,
    bits: int = 8,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Quantise a layer's weights, symmetrically and each output channel with a scale of its own.

    Parameters
    ----------
    weight : ndarray of float32, shape (K, ...)
    bias : ndarray of float32, shape (K,)
    input_scale : float
    kept_scale : ndarray of float64, shape (K,), optional
        Of weights that were quantised before, to be kept unless the bias exceeds 32 bits in it.
    bits : int
        Of other weights. With fewer than 8 a channel's scale is the one with the least
        mean-squared error, which may clip the largest weights.

    Returns
    -------
    weight : ndarray of int8, same shape
    bias : ndarray of int32, shape (K,)
        In units of input scale times weight scale.
    scale : ndarray of float64, shape (K,)
    """
    flat = weight.reshape(len(weight), -1)
    if kept_scale is not None:
        size = np.abs(bias.astype(np.float64)) / input_scale
        # A bias in floats may dwarf the weights, too; one of the file's own 32 bits never does.
        wide = size / kept_scale > _LARGEST_BIAS
        # Without weights the steps are free, and may be too coarse for the bias.
        free = wide | ~flat.any(axis=1)
        kept_scale = np.where(free, np.maximum(size / _BIAS_LIMIT, _LEAST_WEIGHT_SCALE), kept_scale)
        integers = np.clip(np.rint(flat / kept_scale[:, None]), -128, 127).astype(np.int8)
        whole = np.rint(bias.astype(np.float64) / (input_scale * kept_scale))
        whole = np.clip(whole, -(2**31), 2**31 - 1).astype(np.int32)  # 2**31, rounded
        return integers.reshape(weight.shape), whole, kept_scale
    limit = weight_limit(bits)
    largest = np.maximum(flat.max(axis=1), -flat.min(axis=1)).astype(np.float64)
    scale = largest / limit
    if bits < 8:
        scale *= _clipped(flat, scale, limit)
    # Where the bias dwarfs the weights (a dead channel), it decides the scale.
    scale = np.maximum(scale, np.abs(bias.astype(np.float64)) / (input_scale * _BIAS_LIMIT))
    scale = np.maximum(scale, _LEAST_WEIGHT_SCALE)
    steps = flat * (1 / scale).astype(np.float32)[:, None]
    np.rint(steps, out=steps)
    np.clip(steps, -limit, limit, out=steps)
    integer_bias = np.rint(bias.astype(np.float64) / (input_scale * scale)).astype(np.int32)
    return steps.astype(np.int8).reshape(weight.shape), integer_bias, scale


def weight_limit(bits: int) -> int:
    """Return the largest weight of so many bits; the least is its negative."""
    return (1 << (bits - 1)) - 1


def _clipped(flat: np.ndarray, scale: np.ndarray, limit: int) -> np.ndarray:
    """Return the factor of each channel's scale with the least squared error, shape (K,).

    Parameters
    ----------
    flat : ndarray of float32, shape (K, weights)
    scale : ndarray of float64, shape (K,)
        With which nothing is clipped.
    """
    best = np.ones(len(flat))
    for first in range(0, len(flat), _CHANNELS):
        part = slice(first, first + _CHANNELS)
        steps = flat[part] / np.maximum(scale[part], _LEAST_WEIGHT_SCALE)[:, None].astype(
            np.float32
        )
        least = np.full(len(steps), np.inf)
        for share in _SHARES:
            made = np.clip(np.rint(steps / share), -limit, limit) * share
            error = np.square(made - steps).sum(axis=1)
            best[part] = np.where(error < least, share, best[part])
            least = np.minimum(error, least)
    return best


def requantisation(
    ratio: np.ndarray, multiplier_width: int, layer: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return multiplier and shift for each channel, so that multiplier / 2**shift is the ratio.

    The multiplier is the largest that fits, which is the most precise. A ratio beyond the largest
    becomes the largest, by which a sum of 1 crosses the whole output already. Such ratios occur
    where a layer with a wide sum makes a tensor that is always 0, or nearly so.

    Parameters
    ----------
    ratio : ndarray of float64, shape (K,)
        Input scale times weight scale by output scale; positive.
    multiplier_width : int
        Bits of the unsigned multiplier.
    layer : str
        For the error.

    Returns
    -------
    multiplier, shift : ndarray of int64, shape (K,)
        Shift is 1 to MAX_SHIFT; a ratio too small for the largest shift has a smaller multiplier.

    Raises
    ------
    SystolithError
        If a ratio is too large for a shift of 1, and the largest multiplier does not cross the
        output.
    """
    multipliers, shifts = [], []
    limit = 1 << multiplier_width
    for channel, value in enumerate(ratio.tolist()):
        if not (math.isfinite(value) and value > 0):
            raise SystolithError(
                f"{layer}: scale of channel {channel} must be positive, not {value}"
            )
        exponent = math.frexp(value)[1]
        shift = min(multiplier_width - exponent, MAX_SHIFT)
        multiplier = round(math.ldexp(value, shift))
        if multiplier >= limit:  # the fraction rounded up to one
            shift -= 1
            multiplier = round(math.ldexp(value, shift))
        if shift < 1 and limit - 1 >= 2 * _ALL_STEPS:
            multiplier, shift = limit - 1, 1
        elif shift < 1:
            raise SystolithError(
                f"{layer}: channel {channel} must be scaled by {value:.3g}, which is beyond the "
                f"{limit - 1} / 2 of a {multiplier_width}-bit multiplier; raise multiplier_width"
            )
        multipliers.append(multiplier)
        shifts.append(shift)
    return np.array(multipliers, np.int64), np.array(shifts, np.int64)
