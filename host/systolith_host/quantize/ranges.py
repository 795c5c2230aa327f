"""Ranges from histograms: clamps outer values so that the steps of the rest are finer."""

import numpy as np

from systolith_host.network.scales import activation_scale

__all__ = ["BINS", "least_error", "percentile"]

BINS = 4096
"""Of a histogram: 16 for each step of 8 bits."""

_OUTSIDE = 1e-4
"""Share of the values beyond each end of a percentile range."""

_TRIALS = 48
"""Ranges that are tried for the least error, from a quarter of the whole upwards."""


def percentile(counts: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """Return the range without the outermost values.

    Parameters
    ----------
    counts : ndarray of floats, shape (BINS,)
        How many values are in each equal part of the range, or what they weigh.
    low, high : float
        Of the histogram.
    """
    edges = np.linspace(low, high, BINS + 1)
    share = np.cumsum(counts) / max(counts.sum(), 1)
    first = int(np.searchsorted(share, _OUTSIDE, side="right"))
    last = int(np.searchsorted(share, 1 - _OUTSIDE))
    return float(edges[min(first, BINS - 1)]), float(edges[min(last, BINS - 1) + 1])


def least_error(counts: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """Return the range with the least mean-squared error; parameters as of :func:`percentile`."""
    edges = np.linspace(low, high, BINS + 1)
    centres = (edges[:-1] + edges[1:]) / 2
    best = (np.inf, (low, high))
    for share in np.linspace(1.0, 0.25, _TRIALS):
        tried = (low * share, high * share)
        scale = activation_scale(*tried)
        steps = scale.quantize(centres).astype(np.int64) - scale.zero_point
        error = float((counts * (steps * scale.scale - centres) ** 2).sum())
        if error < best[0]:
            best = (error, tried)
    return best[1]
