"""Winograd's F(4x4, 3x3) in integers: points, matrices, and the widths of values.

A 6x6 patch d of one channel and a 3x3 kernel g give 4x4 sums with 36 multiplications::

    Y = A^T [ (G g G^T) . (B^T d B) ] A / SCALE**2

All three matrices hold integers. Each row of G is the smallest integer multiple of the row in the
paper. A^T makes up for these scales, and is ``SCALE`` times the matrix that gives the sums, so the
division is exact. A *lane* is one of the 36 products: lane ``k = 6 * k1 + k2`` has the vertical
point k1 and the horizontal point k2.

The points stand in the order in which the gateware's serial units give them: 2, -2, 0, infinity, 1,
-1. Method and points: A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural Networks",
CVPR 2016 (arXiv:1509.09308).
"""

from functools import cache

__all__ = [
    "A_T",
    "B_T",
    "DATA_WIDTH",
    "EXTRA_BITS",
    "G",
    "KERNEL",
    "LANES",
    "LEAST_PATCHES",
    "MACS_PER_PRODUCT",
    "MOST_PATCHES",
    "OUTPUTS",
    "PATCH",
    "SCALE",
    "STRIP_PATCHES",
    "WEIGHT_WIDTH",
    "data_range",
    "point_range",
    "psum_bound",
    "sum_width",
    "weight_range",
]

PATCH = 6
"""Pixels, and points, of a patch in each dimension."""

OUTPUTS = 4
"""Sums that a patch gives in each dimension."""

KERNEL = 3
"""Taps of the kernel in each dimension."""

LANES = PATCH * PATCH
"""Products of a patch, and passes of a chunk of input channels."""

MACS_PER_PRODUCT = (OUTPUTS * KERNEL) ** 2 // LANES
"""Multiply-accumulates of the direct convolution that one product replaces."""

SCALE = 24
"""Factor of A^T over the matrix that gives the sums themselves; each dimension has it once."""

LEAST_PATCHES, MOST_PATCHES = 4, 128
"""Range of the patches of the largest tile, an option of the configuration."""

STRIP_PATCHES = 16
"""Most patches across a tile: the store engine puts the rows that they give in order on chip."""

G = ((1, 2, 4), (1, -2, 4), (1, 0, 0), (0, 0, 1), (1, 1, 1), (1, -1, 1))
"""Rows: points; columns: taps."""

B_T = (
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (4, 0, -5, 0, 1, 0),
    (0, 4, 0, -5, 0, 1),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
)
"""Rows: points; columns: pixels of a patch."""

A_T = (
    (1, 1, 6, 0, -4, -4),
    (2, -2, 0, 0, -4, 4),
    (4, 4, 0, 0, -4, -4),
    (8, -8, 0, 24, -4, 4),
)
"""Rows: sums; columns: points."""

DATA_WIDTH = 15
"""Bits of a transformed activation, signed."""

WEIGHT_WIDTH = 14
"""Bits of a transformed weight, signed."""

EXTRA_BITS = 6
"""Bits that a lane's sum needs beyond the W bits of the exact sum.

The exact sums are a linear map of the lanes' sums, divided by ``SCALE**2 = 2**6 * 9``. Arithmetic
may wrap modulo ``2**(W + 6)``: the division by ``2**6`` costs six bits and leaves the sum modulo
``2**W``, where 9 has an inverse.
"""

_INT8 = (-128, 127)


def _range(outer: tuple[int, ...], inner: tuple[int, ...]) -> tuple[int, int]:
    """Return the smallest and largest sum of ``outer[i] * inner[j] * x[i][j]`` over int8 x."""
    factors = [a * b for a in outer for b in inner]
    return (
        sum(min(f * x for x in _INT8) for f in factors),
        sum(max(f * x for x in _INT8) for f in factors),
    )


def point_range(matrix: tuple[tuple[int, ...], ...], low: int, high: int) -> tuple[int, int]:
    """Return the smallest and largest point that `matrix` makes of words from `low` to `high`."""
    return (
        min(sum(f * (low if f > 0 else high) for f in row) for row in matrix),
        max(sum(f * (high if f > 0 else low) for f in row) for row in matrix),
    )


@cache
def data_range(lane: int) -> tuple[int, int]:
    """Return the smallest and largest transformed activation of a lane."""
    return _range(B_T[lane // PATCH], B_T[lane % PATCH])


@cache
def weight_range(lane: int) -> tuple[int, int]:
    """Return the smallest and largest transformed weight of a lane."""
    return _range(G[lane // PATCH], G[lane % PATCH])


@cache
def psum_bound(rows: int) -> int:
    """Return the largest magnitude of the sum of `rows` products of one lane."""
    return rows * max(
        max(abs(d) for d in data_range(lane)) * max(abs(w) for w in weight_range(lane))
        for lane in range(LANES)
    )


def sum_width(acc_width: int) -> int:
    """Return the bits that a lane's sum needs for exact sums of `acc_width` bits."""
    return acc_width + EXTRA_BITS
