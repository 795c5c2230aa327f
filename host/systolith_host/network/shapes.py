"""A network without values: all that scheduling and timing need of it."""

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.network.graph import Conv, Flatten, Graph, Linear, MaxPool, Relu
from systolith_host.network.qgraph import QConv, QGraph, QLayer, QMaxPool, QTensor

__all__ = ["timing_network"]


def timing_network(graph: Graph) -> QGraph:
    """Return an integer network of a graph's shapes whose weights are 0 but for one of each layer.

    That one has all its bits. Cycles and bytes depend on no other value, so the network takes as
    long as the quantised one.

    Raises
    ------
    SystolithError
        If a node is neither convolution, fully connected, ReLU, max-pool nor flattening, or a
        convolution has groups: how those are packed depends on their weights.
    """
    tensors = {graph.input: _tensor(graph, graph.input)}
    layers: list[QLayer] = []
    made = {graph.input: graph.input}
    for node in graph.nodes:
        source = made[node.inputs[0]]
        if isinstance(node, Relu | Flatten):
            made[node.output] = source
            continue
        target = _tensor(graph, node.output)
        names = (node.name, source, node.output)
        channels = tensors[source].shape
        if isinstance(node, MaxPool):
            layers.append(QMaxPool(*names, node.kernel, node.stride, node.padding))
        elif isinstance(node, Conv) and node.groups == 1:
            shape = (node.channels, channels[0], *node.kernel)
            numbers = {
                "stride": node.stride,
                "padding": node.padding,
                "dilation": node.dilation,
            }
            layers.append(_conv(names, "conv", shape, numbers))
        elif isinstance(node, Linear):
            layers.append(_conv(names, "fc", (node.features, *channels), {}))
        else:
            raise SystolithError(
                f"{graph.name}: node {node.name} is a {type(node).__name__}; the performance model "
                "knows networks of convolutions of one group, fully connected layers and max-pools "
                "only"
            )
        tensors[node.output] = target
        made[node.output] = node.output
    return QGraph(graph.name, tensors, tuple(layers), graph.input, layers[-1].output)


def _tensor(graph: Graph, name: str) -> QTensor:
    shape = graph.shapes[name]
    channels, height, width = shape if len(shape) == 3 else (shape[0], 1, 1)
    return QTensor(name, (channels, height, width), True, 1.0, 0)


def _conv(names, kind, shape, numbers) -> QConv:
    outputs = shape[0]
    weight = np.zeros(shape, np.int8)
    weight.flat[0] = 127
    return QConv(
        *names,
        kind=kind,
        weight=weight,
        bias=np.zeros(outputs, np.int32),
        multiplier=np.ones(outputs, np.int64),
        shift=np.full(outputs, 8),
        low=0,
        high=255,
        **numbers,
    )
