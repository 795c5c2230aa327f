"""The range of every tensor on given images, by three methods."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.network.forward import run_float
from systolith_host.network.graph import Flatten, Graph, Weights
from systolith_host.quantize.ranges import BINS, least_error, percentile

__all__ = ["METHODS", "Calibration", "calibrate"]

METHODS = ("minmax", "percentile", "mse")
"""The whole range; all but the outermost 0.01 % of the values at each end; or the range whose steps
and clamps together make the least squared error, as a share of each image's squares: a bright image
counts no more than others. Outputs always have the whole range, as their largest value is a class.
"""

_LEAST_SPREAD = 2.0**-100
"""Least range of a tensor whose values are more than rounding errors of 0."""

Progress = Callable[[str, int, int], None]
"""Called with what is under way, the work done, and all the work."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """The results of calibration.

    Parameters
    ----------
    ranges : dict of str to (float, float)
        Range of every tensor over all images.
    output : ndarray of float32, shape (N, ...)
        The float network's output, to compare with.
    """

    ranges: dict[str, tuple[float, float]]
    output: np.ndarray


def calibrate(
    graph: Graph,
    weights: Weights,
    images: np.ndarray,
    progress: Progress | None = None,
    *,
    method: str = "minmax",
) -> Calibration:
    """Run the float network, one image at a time, and choose the range of each tensor.

    All methods but "minmax" run it twice: for the limits, and for a histogram between them.

    Parameters
    ----------
    graph : Graph
    weights : mapping of str to LayerWeights
    images : ndarray of float32, shape (N, channels, height, width)
    progress : callable, optional
        Called with the layer's name, the multiply-accumulates done and those of all images.
    method : str
        One of :data:`METHODS`.

    Raises
    ------
    SystolithError
        If a tensor has values that are not finite, or there is no such method.
    """
    if method not in METHODS:
        raise SystolithError(f"calibration must be one of {', '.join(METHODS)}, not {method!r}")
    ranges: dict[str, tuple[float, float]] = {}
    outputs = []
    for index, image in enumerate(images):

        def report(name: str, done: int, total: int, index: int = index) -> None:
            if progress is not None:
                progress(name, index * total + done, len(images) * total)

        for name, values in run_float(graph, weights, image[None], report):
            low, high = float(values.min()), float(values.max())
            if not (np.isfinite(low) and np.isfinite(high)):
                raise SystolithError(
                    f"{name}: values overflow float32 on image {index}; are the weights sound?"
                )
            if name in ranges:
                low, high = min(low, ranges[name][0]), max(high, ranges[name][1])
            ranges[name] = (low, high)
            if name == graph.output:
                outputs.append(values)
    if method != "minmax":
        choose = percentile if method == "percentile" else least_error
        whole = _outputs(graph)
        inner = [name for name, ends in ranges.items() if _spread(*ends) and name not in whole]
        counts = {name: np.zeros(BINS) for name in inner}
        for image in images:
            for name, values in run_float(graph, weights, image[None]):
                if name in counts:
                    share = _power(values) if method == "mse" else 1.0
                    found = np.histogram(values, BINS, ranges[name])[0]
                    counts[name] += found / share if share else 0.0
        ranges |= {name: choose(counts[name], *ranges[name]) for name in counts}
    return Calibration(ranges, np.concatenate(outputs))


def _outputs(graph: Graph) -> set[str]:
    """Return the outputs, and what a flattening makes one of."""
    found = set(graph.outputs)
    for node in reversed(graph.nodes):
        if isinstance(node, Flatten) and node.output in found:
            found.add(node.input)
    return found


def _power(values: np.ndarray) -> float:
    """Return the mean square, 0.0 where it is too small for a share of it."""
    power = float(np.square(values, dtype=np.float64).mean())
    return power if power > _LEAST_SPREAD**2 else 0.0


def _spread(low: float, high: float) -> bool:
    """Return whether values differ enough for a histogram; its edges are float32, too.

    The range of other tensors is from 0 to their values; nothing lies outside.
    """
    return high - low > max(_LEAST_SPREAD, abs(low) / 64, abs(high) / 64)
