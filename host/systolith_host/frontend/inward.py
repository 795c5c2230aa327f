"""Moves clamps, scales and functions in front of mosaics, into the layers that make the pieces."""

from collections.abc import Mapping
from dataclasses import replace

from systolith_host.frontend.absorb import Affine
from systolith_host.network.graph import Clip, Function, Graph, LayerWeights, Mosaic, Node, Relu

__all__ = ["inward"]

_Pointwise = Relu | Clip | Affine | Function


def inward(
    graph: Graph, weights: Mapping[str, LayerWeights], scales: Mapping[str, object]
) -> tuple[Graph, dict[str, LayerWeights]]:
    """Return the network in which pieces of mosaics are what follows the mosaic alone.

    Each value of a piece stands at one place, or at several with the same values around it, so
    that it can be clamped, scaled or looked up before it is put there.

    Parameters
    ----------
    graph : Graph
    weights : mapping of str to LayerWeights
        Of its nodes, :class:`Affine` included.
    scales : mapping of str to object
        Of tensors that were quantised before: such a mosaic stays in front.
    """
    values = dict(weights)
    while (found := _step(graph, values, scales)) is not None:
        graph = found
    return graph, values


def _step(
    graph: Graph, values: dict[str, LayerWeights], scales: Mapping[str, object]
) -> Graph | None:
    users: dict[str, list[Node | None]] = {name: [None] for name in graph.outputs}
    for node in graph.nodes:
        for name in dict.fromkeys(node.inputs):
            users.setdefault(name, []).append(node)
    for mosaic in graph.nodes:
        if not isinstance(mosaic, Mosaic) or mosaic.output in scales:
            continue
        pieces = tuple(dict.fromkeys(mosaic.inputs))
        (last, *others) = users[mosaic.output]
        alone = len(pieces) == 1 or all(users[name] == [mosaic] for name in pieces)
        if others or not isinstance(last, _Pointwise) or not alone:
            continue
        if any(name in scales or len(graph.shapes[name]) != 3 for name in pieces):
            continue
        return _moved(graph, values, mosaic, last, pieces)
    return None


def _moved(
    graph: Graph,
    values: dict[str, LayerWeights],
    mosaic: Mosaic,
    last: Node,
    pieces: tuple[str, ...],
) -> Graph:
    """Return the network with a node behind a mosaic moved in front of it."""
    made = {name: f"{last.output}.phase{number}" for number, name in enumerate(pieces)}
    shapes = dict(graph.shapes)
    moved: list[Node] = []
    for number, (name, output) in enumerate(made.items()):
        title = f"{last.name}.phase{number}"
        moved.append(replace(last, name=title, inputs=(name,), output=output))
        shapes[output] = shapes[name]
        if last.name in values:
            values[title] = values[last.name]
    inputs = tuple(made[name] for name in mosaic.inputs)
    moved.append(replace(mosaic, inputs=inputs, output=last.output))
    values.pop(last.name, None)
    del shapes[mosaic.output]
    nodes: list[Node] = []
    for node in graph.nodes:
        nodes += moved if node is mosaic else [] if node is last else [node]
    return replace(graph, nodes=tuple(nodes), shapes=shapes)
