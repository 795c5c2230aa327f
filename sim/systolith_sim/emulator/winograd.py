"""Winograd's arithmetic in NumPy: a CONV's sums of the lanes, and the sums that a STORE makes."""

import numpy as np

from systolith_hw.spec.winograd import A_T, B_T, EXTRA_BITS, KERNEL, LANES, PATCH, G

__all__ = ["lane_sums", "patch_sums", "wrap"]

GATHER_BYTES = 32 << 20
"""Memory for the transformed activations of one matrix product."""

# Transforms of flat patches and kernels. Their results, below 2**15, are exact in float32.
_DATA = np.kron(np.array(B_T, np.float32), np.array(B_T, np.float32))
_WEIGHTS = np.kron(np.array(G, np.float32), np.array(G, np.float32))
_SUMS = np.array(A_T, np.int64)


def wrap(values: np.ndarray, width: int) -> np.ndarray:
    """Return int64 values modulo 2**width, as signed numbers."""
    half = 1 << (width - 1)
    return ((values + half) & ((1 << width) - 1)) - half


def lane_sums(act: np.ndarray, addresses: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the exact sums of all lanes, int64 of shape (LANES * patches, cols), lane by lane.

    Parameters
    ----------
    act : ndarray of float32, shape (words, rows)
        The activation buffer; every value is an int8.
    addresses : ndarray of int, shape (chunks, patches, PATCH, PATCH)
        Words of the pixels of each patch: columns, and the rows of a column.
    weights : ndarray of float32, shape (chunks * 9 * rows, cols)
        Of one chunk after the other, its taps row by row.
    """
    chunks, patches = addresses.shape[:2]
    rows, cols = act.shape[1], weights.shape[1]
    kernels = weights.reshape(chunks, KERNEL * KERNEL, rows, cols)
    sums = np.zeros((LANES, patches, cols), np.int64)
    step = max(1, GATHER_BYTES // (LANES * patches * rows * 8))
    for first in range(0, chunks, step):
        part = addresses[first : first + step].transpose(3, 2, 1, 0)
        data = _DATA @ act.take(part, axis=0).reshape(PATCH * PATCH, -1)
        kernel = kernels[first : first + step].transpose(1, 0, 2, 3).reshape(KERNEL * KERNEL, -1)
        lanes = (_WEIGHTS @ kernel).reshape(LANES, -1, cols)
        # float64 holds the sums of 2**24 products of 29 bits.
        products = data.reshape(LANES, patches, -1).astype(np.float64) @ lanes.astype(np.float64)
        sums += products.astype(np.int64)
    return sums.reshape(LANES * patches, cols)


def patch_sums(lanes: np.ndarray, acc_width: int) -> np.ndarray:
    """Return the sums of patches, modulo 2**acc_width, int64 of shape (..., OUTPUTS, OUTPUTS, n).

    Parameters
    ----------
    lanes : ndarray of int64, shape (..., PATCH, PATCH, n)
        The lanes' sums modulo 2**(acc_width + 6): vertical points, then horizontal ones.
    """
    width = acc_width + EXTRA_BITS
    for axis in (-3, -2):
        # A dimension's sums come times 24: eight is divided out at once, three at the end.
        folded = np.tensordot(_SUMS, lanes, ([1], [axis]))
        lanes = wrap(np.moveaxis(folded, 0, axis) >> 3, width - 3)
        width -= 3
    return wrap(lanes * pow(9, -1, 1 << acc_width), acc_width)
