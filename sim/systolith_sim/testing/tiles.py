"""Winograd CONVs for tests: tiles, the sums of their lanes, and the plain convolution."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.winograd import A_T, B_T, KERNEL, LANES, OUTPUTS, PATCH, SCALE, G
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.cores import conv

__all__ = ["direct_sums", "from_lanes", "lane_sums", "tile", "winograd_config"]

INPUT, POINTS, OUTPUT = (np.array(matrix) for matrix in (B_T, G, A_T))


def winograd_config(rows: int, cols: int, patches: int, **changes: Any) -> AcceleratorConfig:
    """Return a small configuration for tiles of up to `patches` patches."""
    fields: dict[str, Any] = {
        "winograd": patches,
        "acc_depth": LANES * patches + 3,
        "acc_width": 30,
        "act_depth": 4096,
        "weight_depth": 96 * rows,
    }
    return small_config(rows, cols, **{**fields, **changes})


def tile(shape: Sequence[int], chunks: int, **fields: int) -> dict[str, Any]:
    """Return a Winograd CONV of images x down x across patches; maps lie one after the other."""
    images, down, across = shape
    tall, wide = 4 * down + 2, 4 * across + 2
    job = conv(
        (PATCH, PATCH, across, down, images, chunks),
        (wide, 1, 4, 4 * wide, tall * wide, images * tall * wide),
        winograd=1,
        patches=images * down * across,
        **fields,
    )
    return job | {"shape": shape, "chunks": chunks}


def pixels(job: dict[str, Any], act: np.ndarray) -> np.ndarray:
    """Return the maps of a CONV, ndarray of shape (chunks, images, tall, wide, rows)."""
    images, down, across = job["shape"]
    shape = (job["chunks"], images, 4 * down + 2, 4 * across + 2)
    base = job["fields"]["act_base"]
    return act[base : base + np.prod(shape)].reshape(*shape, -1)


def kernels(job: dict[str, Any], weight: np.ndarray, rows: int) -> np.ndarray:
    """Return the kernels of a CONV, ndarray of shape (chunks, 3, 3, rows, cols)."""
    base = job["fields"]["weight_base"]
    return weight[base : base + job["chunks"] * 9 * rows].reshape(
        job["chunks"], KERNEL, KERNEL, rows, -1
    )


def lane_sums(job: dict[str, Any], act: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the sums of all lanes, ndarray of shape (36 * patches, cols)."""
    maps = pixels(job, act)
    images, down, across = job["shape"]
    patches = [
        maps[:, n, 4 * y : 4 * y + PATCH, 4 * x : 4 * x + PATCH]
        for n in range(images)
        for y in range(down)
        for x in range(across)
    ]
    v = np.einsum("ij,bcjkr,lk->ilbcr", INPUT, patches, INPUT)
    u = np.einsum("ij,cjkro,lk->ilcro", POINTS, kernels(job, weight, act.shape[1]), POINTS)
    return np.einsum("ilbcr,ilcro->ilbo", v, u).reshape(LANES * len(patches), -1)


def direct_sums(job: dict[str, Any], act: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the plain convolution, ndarray of shape (images, 4 * down, 4 * across, cols)."""
    maps = pixels(job, act)
    taps = kernels(job, weight, act.shape[1])
    _, tall, wide = maps.shape[1:4]
    parts = [
        np.einsum("cnyxr,cro->nyxo", maps[:, :, r : tall - 2 + r, s : wide - 2 + s], taps[:, r, s])
        for r in range(KERNEL)
        for s in range(KERNEL)
    ]
    return np.sum(parts, axis=0)


def from_lanes(job: dict[str, Any], sums: np.ndarray) -> np.ndarray:
    """Return the output transform of lanes' sums, in the shape of the plain convolution."""
    images, down, across = job["shape"]
    lanes = sums.reshape(PATCH, PATCH, images, down, across, -1)
    scaled = np.einsum("yi,xj,ijnabo->naybxo", OUTPUT, OUTPUT, lanes)
    assert not (scaled % SCALE**2).any()
    return (scaled // SCALE**2).reshape(images, OUTPUTS * down, OUTPUTS * across, -1)
