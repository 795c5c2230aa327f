"""Random networks some of whose layers have weights of 4 bits."""

import random
from dataclasses import replace

import numpy as np

from systolith_host.network.qgraph import QConv, QGraph

__all__ = ["narrow_weights"]


def narrow_weights(rng: random.Random, qgraph: QGraph, share: float = 0.7) -> QGraph:
    """Return the network with a random `share` of its layers' weights divided by 16, as 4 bits.

    Their results are multiplied by 16, so that they spread as those of the others.
    """
    layers = tuple(
        replace(layer, weight=layer.weight >> 4, shift=np.maximum(layer.shift - 4, 1))
        if isinstance(layer, QConv) and rng.random() < share
        else layer
        for layer in qgraph.layers
    )
    return replace(qgraph, layers=layers)
