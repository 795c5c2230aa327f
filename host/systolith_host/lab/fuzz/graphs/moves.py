"""Steps of random ONNX graphs that compute little: other shapes, names, and orders of axes."""

import math
from collections.abc import Callable

import numpy as np
from onnx import TensorProto

from systolith_host.lab.fuzz.graphs.draft import OnnxDraft

__all__ = ["MOVES", "squeezed"]


def squeezed(net: OnnxDraft, operator: str, name: str, axes: list[int]) -> str:
    """Append a Squeeze or Unsqueeze in the form of the opset."""
    if net.opset < 13:
        return net.node(operator, [name], axes=axes)
    return net.node(operator, [name, net.constant(axes, np.int64)])


def _rename(net: OnnxDraft) -> None:
    """Identity, Dropout and reshapes that change nothing."""
    rng = net.rng
    source = net.pick()
    if source is None:
        return
    name, shape = source
    kind = rng.choice(["Identity", "Dropout", "Reshape", "Transpose", "Shape", "Cast"])
    if kind == "Reshape":
        dims = rng.choice([[0, *shape], [-1, *shape], [0] * (1 + len(shape))])
        output = net.node("Reshape", [name, net.constant(dims, np.int64)])
    elif kind == "Transpose":
        output = net.node("Transpose", [name], perm=list(range(1 + len(shape))))
    elif kind == "Shape":
        output = net.node("Reshape", [name, net.node("Shape", [name])])
    elif kind == "Cast":
        output = net.node("Cast", [name], to=TensorProto.FLOAT)
    else:
        output = net.node(kind, [name])
    net.add(output, shape)


def _flatten(net: OnnxDraft) -> None:
    rng = net.rng
    source = net.pick(3)
    if source is None or math.prod(source[1]) > 600:
        return
    name, shape = source
    count = math.prod(shape)
    kind = rng.choice(["Flatten", "Reshape", "Shape", "Squeeze"])
    if kind == "Flatten":
        output = net.node("Flatten", [name], **rng.choice([{}, {"axis": 1}]))
    elif shape[1:] == (1, 1) and (kind == "Squeeze" or rng.random() < 0.5):
        output = squeezed(net, "Squeeze", name, [2, 3])
    elif kind == "Shape":
        whole = net.node("Shape", [name])
        images = net.node("Gather", [whole, net.constant([0], np.int64)], axis=0)
        rest = net.constant([rng.choice([-1, count])], np.int64)
        output = net.node("Reshape", [name, net.node("Concat", [images, rest], axis=0)])
    else:
        dims = rng.choice([[0, -1], [-1, count], [0, count]])
        output = net.node("Reshape", [name, net.constant(dims, np.int64)])
    net.add(output, (count,))
    if rng.random() < 0.2:
        net.add(squeezed(net, "Unsqueeze", output, [2, 3]), (count, 1, 1))


def _channels_last(net: OnnxDraft) -> None:
    """Append operators on an image with its channels last, then back, or flat in that order."""
    rng = net.rng
    source = net.pick(3)
    if source is None:
        return
    name, shape = source
    name = net.node("Transpose", [name], perm=[0, 2, 3, 1])
    for _ in range(rng.choice([0, 1, 1, 2])):
        name, shape = _on_last(net, name, shape)
        if len(shape) == 1:
            net.add(name, shape)
            return
    count = math.prod(shape)
    if rng.random() < 0.4 and count <= 600:
        if rng.random() < 0.5:
            name = net.node("Flatten", [name])
        else:
            name = net.node("Reshape", [name, net.constant([-1, count], np.int64)])
        if rng.random() < 0.5:
            name = net.node(rng.choice(["Mul", "Add"]), [name, net.constant(_row(net, count))])
        if rng.random() < 0.2:
            parts = [*net.numbers.standard_normal((3, count)), net.numbers.uniform(0.2, 2, count)]
            inputs = [name, *(net.constant(part) for part in parts)]
            name = net.node("BatchNormalization", inputs)
        if rng.random() < 0.3:
            name = net.node("Relu", [name])
        outputs = rng.randint(1, 8)
        net.add(net.node("MatMul", [name, net.weight(count, outputs)]), (outputs,))
        return
    net.add(net.node("Transpose", [name], perm=[0, 3, 1, 2]), shape)


def _on_last(net: OnnxDraft, name: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
    rng = net.rng
    channels, height, width = shape
    kind = rng.choice(["Relu", "Mul", "Add", "Sum", "Concat", "MatMul", "ReduceMean", "Transpose"])
    if kind in ("Mul", "Add"):
        form = rng.choice([(channels,), (1, channels), (1, 1, 1, channels), ()])
        values = net.numbers.uniform(0.3, 2, form)
        inputs = [name, net.constant(values)]
        return net.node(kind, inputs if rng.random() < 0.7 else inputs[::-1]), shape
    if kind == "Sum":
        return net.node("Sum", [name, net.node("Relu", [name])]), shape
    if kind == "Concat" and channels <= 16:
        return net.node("Concat", [name, name], axis=3), (2 * channels, height, width)
    if kind == "MatMul":
        outputs = rng.randint(1, 8)
        weight = net.weight(channels, outputs)
        return net.node("MatMul", [name, weight]), (outputs, height, width)
    if kind == "ReduceMean" and net.opset < 18:
        keep = rng.choice([0, 1])
        name = net.node("ReduceMean", [name], axes=[1, 2], keepdims=keep)
        return name, (channels, 1, 1) if keep else (channels,)
    if kind == "Transpose":  # and back
        order = rng.choice([[0, 2, 1, 3], [0, 3, 2, 1]])
        turned = net.node(
            "Clip" if net.opset < 11 else "Relu", [net.node(kind, [name], perm=order)]
        )
        return net.node(kind, [turned], perm=order), shape
    return net.node("Relu", [name]), shape


def _row(net: OnnxDraft, count: int) -> np.ndarray:
    return net.numbers.uniform(0.3, 2, net.rng.choice([(count,), (1, count), ()]))


MOVES: tuple[tuple[float, Callable[[OnnxDraft], None]], ...] = (
    (1.5, _rename),
    (0.7, _flatten),
    (1.2, _channels_last),
)
"""Each with its frequency, as in LAYERS."""
