"""The networks of a sweep: built-in ones without values, and ONNX files."""

import dataclasses
import hashlib
import json
from functools import lru_cache
from pathlib import Path

import numpy as np

from systolith_host.frontend.vgg import build_network
from systolith_host.network.qgraph import QConv, QGraph, QMaxPool
from systolith_host.network.shapes import timing_network
from systolith_host.quantize.calibrate import Calibration
from systolith_host.quantize.quantize import quantize, quantize_scaled

__all__ = ["load_network", "network_digest"]

_MULTIPLIER_WIDTH = 8
"""The least that an accelerator may have, so that every one takes the network."""


@lru_cache(maxsize=4)
def load_network(network: str) -> QGraph:
    """Return the integer network of a name or an ONNX file, as far as time depends on it.

    It is made once. Cycles and bytes depend on shapes only, so a network in floats is quantised
    without calibration.

    Raises
    ------
    SystolithError
        If there is no such network, or the file cannot be used.
    """
    if not _is_file(network):
        return timing_network(build_network(network))
    from systolith_host.frontend.onnx import read_onnx  # onnx takes a moment to import

    model = read_onnx(Path(network))
    weights = {
        name: dataclasses.replace(layer, bias=np.zeros_like(layer.bias))
        for name, layer in model.weights.items()
    }
    if model.scales:
        return quantize_scaled(model.graph, weights, model.scales, _MULTIPLIER_WIDTH)
    ranges = {name: (-1.0, 1.0) for name in model.graph.shapes}
    calibration = Calibration(ranges, np.zeros(0, np.float32))
    return quantize(model.graph, weights, calibration, _MULTIPLIER_WIDTH)


def network_digest(qgraph: QGraph) -> str:
    """Return what tells a network from all others as far as time depends on it.

    Layers, their order and shapes count; names and values do not, but for a grouped layer's
    weights all being equal, which then stand in memory once.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    numbers = {qgraph.input: 0}
    described: list[object] = [qgraph.tensors[qgraph.input].shape]
    for layer in qgraph.layers:
        facts: tuple[object, ...] = ()
        if isinstance(layer, QConv):
            even = layer.groups > 1 and bool((layer.weight == layer.weight.flat[0]).all())
            facts = (layer.kind, layer.weight.shape, layer.stride, layer.padding)
            facts += (layer.dilation, layer.groups, even)
        elif isinstance(layer, QMaxPool):
            facts = (layer.kernel, layer.stride, layer.padding)
        inputs = [numbers[name] for name in layer.inputs]
        numbers[layer.output] = len(numbers)
        shape = qgraph.tensors[layer.output].shape
        described.append((type(layer).__name__, inputs, shape, facts))
    described.append(numbers[qgraph.output])
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()[:16]


def _is_file(network: str) -> bool:
    return Path(network).suffix == ".onnx"
