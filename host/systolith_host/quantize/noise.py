"""The cost of quantisation: the signal-to-noise ratio of every layer."""

import math
from collections.abc import Mapping

import numpy as np

from systolith_host.network.fold import fold
from systolith_host.network.forward import run_float
from systolith_host.network.graph import Graph, Weights
from systolith_host.network.qgraph import QGraph
from systolith_host.network.scales import ActivationScale

__all__ = ["decibels", "layer_noise"]


def layer_noise(
    graph: Graph,
    weights: Weights,
    qgraph: QGraph,
    tensors: Mapping[str, np.ndarray],
    x: np.ndarray,
    scales: Mapping[str, ActivationScale] | None = None,
) -> dict[str, float]:
    """Return, for each layer of the float network, signal over noise in decibels.

    The signal is the float network's tensor, the noise the integer network's difference
    from it, which includes the noise of all layers before.

    Parameters
    ----------
    graph, weights
        The float network.
    qgraph : QGraph
        The integer network made from it.
    tensors : mapping of str to ndarray
        The golden model's, of the same inputs.
    x : ndarray of float32, shape (N, ...)
        The inputs.
    scales : mapping, optional
        Of a network that was quantised before; the float network saturates where it does.
    """
    names = {layer.output: layer.node.name for layer in fold(graph, scales)}
    result = {}
    for name, values in run_float(graph, weights, x, scales=scales):
        if name not in names:
            continue
        target = qgraph.tensors[names[name]]
        real = (tensors[target.name].astype(np.float64) - target.zero_point) * target.scale
        result[target.name] = decibels(values, real.reshape(values.shape))
    return result


def decibels(signal: np.ndarray, values: np.ndarray) -> float:
    """Return signal over noise, the noise being the difference of the values from the signal."""
    noise = float(((values - signal.astype(np.float64)) ** 2).sum())
    power = float((signal.astype(np.float64) ** 2).sum())
    if not noise:
        return math.inf
    return 10 * math.log10(power / noise) if power else -math.inf
