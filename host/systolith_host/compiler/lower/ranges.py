"""The values that tensors can have: those between the clamps of the layers that make them."""

from systolith_host.network.qgraph import QAdd, QConcat, QConv, QGraph, QMaxPool, QMosaic, QTake
from systolith_hw.spec.numerics import device_offset

__all__ = ["value_ranges"]


def value_ranges(qgraph: QGraph) -> dict[str, tuple[int, int]]:
    """Return the least and largest value of each tensor, as int8 in the accelerator."""
    found: dict[str, tuple[int, int]] = {name: (-128, 127) for name in qgraph.tensors}
    for layer in qgraph.layers:
        offset = device_offset(qgraph.tensors[layer.output].unsigned)
        if isinstance(layer, QConv | QAdd):
            values = layer.table.values if layer.table else (layer.low, layer.high)
            found[layer.output] = (min(values) - offset, max(values) - offset)
        elif isinstance(
            layer, QMaxPool | QConcat | QMosaic | QTake
        ):  # their tensors have the same numbers
            ranges = [found[name] for name in layer.inputs]
            found[layer.output] = (min(low for low, _ in ranges), max(high for _, high in ranges))
    return found
