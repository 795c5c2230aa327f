"""Integer factors of sums and means, chosen together with multiplier and shift; biases."""

import math

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.network.scales import requantisation

__all__ = ["LARGEST_FACTOR", "check_bias", "mean_factors", "sum_factors"]

_LOST_STEPS = 0.5
"""Steps of an output by which the rounding of a quantised file's bias may move it."""

LARGEST_FACTOR = 127 * 257
"""Of a sum: the largest number of two signed bytes, (127, 127)."""

_SUM_LIMIT = 1 << 19
"""A mean's sum stays within the narrowest accumulators, 20 bits with sign."""


def sum_factors(
    ratios: tuple[float, float], multiplier_width: int, layer: str
) -> tuple[tuple[int, int], int, int]:
    """Return factors, multiplier and shift, so that factor * multiplier / 2**shift are the ratios.

    Factors of 16 bits alone would round a ratio to some parts in 100,000. Of all factors for the
    larger ratio, each with its multiplier, some bring both products far closer: the factor with
    the least sum of errors is taken.

    Parameters
    ----------
    ratios : (float, float)
        Scale of each input by that of the output; positive.
    multiplier_width : int
        Bits of the unsigned multiplier.
    layer : str
        For the error.

    Returns
    -------
    factors : (int, int)
        0 to LARGEST_FACTOR.
    multiplier, shift : int

    Raises
    ------
    SystolithError
        If a ratio is not positive.
    """
    for ratio in ratios:
        if not (math.isfinite(ratio) and ratio > 0):
            raise SystolithError(f"{layer}: scale of an input must be positive, not {ratio}")
    # Beyond the largest product a step of the larger input crosses the whole output anyway.
    largest = LARGEST_FACTOR * ((1 << multiplier_width) - 1) / 2
    excess = max(*ratios, largest) / largest
    ratios = (ratios[0] / excess, ratios[1] / excess)
    lead = int(ratios[1] > ratios[0])
    factor = np.arange(LARGEST_FACTOR, LARGEST_FACTOR // 2, -1)
    factor, multiplier, shift = _multipliers(ratios[lead], factor, multiplier_width, layer)
    other = np.rint(np.ldexp(ratios[1 - lead], shift) / np.maximum(multiplier, 1))
    errors = np.abs(np.ldexp(factor * multiplier, -shift) - ratios[lead])
    errors += np.abs(np.ldexp(other * multiplier, -shift) - ratios[1 - lead])
    place = int(np.argmin(errors))
    first, second = int(factor[place]), int(other[place])
    factors = (first, second) if lead == 0 else (second, first)
    return factors, int(multiplier[place]), int(shift[place])


def mean_factors(
    ratio: float, taps: int, multiplier_width: int, layer: str
) -> tuple[int, int, int]:
    """Return weight, multiplier and shift, so that weight * multiplier / 2**shift is the ratio.

    Any weight makes a mean, since all taps share it: the weight whose multiplier comes closest is
    taken.

    Parameters
    ----------
    ratio : float
        Factor of a sum of inputs; positive.
    taps : int
        Inputs of a sum.
    multiplier_width, layer
        As in :func:`sum_factors`.

    Raises
    ------
    SystolithError
        If the ratio is not positive, or too large for the multiplier.
    """
    largest = min(max(_SUM_LIMIT // (256 * taps), 1), 127)
    weights = np.arange(1, largest + 1)
    weight, multiplier, shift = _multipliers(ratio, weights, multiplier_width, layer)
    errors = np.abs(np.ldexp((weight * multiplier).astype(np.float64), -shift) - ratio)
    place = int(np.argmin(errors))
    return int(weight[place]), int(multiplier[place]), int(shift[place])


def _multipliers(
    ratio: float, factors: np.ndarray, multiplier_width: int, layer: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the factors that leave the multiplier in its range, each with multiplier and shift."""
    fits = ratio / factors < ((1 << multiplier_width) - 1) / 2
    # If none does, the largest has the error.
    factors = factors[fits] if fits.any() else factors.max(keepdims=True)
    return factors, *requantisation(ratio / factors, multiplier_width, layer)


def check_bias(name: str, bias: np.ndarray, rounded: np.ndarray, step: float) -> None:
    """Refuse a layer whose bias would move the output by more than half a step when rounded."""
    lost = np.abs(bias - rounded).max() / step
    if lost > _LOST_STEPS:
        raise SystolithError(
            f"{name}: its bias in floats would be off by {lost:.2f} steps of the output as "
            "integers of input scale times weight scale; quantise the bias, too, or give the "
            "output a coarser scale"
        )
