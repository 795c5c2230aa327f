"""Networks that are too large to be compared with onnxruntime in a sensible time."""

import numpy as np

from systolith_host.network.graph import AveragePool, Graph, MaxPool, node_macs

__all__ = ["MOST_WORK", "too_large"]

MOST_WORK = 200_000_000_000
"""Multiply-accumulates and pooled values of an image beyond which nothing is compared."""


def too_large(graph: Graph) -> str:
    """Return why a network is not compared; empty if it is."""
    pools = (
        int(np.prod(graph.shapes[node.output])) * node.kernel[0] * node.kernel[1]
        for node in graph.nodes
        if isinstance(node, MaxPool | AveragePool)
    )
    work = sum(node_macs(graph, node) for node in graph.nodes) + sum(pools)
    if work <= MOST_WORK:
        return ""
    return (
        f"not compared with onnxruntime: {work / 1e9:,.0f} billion multiply-accumulates "
        f"are more than {MOST_WORK / 1e9:,.0f} billion"
    )
