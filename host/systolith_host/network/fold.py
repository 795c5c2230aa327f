"""Folds a float graph into the accelerator's layers: nodes with the clamps behind them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from systolith_host.errors import SystolithError
from systolith_host.network.functions import Step
from systolith_host.network.graph import (
    Add,
    AveragePool,
    Clip,
    Concat,
    Conv,
    Flatten,
    Function,
    Graph,
    Host,
    Linear,
    MaxPool,
    Mosaic,
    Node,
    Relu,
    Take,
)

__all__ = ["FoldedLayer", "fold"]

_Joined = MaxPool | Concat | Mosaic | Take

_Kind = Conv | Linear | AveragePool | Add | _Joined | Host | Relu | Clip | Function

_Bare = _Joined | Host
"""Kinds without a requantisation that could clamp."""


@dataclass(frozen=True)
class FoldedLayer:
    """A node that computes, with the nodes around it taken in.

    Parameters
    ----------
    node : Node
        A ReLU, Clip or function only where it follows nothing that could do it as well.
    inputs : tuple of str
        Tensors that it reads: outputs of other folded layers, or the network's input.
    output : str
        Tensor that it makes; the clamp's or the function's if there is one.
    low, high : float
        Clamp of the result, or before the function; infinite where there is none.
    steps : tuple of Step
        Of the function; empty if there is none.
    before : str
        Tensor before the function; the last input of a function that is a layer of its own.
    """

    node: _Kind
    inputs: tuple[str, ...]
    output: str
    low: float = -math.inf
    high: float = math.inf
    steps: tuple[Step, ...] = ()
    before: str = ""

    @property
    def input(self) -> str:
        """The first input."""
        return self.inputs[0]

    @property
    def relu(self) -> bool:
        """Whether the output is never below 0 because of its clamp."""
        return self.low == 0.0 and not self.steps


def fold(graph: Graph, scales: Mapping[str, object] | None = None) -> tuple[FoldedLayer, ...]:
    """Return the layers in order, each clamp in its layer and each flattening in its input.

    Needs a graph in order; guarantees that every layer's inputs are the network's input or earlier
    layers' outputs. A clamp or function stays a layer of its own where its input has other users,
    or comes from a pool, a concatenation, a mosaic, a slice or the host; and so does what follows a
    function.

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
        steps = node.steps if isinstance(node, Function) else ()
        index = made_by.get(node.inputs[0])
        if steps and index is not None and users[node.input] == 1:
            last = layers[index]
            if not last.steps and not isinstance(last.node, _Bare):
                layers[index] = replace(
                    last, output=node.output, steps=steps, before=stands_for[node.input]
                )
                made_by[node.output] = index
                stands_for[node.output] = node.output
                continue
        if isinstance(node, Relu | Clip) and index is not None and users[node.input] == 1:
            last = layers[index]
            own = scales is not None and scales.get(node.input, scales.get(node.output)) != (
                scales.get(node.output)
            )
            if not own and not last.steps and not isinstance(last.node, _Bare):
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
        before = inputs[0] if steps else ""
        layers.append(FoldedLayer(node, inputs, node.output, low, high, steps, before))
        stands_for[node.output] = node.output
    return tuple(layers)


def _clamp(node: Node) -> tuple[float, float]:
    if isinstance(node, Relu):
        return 0.0, math.inf
    if isinstance(node, Clip):
        return node.low, node.high
    return -math.inf, math.inf
