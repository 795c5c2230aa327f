"""The least DRAM traffic of any order of a layer's operations, for a given on-chip memory."""

import math
from dataclasses import dataclass

from systolith_host.compiler.lower.operation import Operation
from systolith_host.network.qgraph import QConv, QGraph

__all__ = ["TrafficBound", "least_traffic", "window_reuse"]


@dataclass(frozen=True)
class TrafficBound:
    """Bytes that a layer moves at least, for one image.

    Parameters
    ----------
    compulsory : int
        Inputs and weights that are needed, and outputs, once each.
    memory : int
        Bound by the capacity of the on-chip memory; 0 if there is none.
    """

    compulsory: int
    memory: int

    @property
    def bytes(self) -> int:
        """The larger one."""
        return max(self.compulsory, self.memory)


def window_reuse(layer: QConv) -> int:
    """Return how many of a convolution's taps can touch one element of its input, at most."""
    sides = zip(layer.weight.shape[2:], layer.stride, layer.dilation, strict=True)
    # With dilation, strides may fall on every tap again.
    return math.prod(-(-taps // stride) if step == 1 else taps for taps, stride, step in sides)


def least_traffic(
    qgraph: QGraph, operation: Operation, memory_bytes: int, sum_bytes: float = 4.0
) -> TrafficBound:
    """Return a lower bound of an operation's traffic, whatever the order of its MACs.

    The argument is that of Irony, Toledo and Tiskin (2004) for matrix products, with the constant
    of Smith, Lowery, Langou and van de Geijn (2019); the reuse R of an input element by
    overlapping windows is that of Chen, Han and Wang, "Communication lower bound in convolution
    accelerators" (HPCA 2020). Cut the execution into segments that read 2 S bytes each, S being
    the memory; the start of a sum counts as reading it. A segment sees at most 3 S bytes of
    inputs a, weights w and sums o (b bytes each), and by Loomis and Whitney does at most
    sqrt(R a w o) <= S sqrt(R S / b) MACs, so that ::

        traffic >= 2 MACs sqrt(b / (R S)) - b sums + outputs - 2 S

    which holds for any b up to the size of a sum; the best one is taken.

    Parameters
    ----------
    qgraph : QGraph
    operation : Operation
    memory_bytes : int
        S: all that inputs, weights and unfinished sums can stand in; operands and outputs have
        one byte.
    sum_bytes : float
        Of an unfinished sum on the chip.

    Raises
    ------
    ValueError
        If a size is not positive.
    """
    if memory_bytes <= 0 or sum_bytes <= 0:
        raise ValueError(f"sizes must be positive, not {memory_bytes} and {sum_bytes}")
    compulsory = operation.compulsory_bytes()
    layer = next(one for one in qgraph.layers if one.name == operation.covers[0])
    if not isinstance(layer, QConv) or not operation.macs:
        return TrafficBound(compulsory, 0)
    sums = math.prod(qgraph.tensors[layer.output].shape)
    outputs = math.prod(qgraph.tensors[operation.output].shape)
    per_root = operation.macs / math.sqrt(window_reuse(layer) * memory_bytes)
    root = min(per_root / sums, math.sqrt(sum_bytes))
    least = 2 * per_root * root - root * root * sums + outputs - 2 * memory_bytes
    return TrafficBound(compulsory, max(0, math.ceil(least)))
