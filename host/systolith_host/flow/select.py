"""The choice of a program's layers that run."""

from collections.abc import Sequence

from systolith_host.errors import SystolithError
from systolith_host.network.graph import Clip, Flatten, Graph, Relu
from systolith_host.program.program import LayerProgram, Program

__all__ = ["check_names", "select_layers"]


def check_names(graph: Graph, text: str) -> None:
    """Refuse a text for :func:`select_layers` that names a layer which no program can have.

    Only the network is needed, so this comes before quantisation and compilation. Layers that
    quantisation adds have the name of a node and a dot in front of their own.

    Raises
    ------
    SystolithError
        If there is no node of a name.
    """
    nodes = [node.name for node in graph.nodes if not isinstance(node, Relu | Clip | Flatten)]
    for ends in _ranges(text):
        for end in ends:
            if not any(end == name or end.startswith(f"{name}.") for name in nodes):
                raise _unknown(graph.name, end, nodes)


def _ranges(text: str) -> list[list[str]]:
    return [[end.strip() for end in part.split("..")] for part in text.split(",")]


def _unknown(network: str, name: str, layers: Sequence[str]) -> SystolithError:
    return SystolithError(f"--layers: {network} has no layer {name!r}; it has {', '.join(layers)}")


def select_layers(program: Program, text: str | None) -> tuple[LayerProgram, ...]:
    """Return the layers that a text like ``conv1_1,conv3_1..conv4_2`` names, in order.

    A fused pool stands for its convolution.

    Raises
    ------
    SystolithError
        If there is no layer of a name, or a range runs backwards.
    """
    if text is None:
        return program.layers
    index = {name: i for i, layer in enumerate(program.layers) for name in layer.covers}
    index |= {layer.name: i for i, layer in enumerate(program.layers)}
    chosen: set[int] = set()
    for ends in _ranges(text):
        for end in ends:
            if end not in index:
                raise _unknown(program.network, end, [layer.name for layer in program.layers])
        if len(ends) > 2:
            raise SystolithError(f"--layers: a range must be first..last, not {'..'.join(ends)!r}")
        first, last = index[ends[0]], index[ends[-1]]
        if first > last:
            raise SystolithError(f"--layers: {ends[0]} comes after {ends[-1]}; swap them")
        chosen.update(range(first, last + 1))
    return tuple(program.layers[i] for i in sorted(chosen))
