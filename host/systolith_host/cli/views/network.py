"""A network's layers as a table for people."""

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from systolith_host.network.graph import (
    Clip,
    Conv,
    Flatten,
    Function,
    Graph,
    Linear,
    Relu,
    node_macs,
    weight_shape,
)

__all__ = ["network_table"]

_LECTURE_SLIDE = (
    "A common lecture slide gives VGG-16 24M activations an image; its own rows add up to 15.2M, "
    "as here."
)


def network_table(graph: Graph) -> RenderableType:
    """Return a network's layers with their activations, weights and multiply-accumulates."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("layer")
    for name in ("output", "activations", "weights", "MACs", "MACs %"):
        table.add_column(name, justify="right", no_wrap=True)
    total_macs = sum(node_macs(graph, node) for node in graph.nodes)
    sizes = {name: _size(shape) for name, shape in graph.shapes.items()}
    activations, weights = sizes[graph.input], 0
    linear_weights = 0
    table.add_row("input", _shape(graph.shapes[graph.input]), f"{activations:,}", "", "", "")
    for node in graph.nodes:
        if isinstance(node, Relu | Clip | Flatten | Function):
            continue
        count = _size(weight_shape(graph, node)) if isinstance(node, Conv | Linear) else 0
        macs = node_macs(graph, node)
        activations += sizes[node.output]
        weights += count
        linear_weights += count if isinstance(node, Linear) else 0
        table.add_row(
            node.name,
            _shape(graph.shapes[node.output]),
            f"{sizes[node.output]:,}",
            f"{count:,}" if count else "",
            f"{macs:,}" if macs else "",
            f"{macs / max(total_macs, 1):.1%}" if macs else "",
        )
    table.add_section()
    table.add_row(
        "total", "", f"{activations:,}", f"{weights:,}", f"{total_macs:,}", "", style="bold"
    )
    lines = [
        "Activations and weights in elements (bytes, in int8), biases not counted, one image.",
        f"The fully connected layers hold {linear_weights / max(weights, 1):.0%} of the weights.",
    ]
    if graph.name == "vgg16":
        lines.append(_LECTURE_SLIDE)
    return Group(table, Text(), *map(Text, lines))


def _size(shape: Iterable[int]) -> int:
    size = 1
    for side in shape:
        size *= side
    return size


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, (*shape[1:], shape[0])))
