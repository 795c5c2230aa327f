"""Folds a float graph into the accelerator's layers: nodes with the clamps behind them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from systolith_host.errors import SystolithError
from systolith_host.network.graph import (
    Add,
    AveragePool,
    Clip,
    Concat,
    Conv,
    Flatten,
    Graph,
    Host,
    Linear,
    MaxPool,
    Node,
    Relu,
)

__all__ = ["FoldedLayer", "fold"]

_Kind = Conv | Linear | MaxPool | AveragePool | Add | Concat | Host | Relu | Clip


@dataclass(frozen=True)
class FoldedLayer:
    """A node that computes, with the nodes around it taken in.

    Parameters
    ----------
    node : Node
        A ReLU or Clip only where it follows nothing that could clamp for it.
    inputs : tuple of str
        Tensors that it reads: outputs of other folded layers, or the network's input.
    output : str
        Tensor that it makes; the clamp's if there is one.
    low, high : float
        Clamp of the result; infinite where there is none.
    """

    node: _Kind
    inputs: tuple[str, ...]
    output: str
    low: float = -math.inf
    high: float = math.inf

    @property
    def input(self) -> str:
        """The first input."""
        return self.inputs[0]

    @property
    def relu(self) -> bool:
        """Whether the output is never below 0."""
        return self.low == 0.0


def fold(graph: Graph, scales: Mapping[str, object] | None = None) -> tuple[FoldedLayer, ...]:
    """Return the layers in order, each clamp in its layer and each flattening in its input.

    Needs a graph in order; guarantees that every layer's inputs are the network's input or earlier
    layers' outputs. A clamp stays a layer of its own where its input has other users, or comes
    from a pool, a concatenation or the host.

    Parameters
    ----------
    graph : Graph
    scales : mapping of str to object, optional
        Of tensors that were quantised before. One with a scale of its own stays, too.

    Raises
    ------
    SystolithError
        If a node is of an unknown kind.
    """
    users = dict.fromkeys(graph.outputs, 1)
    for node in graph.nodes:
        for name in node.inputs:
            users[name] = users.get(name, 0) + 1
    stands_for: dict[str, str] = {graph.input: graph.input}
    layers: list[FoldedLayer] = []
    made_by: dict[str, int] = {}
    for node in graph.nodes:
        if isinstance(node, Flatten):
            stands_for[node.output] = stands_for[node.input]
            continue
        low, high = _clamp(node)
        index = made_by.get(node.inputs[0])
        if isinstance(node, Relu | Clip) and index is not None and users[node.input] == 1:
            last = layers[index]
            own = scales is not None and scales.get(node.input, scales.get(node.output)) != (
                scales.get(node.output)
            )
            if not own and not isinstance(last.node, MaxPool | Concat | Host):
                # Values between the old limits end between the images of those limits.
                low, high = (min(max(limit, low), high) for limit in (last.low, last.high))
                layers[index] = replace(last, output=node.output, low=low, high=high)
                made_by[node.output] = index
                stands_for[node.output] = node.output
                continue
        if not isinstance(node, _Kind):
            raise SystolithError(f"{node.name}: {type(node).__name__} is not supported")
        inputs = tuple(stands_for[name] for name in node.inputs)
        made_by[node.output] = len(layers)
        layers.append(FoldedLayer(node, inputs, node.output, low, high))
        stands_for[node.output] = node.output
    return tuple(layers)


def _clamp(node: Node) -> tuple[float, float]:
    if isinstance(node, Relu):
        return 0.0, math.inf
    if isinstance(node, Clip):
        return node.low, node.high
    return -math.inf, math.inf
