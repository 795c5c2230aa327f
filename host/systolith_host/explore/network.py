"""What tells one network from another in a sweep."""

import hashlib
import json

from systolith_host.network.qgraph import QConv, QGraph, QMaxPool

__all__ = ["network_digest"]


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
