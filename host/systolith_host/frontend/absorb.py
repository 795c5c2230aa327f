"""Takes scales and shifts of channels into the layers before or behind them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from systolith_host.frontend.problems import Problem
from systolith_host.network.graph import Conv, Graph, LayerWeights, Linear, Node
from systolith_host.network.scales import WEIGHT_LIMIT

__all__ = ["Affine", "absorb"]

_LARGEST_DIAGONAL = 4096
"""Features of a vector for which a matrix with numbers on its diagonal alone is acceptable."""


@dataclass(frozen=True)
class Affine(Node):
    """scale * x + shift, with a number each for every channel of an image or feature of a vector.

    Its weights are ``LayerWeights(scale, shift)``, both of shape (K,) in float64.
    """


def absorb(
    graph: Graph, weights: Mapping[str, LayerWeights], scales: Mapping[str, object]
) -> tuple[Graph, dict[str, LayerWeights], list[Problem]]:
    """Return the network without any :class:`Affine`.

    It becomes part of the layer before it if nothing else, not even the network's output, uses
    that layer's output. Otherwise, on an image it becomes a depthwise 1x1 convolution; on a vector
    it becomes part of the linear layers behind it, or a linear layer of its own.

    Parameters
    ----------
    graph : Graph
        Its output needs all of its nodes.
    weights : mapping of str to LayerWeights
        Of its :class:`Conv`, :class:`Linear` and :class:`Affine` nodes.
    scales : mapping of str to object
        Of tensors that were quantised before: no layer loses such an output.

    Returns
    -------
    graph : Graph
    weights : dict of str to LayerWeights
    problems : list of Problem
        Nodes for which there is no way.
    """
    values = dict(weights)
    nodes = _backwards(graph, values, scales)
    result: list[Node] = []
    problems = []
    renamed: dict[str, str] = {}
    for node in nodes:
        node = replace(node, inputs=tuple(renamed.get(name, name) for name in node.inputs))
        if not isinstance(node, Affine):
            result.append(node)
            continue
        shape = graph.shapes[node.output]
        affine = values[node.name]
        scale = affine.weight
        if len(shape) == 3:
            result.append(
                Conv(node.name, node.inputs, node.output, shape[0], (1, 1), groups=shape[0])
            )
            values[node.name] = _layer(scale.reshape(-1, 1, 1, 1), affine, scales)
        elif _forwards(graph, node, nodes, values, scales):
            renamed[node.output] = node.input
        elif shape[0] <= _LARGEST_DIAGONAL:
            result.append(Linear(node.name, node.inputs, node.output, shape[0]))
            values[node.name] = _layer(np.diag(scale), affine, scales)
        else:
            problems.append(
                Problem(
                    node.name,
                    "scale",
                    f"scales {shape[0]} features, more than {_LARGEST_DIAGONAL}, which "
                    "works only right behind a linear layer or before linear layers alone",
                )
            )
    used = {graph.input, *(name for node in result for name in (*node.inputs, node.output))}
    shapes = {name: shape for name, shape in graph.shapes.items() if name in used}
    return replace(graph, shapes=shapes, nodes=tuple(result)), values, problems


def _users(graph: Graph, nodes: list[Node]) -> dict[str, list[Node | None]]:
    """Return who uses each tensor; None stands for whoever takes an output."""
    users: dict[str, list[Node | None]] = {name: [None] for name in graph.outputs}
    for node in nodes:
        for name in node.inputs:
            users.setdefault(name, []).append(node)
    return users


def _backwards(
    graph: Graph, values: dict[str, LayerWeights], scales: Mapping[str, object]
) -> list[Node]:
    """Return the nodes without those that became part of the one before."""
    users = _users(graph, list(graph.nodes))
    nodes: list[Node] = []
    makers: dict[str, int] = {}
    for node in graph.nodes:
        place = makers.get(node.inputs[0])
        alone = len(users[node.inputs[0]]) == 1 and node.inputs[0] not in scales
        if isinstance(node, Affine) and place is not None and alone:
            before = nodes[place]
            merged = _behind(values.get(before.name), values[node.name])
            if isinstance(before, Conv | Linear | Affine) and merged is not None:
                values[before.name] = merged
                nodes[place] = replace(before, output=node.output)
                makers[node.output] = place
                continue
        makers[node.output] = len(nodes)
        nodes.append(node)
    return nodes


def _behind(old: LayerWeights | None, affine: LayerWeights) -> LayerWeights | None:
    """Return a layer's weights with a scale and shift behind it; None if it must keep its own."""
    if old is None:
        return None
    scale, shift = affine.weight, affine.bias
    if old.scale is not None and (scale != 1).any():
        return _quantised_behind(old, old.scale, scale, shift)
    if old.scale is not None:
        return replace(old, bias=old.bias + shift)
    weight = _product(old.weight, scale.reshape(-1, *[1] * (old.weight.ndim - 1)))
    return LayerWeights(weight, old.bias * scale + shift)


def _quantised_behind(
    old: LayerWeights, steps: np.ndarray, scale: np.ndarray, shift: np.ndarray
) -> LayerWeights | None:
    """Let the steps take the scale, and the integers its sign; None if they would not fit."""
    least = old.weight.reshape(len(old.weight), -1).min(axis=1)
    if ((scale < 0) & (least < -127.5 * steps)).any():
        return None
    weight = _product(old.weight, scale.reshape(-1, *[1] * (old.weight.ndim - 1)))
    new = np.where(scale == 0, steps, steps * np.abs(scale))
    return LayerWeights(weight, old.bias * scale + shift, new)


def _forwards(
    graph: Graph,
    affine: Affine,
    nodes: list[Node],
    values: dict[str, LayerWeights],
    scales: Mapping[str, object],
) -> bool:
    """Take a scale and shift of features into all the linear layers that use them, or none."""
    behind = _users(graph, nodes).get(affine.output, [])
    layers = [node for node in behind if isinstance(node, Linear)]
    free = all(values[node.name].scale is None for node in layers)
    if len(layers) != len(behind) or not free or affine.output in scales:
        return False
    scale, shift = values[affine.name].weight, values[affine.name].bias
    for node in layers:
        old = values[node.name]
        bias = old.bias + np.array([row @ shift for row in old.weight])
        values[node.name] = LayerWeights(_product(old.weight, scale), bias)
    return True


def _product(weight: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return the product, rounded once to the weights' type, without a copy in float64."""
    return np.multiply(weight, scale, out=np.empty_like(weight), casting="same_kind")


def _layer(weight: np.ndarray, affine: LayerWeights, scales: Mapping[str, object]) -> LayerWeights:
    """Return a layer's own weights, with fixed steps if the file is quantised.

    Its integers are exact then, and a bias that they would move is refused, as a file's own is.
    """
    steps = np.where(affine.weight == 0, 1, np.abs(affine.weight)) / WEIGHT_LIMIT
    return LayerWeights(weight.astype(np.float32), affine.bias, steps if scales else None)
