"""Bias correction: takes the mean error of quantisation out of each channel's bias."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from systolith_host.network.forward import input_windows, run_float
from systolith_host.network.golden import run_layer
from systolith_host.network.graph import Conv, Graph, Linear, Weights
from systolith_host.network.qgraph import QConv, QGraph
from systolith_host.network.scales import ActivationScale

__all__ = ["MOST_IMAGES", "Correction", "correct_bias"]

MOST_IMAGES = 32
"""Calibration images that are used: all of them are in memory at once, layer after layer."""

_BIAS_LIMIT = (1 << 31) - 1

_LEAST_STEP, _LARGEST_STEP = 2.0**-31, 255
"""Steps of the output that a step of the sums may make where a bias is corrected."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Correction:
    """The correction of a layer.

    Parameters
    ----------
    layer : str
    steps : float
        Root mean square of the corrections of its channels, in steps of its output.
    """

    layer: str
    steps: float


def correct_bias(
    graph: Graph,
    weights: Weights,
    qgraph: QGraph,
    images: np.ndarray,
    progress: Progress | None = None,
) -> tuple[QGraph, tuple[Correction, ...]]:
    """Return the integer network with biases under which channels have the float network's means.

    After Nagel et al., "Data-free quantization through weight equalization and bias correction"
    (ICCV 2019), section 4.2, with images. Layers are taken in order, so that a layer's inputs
    come from corrected layers. The mean of each channel of sums, before any clamp, is compared
    with the float network's, and the difference is added to the bias. A convolution is linear: its
    mean is that of its weights with its mean input window, so no convolution is computed.

    Parameters
    ----------
    graph, weights
        The float network.
    qgraph : QGraph
        The integer network made from it.
    images : ndarray of float32, shape (N, channels, height, width)
        For calibration; the first MOST_IMAGES are used.
    progress : callable, optional
        Called with what is under way, how much of it is done, and all.
    """
    images = images[:MOST_IMAGES]
    nodes = {node.name: node for node in graph.weighted}
    wanted = _float_means(graph, weights, images, progress)
    last_use = {name: i for i, layer in enumerate(qgraph.layers) for name in layer.inputs}
    source = qgraph.tensors[qgraph.input]
    first = ActivationScale(source.unsigned, source.scale, source.zero_point).quantize(images)
    tensors = {qgraph.input: first.reshape(len(images), *source.shape)}
    layers = []
    done = []
    for index, layer in enumerate(qgraph.layers):
        if progress is not None:
            progress(layer.name, index, len(qgraph.layers))
        node = nodes.get(layer.name)
        if isinstance(layer, QConv) and node is not None:
            layer, correction = _corrected(qgraph, layer, node, tensors, wanted[layer.name])
            done.append(correction)
        layers.append(layer)
        if index + 1 < len(qgraph.layers):
            parts = [
                run_layer(qgraph, layer, *(tensors[name][i : i + 1] for name in layer.inputs))
                for i in range(len(images))
            ]
            tensors[layer.output] = np.concatenate(parts)
        for name in set(layer.inputs):
            if last_use[name] == index:
                del tensors[name]
    return replace(qgraph, layers=tuple(layers)), tuple(done)


def _float_means(
    graph: Graph, weights: Weights, images: np.ndarray, progress: Progress | None
) -> dict[str, np.ndarray]:
    """Return the mean of each output channel of every layer with weights, before its clamp."""
    users: dict[str, list[Conv | Linear]] = {}
    for node in graph.weighted:
        users.setdefault(node.input, []).append(node)
    means = {node.name: np.zeros(len(weights[node.name].bias)) for node in graph.weighted}
    for number, image in enumerate(images):
        if progress is not None:
            progress("float network", number, len(images))
        for name, values in run_float(graph, weights, image[None]):
            for node in users.get(name, ()):
                made = weights[node.name]
                mean = _mean_window(node, values)
                means[node.name] += _mean_output(node, made.weight, mean) + made.bias
    return {name: total / len(images) for name, total in means.items()}


def _mean_window(node: Conv | Linear, values: np.ndarray) -> np.ndarray:
    """Return the mean input of a layer over images and pixels: shape (C, R, S) or (features,)."""
    if isinstance(node, Linear):
        return values.reshape(len(values), -1).mean(axis=0, dtype=np.float64)
    return input_windows(node, values).mean(axis=(0, 2, 3), dtype=np.float64)


def _mean_output(node: Conv | Linear, weight: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return the mean outputs of weights on a mean window, shape (K,)."""
    groups = node.groups if isinstance(node, Conv) else 1
    each = weight.reshape(groups, len(weight) // groups, -1)
    return np.concatenate(
        [part @ window for part, window in zip(each, mean.reshape(groups, -1), strict=True)]
    )


def _corrected(
    qgraph: QGraph,
    layer: QConv,
    node: Conv | Linear,
    tensors: dict[str, np.ndarray],
    wanted: np.ndarray,
) -> tuple[QConv, Correction]:
    source, target = qgraph.tensors[layer.input], qgraph.tensors[layer.output]
    # One image at a time: windows of integers become floats.
    shape = (1, -1) if isinstance(node, Linear) else (1, *source.shape)
    windows = [
        _mean_window(node, (values.astype(np.float32) - source.zero_point).reshape(shape))
        for values in tensors[layer.input]
    ]
    mean = np.mean(windows, axis=0)
    sums = _mean_output(node, layer.weight.astype(np.float32), mean) + layer.bias
    # Real value of a step of the sums: input scale times weight scale.
    step = np.ldexp(layer.multiplier.astype(np.float64), -layer.shift) * target.scale
    # Where a step crosses the whole output, or vanishes in it, the bias corrects nothing.
    alive = (step > _LEAST_STEP * target.scale) & (step < _LARGEST_STEP * target.scale)
    missing = np.zeros(len(sums))
    missing[alive] = wanted[alive] / step[alive] - sums[alive]
    bias = np.clip(np.rint(layer.bias + missing), -_BIAS_LIMIT, _BIAS_LIMIT).astype(np.int32)
    moved = (bias.astype(np.float64) - layer.bias) * step / target.scale
    return replace(layer, bias=bias), Correction(layer.name, float(np.sqrt((moved**2).mean())))
