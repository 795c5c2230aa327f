"""From a float graph, its weights and a calibration to the integer network."""

from collections.abc import Callable

import numpy as np

from systolith_host.model.graph import Conv, Graph, MaxPool, Weights, weight_shape
from systolith_host.quantize.calibrate import Calibration
from systolith_host.quantize.fold import FoldedLayer, fold
from systolith_host.quantize.qgraph import QConv, QGraph, QLayer, QMaxPool, QTensor
from systolith_host.quantize.scales import (
    ActivationScale,
    activation_scale,
    quantize_weight,
    requantisation,
)

__all__ = ["quantize", "quantize_input"]

Progress = Callable[[str, int, int], None]
"""Called with what is under way, the elements done, and all elements."""


def quantize(
    graph: Graph,
    weights: Weights,
    calibration: Calibration,
    multiplier_width: int,
    progress: Progress | None = None,
) -> QGraph:
    """Return the integer network.

    The output tensor of a layer has the layer's name. Max-pooling keeps its input's scale. A
    linear layer becomes a convolution with a kernel of its input's height and width.

    Parameters
    ----------
    graph : Graph
    weights : mapping of str to LayerWeights
    calibration : Calibration
        Of this graph with these weights.
    multiplier_width : int
        Bits of the requantiser's multiplier.
    progress : callable, optional
        Called before each layer with its name, the weights done and those of all layers.

    Raises
    ------
    SystolithError
        If the graph has something that is not supported, or a scale that cannot be expressed.
    """
    layers = fold(graph)
    source_scale = activation_scale(*calibration.ranges[graph.input])
    scales = {graph.input: source_scale}
    tensors = {graph.input: _tensor(graph.input, graph.shapes[graph.input], source_scale)}
    names = {graph.input: graph.input}
    total = sum(int(np.prod(weight_shape(graph, node))) for node in graph.weighted)
    done = 0
    result: list[QLayer] = []
    for layer in layers:
        node = layer.node
        source = tensors[names[layer.input]]
        names[layer.output] = node.name
        if isinstance(node, MaxPool):
            scale = scales[layer.input]
            result.append(
                QMaxPool(node.name, source.name, node.name, node.kernel, node.stride, node.padding)
            )
        else:
            if progress is not None:
                progress(node.name, done, total)
            done += int(np.prod(weight_shape(graph, node)))
            scale = activation_scale(*calibration.ranges[layer.output])
            result.append(_convolution(layer, weights, source, scale, multiplier_width))
        scales[layer.output] = scale
        tensors[node.name] = _tensor(node.name, graph.shapes[layer.output], scale)
    return QGraph(graph.name, tensors, tuple(result), graph.input, names[layers[-1].output])


def quantize_input(qgraph: QGraph, x: np.ndarray) -> np.ndarray:
    """Return float inputs, shape (N, C, H, W), as integers of the network's input tensor."""
    tensor = qgraph.tensors[qgraph.input]
    return ActivationScale(tensor.unsigned, tensor.scale, tensor.zero_point).quantize(x)


def _tensor(name: str, shape: tuple[int, ...], scale: ActivationScale) -> QTensor:
    channels, height, width = (*shape, 1, 1)[:3]
    return QTensor(name, (channels, height, width), scale.unsigned, scale.scale, scale.zero_point)


def _convolution(
    layer: FoldedLayer,
    weights: Weights,
    source: QTensor,
    target: ActivationScale,
    multiplier_width: int,
) -> QConv:
    node = layer.node
    real = weights[node.name]
    weight, bias, weight_scale = quantize_weight(real.weight, real.bias, source.scale)
    multiplier, shift = requantisation(
        source.scale * weight_scale / target.scale, multiplier_width, node.name
    )
    low = max(target.low, target.zero_point) if layer.relu else target.low
    if isinstance(node, Conv):
        return QConv(
            node.name,
            source.name,
            node.name,
            "conv",
            weight,
            bias,
            multiplier,
            shift,
            low,
            target.high,
            node.stride,
            node.padding,
            node.dilation,
        )
    weight = weight.reshape(len(weight), *source.shape)
    return QConv(
        node.name,
        source.name,
        node.name,
        "fc",
        weight,
        bias,
        multiplier,
        shift,
        low,
        target.high,
    )
