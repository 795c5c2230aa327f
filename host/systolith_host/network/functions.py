"""Functions of one number: small programs of elementwise steps, and their tables of integers."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from systolith_host.network.scales import ActivationScale

__all__ = ["ONE", "TWO", "Step", "evaluate", "name_of", "table_of", "useful_range"]


@dataclass(frozen=True)
class Step:
    """One step: an operation on values that stand before it.

    Parameters
    ----------
    operation : str
        A name of :data:`ONE` or :data:`TWO`.
    inputs : tuple of int
        Values that it takes: 0 is the function's own input, i + 1 the result of step i.
    numbers : tuple of float
        Its constants.
    """

    operation: str
    inputs: tuple[int, ...]
    numbers: tuple[float, ...] = ()


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * x))


def _erf(x: np.ndarray) -> np.ndarray:
    return np.array([math.erf(value) for value in x.reshape(-1)]).reshape(x.shape)


def _elu(x: np.ndarray, alpha: float) -> np.ndarray:
    return np.where(x < 0, alpha * np.expm1(np.minimum(x, 0)), x)


def _celu(x: np.ndarray, alpha: float) -> np.ndarray:
    return np.where(x < 0, alpha * np.expm1(np.minimum(x, 0) / alpha), x)


def _hard_sigmoid(x: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    return np.clip(alpha * x + beta, 0, 1)


def _gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + _erf(x / math.sqrt(2)))


def _gelu_tanh(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(0, x)


def _round(x: np.ndarray, scale: float, zero_point: float, low: float, high: float) -> np.ndarray:
    """Quantise and dequantise, as a pair of QuantizeLinear and DequantizeLinear does."""
    steps = np.rint(x.astype(np.float32) / np.float32(scale)) + zero_point
    return (np.clip(steps, low, high) - zero_point) * scale


ONE: dict[str, Callable[..., np.ndarray]] = {
    "abs": np.abs,
    "affine": lambda x, scale, shift: scale * x + shift,
    "celu": _celu,
    "clip": lambda x, low, high: np.minimum(np.maximum(x, low), high),
    "elu": _elu,
    "erf": _erf,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "hard_sigmoid": _hard_sigmoid,
    "hard_swish": lambda x: x * _hard_sigmoid(x, 1 / 6, 0.5),
    "leaky_relu": lambda x, slope: np.where(x < 0, slope * x, x),
    "mish": lambda x: x * np.tanh(_softplus(x)),
    "round": _round,
    "selu": lambda x, alpha, gamma: gamma * _elu(x, alpha),
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "swish": lambda x, alpha: x * _sigmoid(alpha * x),
    "tanh": np.tanh,
    "thresholded_relu": lambda x, alpha: np.where(x > alpha, x, 0),
}
"""Operations on one array of float64, with their numbers."""

TWO: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "add": np.add,
    "multiply": np.multiply,
}
"""Operations on two."""

_QUIET = ("affine", "round")
"""Operations that a function is not named after, if it has others."""


def evaluate(steps: tuple[Step, ...], x: np.ndarray) -> np.ndarray:
    """Return the function of every value.

    Parameters
    ----------
    steps : tuple of Step
    x : ndarray of floats

    Returns
    -------
    ndarray of float64, x's shape
    """
    values = [np.asarray(x, np.float64)]
    for step in steps:
        inputs = [values[number] for number in step.inputs]
        operation = ONE.get(step.operation) or TWO[step.operation]
        values.append(operation(*inputs, *step.numbers))
    return values[-1]


_NAMES = {
    (("sigmoid", (0,)), ("multiply", (0, 1))): "silu",
    (("hard_sigmoid", (0,)), ("multiply", (0, 1))): "hard_swish",
    (("softplus", (0,)), ("tanh", (1,)), ("multiply", (0, 2))): "mish",
}


def name_of(steps: tuple[Step, ...]) -> str:
    """Return a name for people: the operation, or those that matter."""
    shape = tuple((step.operation, tuple(sorted(step.inputs))) for step in steps)
    if shape in _NAMES:
        return _NAMES[shape]
    names = [step.operation for step in steps]
    loud = [name for name in names if name not in _QUIET and name not in TWO] or names
    return "/".join(dict.fromkeys(loud))


def table_of(
    steps: tuple[Step, ...], source: ActivationScale, target: ActivationScale
) -> tuple[int, ...]:
    """Return the function as a table: its value, quantised, for each integer from the least on."""
    integers = np.arange(source.low, source.high + 1)
    real = ((integers - source.zero_point) * np.float64(source.scale)).astype(np.float32)
    found = evaluate(steps, real).astype(np.float32)
    return tuple(int(value) for value in target.quantize(found))


_GRID = 2049
"""Places at which a function is looked at."""


def useful_range(
    steps: tuple[Step, ...], low: float, high: float, tolerance: float
) -> tuple[float, float]:
    """Return the part of a range outside of which the function stays what it is at the part's ends.

    Finer steps are then left for the rest: a sigmoid needs none beyond 8, say.

    Parameters
    ----------
    steps : tuple of Step
    low, high : float
        Range of the function's input.
    tolerance : float
        By which the function may differ from its value at the end.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    if not high > low:
        return low, high
    x = np.linspace(low, high, _GRID)
    y = evaluate(steps, x)
    if not np.isfinite(y).all():
        return low, high
    # At each place the extremes of the function from there to either end.
    up_high, up_low = (f.accumulate(y[::-1])[::-1] for f in (np.maximum, np.minimum))
    down_high, down_low = (f.accumulate(y) for f in (np.maximum, np.minimum))
    flat_above = np.maximum(up_high - y, y - up_low) <= tolerance
    flat_below = np.maximum(down_high - y, y - down_low) <= tolerance
    # `low` and `high` keep 0 between them, as every scale does.
    first = int(np.flatnonzero(flat_below & (x <= 0)).max(initial=0))
    last = int(np.flatnonzero(flat_above & (x >= 0)).min(initial=_GRID - 1))
    return float(x[first]), float(x[last])
