"""Winograd's lanes of random patches, and the sums of the direct convolution, for tests."""

import numpy as np

from systolith_hw.spec.winograd import B_T, KERNEL, OUTPUTS, PATCH, G

__all__ = ["direct_sums", "lane_sums", "random_patches"]

_B_T, _G = np.array(B_T), np.array(G)


def random_patches(
    rng: np.random.Generator, count: int, acc_width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return patches (count, 6, 6) and kernels (count, 3, 3) whose sums fit `acc_width` bits.

    A patch stands for the many channels that make a large sum: the transforms are linear, so it
    may hold any integers. Every third kernel has a single tap of 1 and its patch values of the
    whole range, the extremes among them; every third pair is of int8 extremes.
    """
    most = (1 << (acc_width - 1)) - 1
    wide = most // (KERNEL * KERNEL * 128)
    patches = rng.integers(-wide, wide + 1, (count, PATCH, PATCH))
    kernels = rng.integers(-128, 128, (count, KERNEL, KERNEL))
    for index in range(0, count, 3):
        patches[index] = rng.integers(-most - 1, most + 1, (PATCH, PATCH))
        extreme = rng.random((PATCH, PATCH)) < 0.3
        patches[index][extreme] = rng.choice([-most - 1, most], extreme.sum())
        kernels[index] = 0
        kernels[index, rng.integers(KERNEL), rng.integers(KERNEL)] = 1
    small = min(wide, 127)
    for index in range(1, count, 3):
        patches[index] = rng.choice([-small - 1, small], (PATCH, PATCH))
        kernels[index] = rng.choice([-128, 127], (KERNEL, KERNEL))
    return patches, kernels


def lane_sums(patches: np.ndarray, kernels: np.ndarray) -> np.ndarray:
    """Return the products of the transformed patches and kernels, (count, 6, 6), exactly."""
    return (_B_T @ patches @ _B_T.T) * (_G @ kernels @ _G.T)


def direct_sums(patches: np.ndarray, kernels: np.ndarray) -> np.ndarray:
    """Return the sums of the convolution of each patch with its kernel, (count, 4, 4)."""
    total = np.zeros((len(patches), OUTPUTS, OUTPUTS), np.int64)
    for row in range(KERNEL):
        for tap in range(KERNEL):
            part = patches[:, row : row + OUTPUTS, tap : tap + OUTPUTS]
            total += part * kernels[:, row, tap, None, None]
    return total
