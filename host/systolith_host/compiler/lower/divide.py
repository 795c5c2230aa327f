"""Convolutions that are only taken apart: each part of the channels is made where it stands."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from systolith_host.network.joins import Arrangement
from systolith_host.network.qgraph import QConv, QGraph, QLayer, QTake
from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["divided", "part_of"]


def divided(
    qgraph: QGraph,
    config: AcceleratorConfig,
    users: Mapping[str, Sequence[QLayer]],
    places: Arrangement,
) -> dict[str, QConv]:
    """Return the convolutions whose parts are operations of their own, by the parts' names.

    Every user takes channels of all pixels to where they stand in a mosaic, as a DepthToSpace does,
    so that a copy of the part is saved. A part fills columns of the array, or else the convolution
    would take longer in parts than the copies do.

    Parameters
    ----------
    qgraph : QGraph
    config : AcceleratorConfig
    users : mapping of str to sequence of QLayer
        Of each tensor.
    places : Arrangement
        Of the network's tensors.
    """
    found: dict[str, QConv] = {}
    for layer in qgraph.layers:
        if not isinstance(layer, QConv) or layer.groups > 1 or layer.output in qgraph.outputs:
            continue
        pixels = tuple((0, side, 1) for side in qgraph.tensors[layer.output].shape[1:])
        takes = [
            user
            for user in users.get(layer.output, ())
            if isinstance(user, QTake)
            and user.output in places.grids
            and (user.rows, user.columns) == pixels
            and len(user.channels) % config.cols == 0
        ]
        if takes and len(takes) == len(users[layer.output]):
            found |= {take.name: layer for take in takes}
    return found


def part_of(layer: QConv, take: QTake) -> QConv:
    """Return the convolution that makes only the channels that are taken."""
    chosen = list(take.channels)
    return replace(
        layer,
        name=take.name,
        output=take.output,
        weight=layer.weight[chosen],
        bias=layer.bias[chosen],
        multiplier=layer.multiplier[chosen],
        shift=layer.shift[chosen],
    )
