"""Counts the pixels of a tensor that a layer touches: with large strides fewer than all."""

import numpy as np

__all__ = ["touched"]


def touched(
    length: int, count: int, *, kernel: int, stride: int, padding: int, dilation: int = 1
) -> int:
    """Return the number of rows (or columns) of a tensor under any tap of a window.

    Rows between windows and behind the last one are not, nor those between taps that dilation
    spreads. A layer touches each pixel whose row and column are touched, and no other.

    Parameters
    ----------
    length : int
        Rows that there are.
    count : int
        Places of the window, `stride` rows apart.
    kernel : int
        Taps of the window, `dilation` rows apart.
    padding : int
        Rows of the first window before the tensor.
    """
    rows = np.zeros(length, bool)
    for tap in range(kernel):
        first = tap * dilation - padding
        end = first + (count - 1) * stride + 1
        # The first place at which this tap is inside.
        first += max(0, -(first // stride)) * stride
        rows[first : max(end, 0) : stride] = True
    return int(np.count_nonzero(rows))
