"""The scales of tensors from their ranges, and what becomes of a layer's sums."""

from collections.abc import Mapping
from dataclasses import dataclass

from systolith_host.network.fold import FoldedLayer
from systolith_host.network.functions import name_of, table_of, useful_range
from systolith_host.network.graph import Concat, Graph, MaxPool, Mosaic, Take
from systolith_host.network.qgraph import QTable, QTensor
from systolith_host.network.scales import ActivationScale, activation_scale

__all__ = ["Result", "image_shape", "result_of", "scale_of", "shared_scales", "table_for"]

_FLAT_STEPS = 0.25
"""Steps of a function's output by which it may be off where its input is clamped."""


@dataclass(frozen=True)
class Result:
    """The end of a layer: `scale` of the output, that of the requantised sums, clamp and table."""

    scale: ActivationScale
    sums: ActivationScale
    low: int
    high: int
    table: QTable | None


def shared_scales(
    graph: Graph, layers: tuple[FoldedLayer, ...], ranges: Mapping[str, tuple[float, float]]
) -> dict[str, ActivationScale]:
    """Return scales from ranges; pools, joins and slices share those of both sides."""
    leader = {name: name for name in [graph.input, *(layer.output for layer in layers)]}

    def find(name: str) -> str:
        while leader[name] != name:
            name = leader[name]
        return name

    for layer in layers:
        if isinstance(layer.node, MaxPool | Concat | Mosaic | Take):
            for name in layer.inputs:
                leader[find(name)] = find(layer.output)
    joined: dict[str, tuple[float, float]] = {}
    for name in leader:
        low, high = joined.get(find(name), ranges[name])
        joined[find(name)] = (min(low, ranges[name][0]), max(high, ranges[name][1]))
    scales = {name: activation_scale(*joined[find(name)]) for name in leader}
    for layer in layers:
        if layer.steps and layer.before not in scales:
            tolerance = _FLAT_STEPS * scales[layer.output].scale
            scales[layer.before] = activation_scale(
                *useful_range(layer.steps, *ranges[layer.before], tolerance)
            )
    return scales


def table_for(layer: FoldedLayer, scales: Mapping[str, ActivationScale]) -> QTable | None:
    """Return the table of a layer's function; None if it has none."""
    if not layer.steps:
        return None
    before = scales[layer.before]
    values = table_of(layer.steps, before, scales[layer.output])
    return QTable(name_of(layer.steps), before.unsigned, before.scale, before.zero_point, values)


def result_of(layer: FoldedLayer, scales: Mapping[str, ActivationScale]) -> Result:
    """Return what becomes of a layer's sums."""
    scale = scales[layer.output]
    sums = scales[layer.before] if layer.steps else scale
    return Result(scale, sums, *sums.limits(layer.low, layer.high), table_for(layer, scales))


def scale_of(tensor: QTensor) -> ActivationScale:
    """Return the scale of a tensor of the integer network."""
    return ActivationScale(tensor.unsigned, tensor.scale, tensor.zero_point)


def image_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return the shape of an image; a vector is one of a single pixel."""
    channels, height, width = (*shape, 1, 1)[:3]
    return channels, height, width
