"""Number formats and rounding, which gateware and all models obey.

- An activation is int8 in the accelerator. A uint8 tensor is held with 128 subtracted from its
  values and its zero point, which is exact; :func:`device_offset` returns that difference.
- A weight is int8, symmetric per output channel (zero point 0).
- A sum of activation * weight is exact, in ``acc_width`` bits. The compiler folds the zero points
  of inputs into the bias (``bias - zero_point * sum(weights)``); padding holds the zero point.
- :func:`requantize` turns a sum into an activation, per output channel. ReLU is the lower clamp.

The compiler proves that no sum leaves its width (:func:`sum_bounds`), or refuses the network.
"""

__all__ = [
    "MAX_SHIFT",
    "device_offset",
    "fits_signed",
    "requantize",
    "sum_bounds",
]

MAX_SHIFT = 62
"""Largest shift of a requantisation; the smallest is 1."""


def requantize(
    acc: int, bias: int, multiplier: int, shift: int, zero_point: int, low: int, high: int
) -> int:
    """Return ``clamp((((acc + bias) * multiplier + half) >> shift) + zero_point, low, high)``.

    ``half`` is ``2**(shift - 1)`` and the shift is arithmetic, so that halves round towards plus
    infinity.

    Parameters
    ----------
    acc, bias : int
        The sum and its bias, in accumulator units; acc + bias fits the accumulator's width.
    multiplier : int
        Unsigned, of ``multiplier_width`` bits.
    shift : int
        1 to :data:`MAX_SHIFT`.
    zero_point, low, high : int
        The output's zero point and clamps, in the output's type.
    """
    scaled = ((acc + bias) * multiplier + (1 << (shift - 1))) >> shift
    return min(max(scaled + zero_point, low), high)


def device_offset(unsigned: bool) -> int:
    """Return the number that is subtracted from values and zero point inside the accelerator."""
    return 128 if unsigned else 0


def fits_signed(value: int, width: int) -> bool:
    """Return whether `value` fits a two's complement number of `width` bits."""
    return -(1 << (width - 1)) <= value < 1 << (width - 1)


def sum_bounds(positive: int, negative: int, bias: int) -> tuple[int, int]:
    """Return the smallest and largest value of any partial sum of a channel, with and without bias.

    Parameters
    ----------
    positive, negative : int
        Sum of the channel's positive weights, and of its negative ones (at most 0).
    bias : int
        The channel's folded bias.
    """
    low = 127 * negative - 128 * positive
    high = 127 * positive - 128 * negative
    return min(low, low + bias), max(high, high + bias)
