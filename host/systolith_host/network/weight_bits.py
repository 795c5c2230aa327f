"""Bits of a network's weights: 8, or 4 where two of them are to share a byte of memory."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.network.graph import Conv, Graph, Weights
from systolith_host.network.qgraph import QConv, QGraph

__all__ = [
    "ALL_BYTES",
    "BITS",
    "WeightBits",
    "bits_of",
    "check_layers",
    "narrow_network",
    "narrow_weights",
    "parse_weight_bits",
]

BITS = (4, 8)
"""Bits that weights may have."""

WeightBits = Mapping[str, int]
"""Bits of weights by the name of a layer, or by a kind of layers, "conv" or "fc", or by "" for all
others; they are 8 where nothing is said."""

ALL_BYTES: WeightBits = MappingProxyType({})
"""Weights of 8 bits only."""

_OPTION = "--weight-bits"

_KINDS = {"conv": "conv", "fc": "fc", "linear": "fc"}


def parse_weight_bits(given: str | Mapping[str, int], option: str = _OPTION) -> WeightBits:
    """Return what a text says: ``BITS`` for all layers, or ``LAYER=BITS`` for some, after commas.

    A mapping says the latter. A layer is a name or a kind: ``conv``, or ``fc`` or ``linear`` for
    fully connected ones. `option` is what the user calls it.

    Raises
    ------
    SystolithError
        If it says neither.
    """
    found: dict[str, int] = {}
    if isinstance(given, str):
        parts = given.split(",")
    else:
        parts = [f"{name}={bits}" for name, bits in given.items()]
    for part in parts:
        name, equals, number = part.strip().rpartition("=")
        bits = int(number) if number in map(str, BITS) else 0
        if bits == 0 or bool(equals) != bool(name) or (not name and given != number):
            raise SystolithError(
                f"{option} must be one of {', '.join(map(str, BITS))}, or that for each of "
                f"some layers or kinds of layers, as fc6=4,fc7=4 or linear=4, not {given!r}"
            )
        found[_KINDS.get(name, name)] = bits
    return found


def bits_of(bits: WeightBits, name: str, kind: str) -> int:
    """Return the bits of a layer's weights; what is said of its name counts first."""
    return bits.get(name, bits.get(kind, bits.get("", 8)))


def check_layers(graph: Graph, bits: WeightBits, option: str = _OPTION) -> None:
    """Refuse bits of layers that a float network does not have; `option` is as above.

    Raises
    ------
    SystolithError
        If there is no layer of a name.
    """
    _check_names(bits, _kinds_of(graph), option)


def narrow_weights(graph: Graph, weights: Weights, bits: WeightBits) -> Weights:
    """Return the weights of a float network with the bits that they are to be quantised to.

    Raises
    ------
    SystolithError
        If there is no layer of a name.
    """
    kinds = _kinds_of(graph)
    _check_names(bits, kinds)
    return {
        name: replace(layer, bits=bits_of(bits, name, kinds[name])) if name in kinds else layer
        for name, layer in weights.items()
    }


def narrow_network(qgraph: QGraph, bits: WeightBits) -> QGraph:
    """Return an integer network of which only the shapes count, with weights of such bits.

    Raises
    ------
    SystolithError
        If there is no layer of a name.
    """
    chosen = {
        layer.name: layer.kind
        for layer in qgraph.layers
        if isinstance(layer, QConv) and layer.kind in _KINDS
    }
    _check_names(bits, chosen)
    layers = []
    for layer in qgraph.layers:
        if isinstance(layer, QConv) and layer.name in chosen:
            half = 1 << (bits_of(bits, layer.name, layer.kind) - 1)
            if half < 128:
                layer = replace(layer, weight=np.clip(layer.weight, -half, half - 1))
        layers.append(layer)
    return replace(qgraph, layers=tuple(layers))


def _kinds_of(graph: Graph) -> dict[str, str]:
    """Return the kinds of the layers with weights by their names."""
    return {node.name: "conv" if isinstance(node, Conv) else "fc" for node in graph.weighted}


def _check_names(bits: WeightBits, kinds: Mapping[str, str], option: str = _OPTION) -> None:
    """Refuse bits of layers that are not there."""
    for name in bits:
        if name and name not in kinds and name not in _KINDS:
            raise SystolithError(
                f"{option}: {name!r} is no layer with weights; there are {', '.join(kinds)}"
            )
