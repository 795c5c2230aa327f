"""Second-order rounding of weights: each rounding's error is made up for by weights still open."""

import numpy as np

__all__ = ["round_columns", "round_taps"]

_DAMPING = 0.01
"""Share of the mean diagonal that is added to it, as in GPTQ: directions that the samples lack."""

_BLOCK = 64
"""Columns whose errors reach the columns behind them at once."""


def round_columns(steps: np.ndarray, inputs: np.ndarray, limit: int) -> np.ndarray:
    """Return integers whose products with the inputs are close to those of real weights.

    After Frantar et al., "GPTQ: accurate post-training quantization for generative pre-trained
    transformers" (ICLR 2023): columns are rounded one after the other, those with the largest
    inputs first, and the others change by what keeps the squared error of the products least.

    Parameters
    ----------
    steps : ndarray of floats, shape (K, C)
        Weights in units of their scale.
    inputs : ndarray of floats, shape (C, N)
        Samples, centred where a bias takes up the mean.
    limit : int
        Largest integer.

    Returns
    -------
    ndarray of float32, shape (K, C)
    """
    moments = inputs @ inputs.T
    order = np.argsort(-np.diag(moments), kind="stable")
    upper = _inverse_factor(moments[np.ix_(order, order)].astype(np.float64))
    open_steps = steps[:, order].astype(np.float64)
    columns = len(order)
    for first in range(0, columns, _BLOCK):
        last = min(first + _BLOCK, columns)
        errors = np.empty((len(steps), last - first))
        for column in range(first, last):
            real = open_steps[:, column].copy()
            open_steps[:, column] = np.clip(np.rint(real), -limit, limit)
            error = (real - open_steps[:, column]) / upper[column, column]
            open_steps[:, column + 1 : last] -= np.outer(error, upper[column, column + 1 : last])
            errors[:, column - first] = error
        open_steps[:, last:] -= errors @ upper[first:last, last:]
    result = np.empty(steps.shape, np.float32)
    result[:, order] = open_steps
    return result


def round_taps(steps: np.ndarray, inputs: np.ndarray, limit: int) -> np.ndarray:
    """Round as :func:`round_columns`, where each row has inputs of its own.

    Parameters
    ----------
    steps : ndarray of floats, shape (K, T)
    inputs : ndarray of floats, shape (K, T, N)
    limit : int

    Returns
    -------
    ndarray of float32, shape (K, T)
    """
    upper = _inverse_factor(np.matmul(inputs, inputs.swapaxes(1, 2)).astype(np.float64))
    open_steps = steps.astype(np.float64)
    for tap in range(steps.shape[1]):
        real = open_steps[:, tap].copy()
        open_steps[:, tap] = np.clip(np.rint(real), -limit, limit)
        error = (real - open_steps[:, tap]) / upper[:, tap, tap]
        open_steps[:, tap + 1 :] -= error[:, None] * upper[:, tap, tap + 1 :]
    return open_steps.astype(np.float32)


def _inverse_factor(moments: np.ndarray) -> np.ndarray:
    """Return the upper Cholesky factor of the inverse of damped second moments, (..., C, C)."""
    diagonal = np.einsum("...ii->...i", moments)
    mean = diagonal.mean(axis=-1, keepdims=True)
    diagonal += np.where(mean > 0, _DAMPING * mean, 1.0)
    inverse = np.linalg.inv(moments)
    return np.linalg.cholesky((inverse + inverse.swapaxes(-1, -2)) / 2).swapaxes(-1, -2)
