"""Gathering in NumPy: bytes that differ from a zero point, their weights, and the sums of both."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Scanned", "Units", "gather_sums", "gather_units", "ring_places", "scan"]

GATHER_BYTES = 64 << 20
"""Memory for the weights of one matrix product."""


@dataclass(frozen=True, eq=False)
class Scanned:
    """What a LOAD with ``scan`` found.

    Parameters
    ----------
    mask : ndarray of bool, shape (bytes,)
        Which bytes are active.
    words : ndarray of int8, shape (words, rows)
        The active ones, less the zero point modulo 256, zeros behind them.
    """

    mask: np.ndarray
    words: np.ndarray


@dataclass(frozen=True, eq=False)
class Units:
    """The weights that a LOAD gathered and no CONV has taken yet.

    Parameters
    ----------
    ring : (first word, units, blocks of a unit)
        Where they pass through the weight buffer.
    weights : ndarray of int8, shape (units, blocks, rows, cols)
        Zero beyond the last active input.
    """

    ring: tuple[int, int, int]
    weights: np.ndarray


def scan(data: np.ndarray, zero: int, rows: int) -> Scanned:
    """Return which of the bytes (int8) differ from `zero`, and by how much, `rows` to a word."""
    mask = data != zero
    if not mask.any():
        mask[-1] = True
    active = data[mask].astype(np.int64) - zero
    words = np.zeros((-(-active.size // rows), rows), np.int8)
    words.reshape(-1)[: active.size] = (active & 0xFF).astype(np.uint8).view(np.int8)
    return Scanned(mask, words)


def ring_places(runs: int, ring: tuple[int, int, int], rows: int) -> np.ndarray:
    """Return the words of the weight buffer to which gathered runs go, shape (runs, run_words)."""
    first, units, blocks = ring
    unit, row = np.divmod(np.arange(runs), rows)
    start = first + unit % units * rows * blocks + row
    return start[:, None] + np.arange(blocks) * rows


def gather_units(runs: np.ndarray, ring: tuple[int, int, int], rows: int) -> Units:
    """Return the units of gathered runs, int8 of shape (runs, blocks, cols)."""
    count, blocks, cols = runs.shape
    units = -(-count // rows)
    padded = np.zeros((units * rows, blocks, cols), np.int8)
    padded[:count] = runs
    return Units(ring, padded.reshape(units, rows, blocks, cols).transpose(0, 2, 1, 3))


def gather_sums(act: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the exact sums, int64 of shape (blocks, cols).

    Parameters
    ----------
    act : ndarray of numbers, shape (units, blocks, rows)
    weights : ndarray of int8, shape (units, blocks, rows, cols)
    """
    units, blocks, rows, cols = weights.shape
    sums = np.zeros((blocks, 1, cols), np.int64)
    step = max(1, GATHER_BYTES // (blocks * rows * cols * 8))
    for first in range(0, units, step):
        # Sums of less than 2**53 are exact in float64.
        left = act[first : first + step].transpose(1, 0, 2).reshape(blocks, 1, -1)
        right = weights[first : first + step].transpose(1, 0, 2, 3).reshape(blocks, -1, cols)
        sums += (left.astype(np.float64) @ right.astype(np.float64)).astype(np.int64)
    return sums[:, 0]
