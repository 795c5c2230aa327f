"""Tensors whose channels may be scaled together without a change of the network's output."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from systolith_host.network.graph import (
    Add,
    AveragePool,
    Clip,
    Conv,
    Flatten,
    Graph,
    LayerWeights,
    Linear,
    MaxPool,
    Node,
    Relu,
    Weights,
)

__all__ = ["Group", "divide_channels", "equalisable", "per_element"]

_Layer = Conv | Linear


@dataclass(frozen=True)
class Group:
    """Layers between which a factor of each channel can stand.

    Only ReLUs, clamps, pools, flattenings and sums are between them, and nothing else uses their
    tensors.

    Parameters
    ----------
    first, second : tuple of Conv or Linear
        Layers that make the tensors, and those that read them.
    channels : int
    high : float
        Clamp from above that all values pass before `second`, infinite without one. A channel that
        reaches it keeps its scale, and no channel may become larger against it than its own values.
    clamped : tuple of str
        Tensors behind that clamp.
    summed : tuple of str
        Inputs of sums, which are tensors of memory as those before `second` are.
    """

    first: tuple[_Layer, ...]
    second: tuple[_Layer, ...]
    channels: int
    high: float
    clamped: tuple[str, ...]
    summed: tuple[str, ...]


def equalisable(graph: Graph) -> Iterator[Group]:
    """Yield all groups of a graph, in the order of their first layers.

    A positive factor goes through a ReLU, a max-pool, a mean and a sum. It goes through a clamp
    from above as far as the channel stays below it, if the layers behind read the clamped values:
    a mean or a sum of them does not show what the clamp took. It does not go through a clamp from
    below at another value than 0, nor a concatenation.
    """
    leader = {name: name for name in graph.shapes}

    def find(name: str) -> str:
        while leader[name] != name:
            name = leader[name]
        return name

    closed = {graph.input, *graph.outputs}
    for node in graph.nodes:
        if isinstance(node, _Layer):
            continue
        if isinstance(node, Relu | MaxPool | AveragePool | Flatten | Add) or _open_below(node):
            for name in node.inputs:
                leader[find(name)] = find(node.output)
        else:
            closed |= {*node.inputs, node.output}
    barred = {find(name) for name in closed}
    for start in dict.fromkeys(find(node.output) for node in graph.weighted):
        if start in barred:
            continue
        first = tuple(node for node in graph.weighted if find(node.output) == start)
        second = tuple(node for node in graph.weighted if find(node.input) == start)
        counts = {_outputs(node) for node in first}
        if not second or len(counts) > 1:
            continue
        inside = [n for n in graph.nodes if not isinstance(n, _Layer) and find(n.output) == start]
        clips = [node for node in inside if isinstance(node, Clip) and node.high < math.inf]
        high = min((node.high for node in clips), default=math.inf)
        summed = tuple(name for node in inside if isinstance(node, Add) for name in node.inputs)
        clamped = tuple(node.output for node in clips)
        if high > 0 and (not clips or _all_clamped(inside, second, high)):
            yield Group(first, second, counts.pop(), high, clamped, summed)


def _all_clamped(inside: list[Node], second: tuple[_Layer, ...], high: float) -> bool:
    """Return whether layers read nothing but values behind a clamp, each as it left the clamp."""
    behind: set[str] = set()
    for node in inside:
        if isinstance(node, Clip) and node.high < math.inf:
            if node.high != high:
                return False
            behind.add(node.output)
        elif isinstance(node, Relu | Clip | MaxPool | Flatten) and node.inputs[0] in behind:
            behind.add(node.output)
    return all(node.input in behind for node in second)


def _open_below(node: object) -> bool:
    return isinstance(node, Clip) and node.low in (0, -math.inf)


def _outputs(node: _Layer) -> int:
    return node.features if isinstance(node, Linear) else node.channels


def per_element(scale: np.ndarray, size: int) -> np.ndarray:
    """Return the factor of each element of a vector that may be flattened images."""
    return np.repeat(scale, size // len(scale))


def divide_channels(weights: Weights, group: Group, factors: np.ndarray) -> dict[str, LayerWeights]:
    """Return the weights of a group whose channels are divided by positive factors.

    Parameters
    ----------
    weights : mapping of str to LayerWeights
    group : Group
    factors : ndarray of float64, shape (K,)
        One for each channel.
    """
    # In float32: the largest weights have a hundred million elements.
    narrow = factors.astype(np.float32)
    result = dict(weights)
    for node in group.first:
        made = result[node.name]
        rows = narrow.reshape(-1, *[1] * (made.weight.ndim - 1))
        bias = (made.bias / factors).astype(made.bias.dtype)
        result[node.name] = replace(made, weight=made.weight / rows, bias=bias)
    for node in group.second:
        made = result[node.name]
        count, inputs, *kernel = made.weight.shape
        groups = node.groups if isinstance(node, Conv) else 1
        wide = per_element(narrow, groups * inputs).reshape(groups, 1, inputs, *[1] * len(kernel))
        weight = made.weight.reshape(groups, count // groups, inputs, *kernel) * wide
        result[node.name] = replace(made, weight=weight.reshape(made.weight.shape))
    names = {node.name for node in (*group.first, *group.second)}
    return {name: result[name] for name in names}
