"""Steps of random ONNX graphs that the array cannot compute."""

import math
from collections.abc import Callable

import numpy as np

from systolith_host.lab.fuzz.graphs.draft import OnnxDraft

__all__ = ["HOST"]

_FUNCTIONS = ("Abs", "Atan", "Cos", "Elu", "LeakyRelu", "Sigmoid", "Softplus", "Tanh")


def _function(net: OnnxDraft) -> None:
    source = net.pick()
    if source is not None:
        name, shape = source
        net.add(net.node(net.rng.choice(_FUNCTIONS), [name]), shape)


def _gated(net: OnnxDraft) -> None:
    """Multiply a tensor by a function of itself, as in SiLU, or of the means of its channels."""
    source = net.pick()
    if source is None:
        return
    name, shape = source
    gate = name
    if len(shape) == 3 and net.rng.random() < 0.4:
        gate = net.node("GlobalAveragePool", [name])
    gate = net.node(net.rng.choice(["Sigmoid", "HardSigmoid"]), [gate])
    pair = [name, gate] if net.rng.random() < 0.5 else [gate, name]
    net.add(net.node("Mul", pair), shape)


def _joined(net: OnnxDraft) -> None:
    """Two tensors of one shape, joined by something else than a sum."""
    source = net.pick()
    if source is None:
        return
    name, shape = source
    others = [other for other, sides in net.tensors if sides == shape]
    operator = net.rng.choice(["Mul", "Max", "Min", "Sub"])
    net.add(net.node(operator, [name, net.rng.choice(others)]), shape)


def _normalised(net: OnnxDraft) -> None:
    """Statistics of the tensor's own, over all of its values."""
    source = net.pick()
    if source is None:
        return
    name, shape = source
    axes = list(range(1, 1 + len(shape)))
    given = [axes] if net.opset >= 18 else []
    attributes = {} if given else {"axes": axes}
    constants = [net.constant(each, np.int64) for each in given]
    largest = net.node("ReduceMax", [net.node("Abs", [name]), *constants], **attributes)
    net.add(net.node("Div", [name, net.node("Add", [largest, net.constant(1.0)])]), shape)


def _reordered(net: OnnxDraft) -> None:
    """Transpose a matrix of channels and pixels twice; it has three dimensions on the way."""
    source = net.pick(3)
    if source is None:
        return
    name, shape = source
    count = math.prod(shape[1:])
    flat = net.node("Reshape", [name, net.constant([1, shape[0], count], np.int64)])
    turned = net.node("Tanh", [net.node("Transpose", [flat], perm=[0, 2, 1])])
    back = net.node("Transpose", [turned], perm=[0, 2, 1])
    net.add(net.node("Reshape", [back, net.constant([1, *shape], np.int64)]), shape)


HOST: tuple[tuple[float, Callable[[OnnxDraft], None]], ...] = (
    (2, _function),
    (1.5, _gated),
    (1, _joined),
    (0.5, _normalised),
    (0.5, _reordered),
)
"""Each with its frequency; one that does not fit the graph so far appends nothing."""
