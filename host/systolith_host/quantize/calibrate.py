"""The range of every tensor on given images."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.model.forward import run_float
from systolith_host.model.graph import Graph, Weights

__all__ = ["Calibration", "calibrate"]

Progress = Callable[[str, int, int], None]
"""Called with what is under way, the work done, and all the work."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """What calibration saw.

    Parameters
    ----------
    ranges : dict of str to (float, float)
        Least and largest value of every tensor over all images.
    output : ndarray of float32, shape (N, ...)
        The float network's output, to compare with.
    """

    ranges: dict[str, tuple[float, float]]
    output: np.ndarray


def calibrate(
    graph: Graph, weights: Weights, images: np.ndarray, progress: Progress | None = None
) -> Calibration:
    """Run the float network, one image at a time, and note the least and largest values.

    Parameters
    ----------
    graph : Graph
    weights : mapping of str to LayerWeights
    images : ndarray of float32, shape (N, channels, height, width)
    progress : callable, optional
        Called with the layer's name, the multiply-accumulates done and those of all images.

    Raises
    ------
    SystolithError
        If a tensor has values that are not finite.
    """
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
    return Calibration(ranges, np.concatenate(outputs))
