"""The float network: tensors with shapes, and nodes that make one tensor from others."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from systolith_host.network.functions import Step
from systolith_host.network.mosaic import Grid
from systolith_host.program.part import HostPart
from systolith_sim.golden.ops import conv_output_size

__all__ = [
    "Add",
    "AveragePool",
    "Clip",
    "Concat",
    "Conv",
    "Flatten",
    "Function",
    "Graph",
    "GraphBuilder",
    "Host",
    "LayerWeights",
    "Linear",
    "MaxPool",
    "Mosaic",
    "Node",
    "Relu",
    "Take",
    "Weights",
    "node_macs",
    "weight_shape",
]

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Node:
    """Something that makes the tensor `output` from the tensors `inputs`.

    Parameters
    ----------
    name : str
    inputs : tuple of str
        Two tensors for :class:`Add`, one or more for :class:`Concat` and :class:`Mosaic`, any
        number for :class:`Host`, else one.
    output : str
    """

    name: str
    inputs: tuple[str, ...]
    output: str

    @property
    def input(self) -> str:
        """The only input."""
        (name,) = self.inputs
        return name


@dataclass(frozen=True)
class Conv(Node):
    """A convolution with bias.

    Parameters
    ----------
    channels : int
        Output channels.
    kernel, stride, dilation : (vertical, horizontal)
    padding : (top, bottom, left, right)
    groups : int
        Divides input and output channels; each group's outputs see its inputs only.
    """

    channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1


@dataclass(frozen=True)
class Linear(Node):
    """A fully connected layer with bias, from a vector to a vector of `features`."""

    features: int


@dataclass(frozen=True)
class Relu(Node):
    """max(x, 0)."""


@dataclass(frozen=True)
class MaxPool(Node):
    """Max-pooling whose padding never wins; parameters as in :class:`Conv`."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)


@dataclass(frozen=True)
class Clip(Node):
    """min(max(x, low), high); infinity is no limit."""

    low: float
    high: float


@dataclass(frozen=True)
class Function(Node):
    """A function of each value: what its steps give (see :mod:`~.functions`)."""

    steps: tuple[Step, ...]


@dataclass(frozen=True)
class AveragePool(Node):
    """The mean of each window, padding counted as zeros; parameters as in :class:`Conv`."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)


@dataclass(frozen=True)
class Add(Node):
    """The sum of two tensors of one shape."""


@dataclass(frozen=True)
class Concat(Node):
    """Tensors one after the other along their channels."""


@dataclass(frozen=True)
class Mosaic(Node):
    """Images of the same channels that together make a larger one (see :mod:`~.mosaic`).

    Parameters
    ----------
    grids : tuple of Grid
        The pixels of the output that each input gives.
    """

    grids: tuple[Grid, ...]


@dataclass(frozen=True)
class Take(Node):
    """Some channels of a tensor, in some order, and a grid of its pixels.

    Parameters
    ----------
    channels : tuple of int
        Of the input, in the order of the output's.
    rows, columns : (int, int, int)
        First, end and step, as of a slice; (0, 1, 1) of a vector.
    """

    channels: tuple[int, ...]
    rows: tuple[int, int, int]
    columns: tuple[int, int, int]


@dataclass(frozen=True)
class Flatten(Node):
    """(channels, height, width) becomes a vector in that order."""


@dataclass(frozen=True)
class Host(Node):
    """Nodes that the array cannot compute; the host does it, in floats.

    Parameters
    ----------
    part : HostPart
        What it computes, from the inputs in their order.
    """

    part: HostPart


@dataclass(frozen=True, eq=False)
class LayerWeights:
    """The parameters of a :class:`Conv` or :class:`Linear`.

    Parameters
    ----------
    weight : ndarray of float32, shape (K, C / groups, R, S) or (K, C)
    bias : ndarray of float32, shape (K,)
    scale : ndarray of float64, shape (K,), optional
        Steps of weights that were quantised before, which are to be kept.
    bits : int
        Of the integers that the weights become, unless they were quantised before.
    """

    weight: np.ndarray
    bias: np.ndarray
    scale: np.ndarray | None = None
    bits: int = 8


Weights = Mapping[str, LayerWeights]
"""Parameters by the name of their node."""


@dataclass(frozen=True)
class Graph:
    """A float network without its weights.

    Parameters
    ----------
    name : str
    shapes : mapping of str to tuple of int
        Every tensor's shape for one image: (channels, height, width), or (features,).
    nodes : tuple of Node
        In an order in which every input comes before its use.
    input, output : str
        Names of the network's input and output tensors.
    more : tuple of str
        Outputs besides that one.
    real : bool
        Whether the input stays in floats, because only the host reads it.
    """

    name: str
    shapes: Mapping[str, Shape]
    nodes: tuple[Node, ...]
    input: str
    output: str
    more: tuple[str, ...] = ()
    real: bool = False

    @property
    def outputs(self) -> tuple[str, ...]:
        """All outputs, the first one first."""
        return (self.output, *self.more)

    @property
    def weighted(self) -> tuple[Conv | Linear, ...]:
        """The nodes that have weights, in order."""
        return tuple(node for node in self.nodes if isinstance(node, Conv | Linear))


def weight_shape(graph: Graph, node: Conv | Linear) -> Shape:
    """Return the shape of a node's weight: (K, C / groups, R, S), or (K, C) if fully connected."""
    inputs = graph.shapes[node.input][0]
    if isinstance(node, Linear):
        return (node.features, inputs)
    return (node.channels, inputs // node.groups, *node.kernel)


def node_macs(graph: Graph, node: Node) -> int:
    """Return the multiply-accumulates of a node for one image."""
    if not isinstance(node, Conv | Linear):
        return 0
    _, *pixels = graph.shapes[node.output]
    return int(np.prod(weight_shape(graph, node)) * np.prod(pixels))


class GraphBuilder:
    """Collects nodes one after the other and works out the shapes.

    Each method appends a node whose output tensor has the node's name. The node's input is the
    last output, or the tensor that `source` names.

    Parameters
    ----------
    name : str
        Of the network.
    shape : tuple of int
        (channels, height, width) of the tensor "input".
    """

    def __init__(self, name: str, shape: tuple[int, int, int]) -> None:
        self._name = name
        self._shapes: dict[str, Shape] = {"input": shape}
        self._nodes: list[Node] = []
        self._last = "input"

    def conv(
        self,
        name: str,
        channels: int,
        kernel: tuple[int, int],
        *,
        stride: tuple[int, int] = (1, 1),
        padding: tuple[int, int, int, int] = (0, 0, 0, 0),
        dilation: tuple[int, int] = (1, 1),
        source: str | None = None,
    ) -> None:
        """Append a :class:`Conv`."""
        source = source or self._last
        size = self._image_size(source)
        pixels = conv_output_size(size, kernel, stride, padding, dilation)
        node = Conv(name, (source,), name, channels, kernel, stride, padding, dilation)
        self._append(node, (channels, *pixels))

    def max_pool(
        self,
        name: str,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        padding: tuple[int, int, int, int] = (0, 0, 0, 0),
        source: str | None = None,
    ) -> None:
        """Append a :class:`MaxPool`."""
        source = source or self._last
        pixels = conv_output_size(self._image_size(source), kernel, stride, padding)
        node = MaxPool(name, (source,), name, kernel, stride, padding)
        self._append(node, (self._shapes[source][0], *pixels))

    def linear(self, name: str, features: int, source: str | None = None) -> None:
        """Append a :class:`Linear`; its input must be a vector."""
        source = source or self._last
        if len(self._shapes[source]) != 1:
            raise ValueError(f"input of {name} must be a vector, not {self._shapes[source]}")
        self._append(Linear(name, (source,), name, features), (features,))

    def relu(self, name: str, source: str | None = None) -> None:
        """Append a :class:`Relu`."""
        source = source or self._last
        self._append(Relu(name, (source,), name), self._shapes[source])

    def flatten(self, name: str, source: str | None = None) -> None:
        """Append a :class:`Flatten`."""
        source = source or self._last
        self._append(Flatten(name, (source,), name), (int(np.prod(self._shapes[source])),))

    def build(self) -> Graph:
        """Return the network, whose output is the last tensor."""
        return Graph(self._name, dict(self._shapes), tuple(self._nodes), "input", self._last)

    def _append(self, node: Node, shape: Shape) -> None:
        if node.output in self._shapes:
            raise ValueError(f"tensor {node.output!r} must be made only once")
        self._nodes.append(node)
        self._shapes[node.output] = shape
        self._last = node.output

    def _image_size(self, tensor: str) -> tuple[int, int]:
        shape = self._shapes[tensor]
        if len(shape) != 3:
            raise ValueError(f"tensor {tensor!r} must be an image, not of shape {shape}")
        return shape[1], shape[2]
