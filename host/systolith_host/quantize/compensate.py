"""Weights that make up for the errors of their inputs, as far as images show that it helps."""

from collections.abc import Iterator

import numpy as np

__all__ = ["compensation"]

_DAMPINGS = (10.0, 1.0, 0.1)
"""Strengths that are tried, as shares of the mean second moment of a weight's inputs."""

_MOST_LEFT = 0.999
"""Share of the squared errors above which nothing is changed: less is chance."""


def compensation(inputs: np.ndarray, errors: np.ndarray, second: np.ndarray) -> np.ndarray | None:
    """Return changes of weights that take errors of their sums away.

    The errors are what a layer's sums lack because the layers before it are in integers. After
    Nagel et al., "Up or down? Adaptive rounding for post-training quantization" (ICML 2020), whose
    asymmetric reconstruction rounds weights for inputs that are quantised and sums that are not.
    Here it is a linear regression, which needs no training, before the weights are rounded. It is
    damped (ridge regression): of three strengths the one counts that, fitted on one part of the
    images, lowers the errors on the other the most.

    Parameters
    ----------
    inputs : ndarray of float32, shape (groups, T, N)
        Samples of what T weights read, centred, in steps of the integers.
    errors : ndarray of floats, shape (groups, K, N)
        What the sums of K channels lack, in a unit that all channels have in common.
    second : ndarray of bool, shape (N,)
        The samples of the second part.

    Returns
    -------
    ndarray of floats, shape (groups, K, T), optional
        In the errors' unit for a step of the inputs; None where no strength helps.
    """
    if second.all() or not second.any() or not errors.any():
        return None
    left = np.zeros(len(_DAMPINGS))
    before = 0.0
    for known in (second, ~second):
        unseen = ~known
        before += float((errors[..., unseen] ** 2).sum())
        fits = _fits(inputs[..., known], errors[..., known])
        for number, fit in enumerate(fits):
            rest = errors[..., unseen] - fit @ inputs[..., unseen]
            left[number] += float((rest**2).sum())
    best = int(left.argmin())
    if left[best] > _MOST_LEFT * before:
        return None
    return next(_fits(inputs, errors, (_DAMPINGS[best],)))


def _fits(
    inputs: np.ndarray, errors: np.ndarray, dampings: tuple[float, ...] = _DAMPINGS
) -> Iterator[np.ndarray]:
    """Yield the weights of the regression for each damping, shape (groups, K, T)."""
    across = inputs.swapaxes(1, 2)
    weights, samples = inputs.shape[1:]
    few = samples < weights  # then their products with each other are the smaller system
    products = (across @ inputs if few else inputs @ across).astype(np.float64)
    diagonal = np.einsum("gii->gi", products)
    mean = diagonal.sum(axis=1, keepdims=True) / weights
    mean[mean == 0] = 1.0
    own = diagonal.copy()
    wanted = errors.swapaxes(1, 2) if few else inputs @ errors.swapaxes(1, 2)
    for damping in dampings:
        diagonal[:] = own + damping * mean
        found = np.linalg.solve(products, wanted).astype(inputs.dtype)
        yield (inputs @ found if few else found).swapaxes(1, 2)
