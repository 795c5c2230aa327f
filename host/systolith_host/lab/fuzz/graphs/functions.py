"""Steps of random ONNX graphs that are functions of one number, which tables can compute."""

import math
from collections.abc import Callable
from typing import Any

from systolith_host.lab.fuzz.graphs.draft import OnnxDraft

__all__ = ["FUNCTIONS"]

_SINCE = {"Celu": 12, "Erf": 9, "Gelu": 20, "HardSwish": 14, "Mish": 18, "ThresholdedRelu": 10}
"""The opset that brought an operator; the others are older than all that are read."""

_PLAIN = tuple(
    "Abs Celu Elu Erf Gelu HardSigmoid HardSwish LeakyRelu Mish PRelu Selu Sigmoid Softplus "
    "Softsign Tanh ThresholdedRelu".split()
)


def _operator(net: OnnxDraft, name: str) -> str:
    """Append one operator, with random numbers."""
    rng = net.rng
    known = [each for each in _PLAIN if _SINCE.get(each, 0) <= net.opset]
    operator = rng.choice(known)
    given: dict[str, Any] = {}
    if operator in ("Elu", "LeakyRelu") and rng.random() < 0.7:
        given["alpha"] = round(rng.uniform(-0.2, 1.5), 3)
    if operator in ("Celu", "ThresholdedRelu") and rng.random() < 0.7:
        given["alpha"] = round(rng.uniform(0.3, 1.5), 3)
    if operator == "HardSigmoid" and rng.random() < 0.7:
        given |= {"alpha": rng.choice([1 / 6, 0.25, -0.3]), "beta": rng.choice([0.5, 0.25])}
    if operator == "Gelu" and rng.random() < 0.5:
        given["approximate"] = "tanh"
    slope = [net.constant(round(rng.uniform(-0.5, 1.2), 3))] if operator == "PRelu" else []
    return net.node(operator, [name, *slope], **given)


def _clipped(net: OnnxDraft, name: str, low: float, high: float) -> str:
    if net.opset < 11:
        return net.node("Clip", [name], min=low, max=high)
    return net.node("Clip", [name, net.constant(low), net.constant(high)])


def _gate(net: OnnxDraft, name: str) -> str:
    """Multiply a tensor by a function of itself, as in SiLU, in either order."""
    pair = [name, net.node(net.rng.choice(["Sigmoid", "HardSigmoid", "Tanh"]), [name])]
    net.rng.shuffle(pair)
    return net.node("Mul", pair)


def _hard_swish(net: OnnxDraft, name: str) -> str:
    """Append HardSwish in parts, as exporters of older opsets write it."""
    inside = _clipped(net, net.node("Add", [name, net.constant(3.0)]), 0.0, 6.0)
    if net.rng.random() < 0.5:
        return net.node("Div", [net.node("Mul", [name, inside]), net.constant(6.0)])
    return net.node("Mul", [name, net.node("Mul", [inside, net.constant(1 / 6)])])


def _mish(net: OnnxDraft, name: str) -> str:
    return net.node("Mul", [name, net.node("Tanh", [net.node("Softplus", [name])])])


def _gelu(net: OnnxDraft, name: str) -> str:
    if net.opset < 9:
        return _gate(net, name)
    inner = net.node("Erf", [net.node("Div", [name, net.constant(math.sqrt(2))])])
    shifted = net.node("Add", [inner, net.constant(1.0)])
    return net.node("Mul", [net.node("Mul", [name, shifted]), net.constant(0.5)])


def _function(net: OnnxDraft) -> None:
    """Append a function, now and then one of a function; others may use the tensors inside, too."""
    source = net.pick()
    if source is None:
        return
    name, shape = source
    for _ in range(net.rng.choice([1, 1, 1, 2])):
        make = net.rng.choice([_operator, _operator, _operator, _gate, _hard_swish, _mish, _gelu])
        before = name
        name = make(net, name)
        net.add(name, shape)
        if net.rng.random() < 0.1:
            name = net.node("Add", [before, name])
            net.add(name, shape)


FUNCTIONS: tuple[tuple[float, Callable[[OnnxDraft], None]], ...] = ((5, _function),)
"""Each with its frequency; one that does not fit the graph so far appends nothing."""
