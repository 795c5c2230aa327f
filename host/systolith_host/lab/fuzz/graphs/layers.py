"""The operators of random ONNX graphs: each function appends one, with random attributes."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from systolith_host.lab.fuzz.graphs.draft import OnnxDraft, Shape

__all__ = ["LAYERS", "linear"]

_LARGEST = 4000
"""Values of a tensor, so that a network takes milliseconds."""


def _windows(
    net: OnnxDraft, size: Shape, kernel: list[int], dilation: list[int] | None = None
) -> tuple[dict, list[int]] | None:
    """Return random strides and padding with the output size; None if the kernel does not fit."""
    rng = net.rng
    dilation = dilation or [1, 1]
    span = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    stride = [rng.choice([1, 1, 1, 2, 3]) for _ in range(2)]
    # onnxruntime knows SAME neither with dilation nor with strides above the kernel.
    if rng.random() < 0.2 and max(dilation) == 1 and min(kernel) >= max(stride):
        auto = rng.choice(["SAME_UPPER", "SAME_LOWER", "VALID"])
        if auto != "VALID":
            found = [-(-size[axis] // stride[axis]) for axis in range(2)]
            return {"strides": stride, "auto_pad": auto}, found
        pads = [0] * 4
        attributes = {"strides": stride, "auto_pad": auto}
    else:
        pads = [rng.choice([0, 0, 1, 2]) if k > 1 else 0 for k in kernel * 2]
        pads = [min(pad, kernel[index % 2] - 1) for index, pad in enumerate(pads)]
        attributes = {"strides": stride, "pads": pads}
    room = [size[axis] + pads[axis] + pads[axis + 2] - span[axis] for axis in range(2)]
    if min(room) < 0:
        return None
    return attributes, [room[axis] // stride[axis] + 1 for axis in range(2)]


def _conv(net: OnnxDraft, source: tuple[str, Shape] | None = None) -> None:
    rng = net.rng
    source = source or net.pick(3)
    if source is None:
        return
    name, (channels, *size) = source
    kernel = [rng.choice([1, 1, 2, 3, 3, 4]) for _ in range(2)]
    dilation = [rng.choice([1, 1, 1, 2]) for _ in range(2)]
    groups = rng.choice([g for g in range(1, channels + 1) if channels % g == 0] + [1, channels])
    outputs = groups * rng.randint(1, max(1, 8 // groups))
    made = _windows(net, tuple(size), kernel, dilation)
    if made is None or outputs * math.prod(made[1]) > _LARGEST:
        return
    inputs = [name, net.weight(outputs, channels // groups, *kernel)]
    if rng.random() < 0.6:
        inputs.append(net.weight(outputs))
    attributes = made[0] | {"dilations": dilation, "group": groups, "kernel_shape": kernel}
    net.add(net.node("Conv", inputs, **attributes), (outputs, *made[1]))


def _scale(net: OnnxDraft) -> None:
    """Mul, Div, Add or Sub with a constant, anywhere: also the same one several times."""
    rng = net.rng
    source = net.pick()
    if source is None:
        return
    name, shape = source
    operator = rng.choice(["Mul", "Mul", "Div", "Add", "Add", "Sub"])
    each = (shape[0], *[1] * (len(shape) - 1))
    form = rng.choice([(), (1,), each, each, (1, *each), (1, *[1] * len(shape))])
    if rng.random() < 0.03:  # more axes than the tensor, or one for each column: refused
        form = rng.choice([(1, *[1] * len(shape), 1), shape[-1:]])
        if form == shape[-1:] and len(shape) == 1:
            form = each
    size = rng.choice([0.1, 1, 1, 3])
    values = (
        _factors(net, form, size)
        if operator in ("Mul", "Div")
        else size * (net.numbers.standard_normal(form))
    )
    inputs = [name, net.constant(values)]
    if operator in ("Mul", "Add") and rng.random() < 0.3:
        inputs.reverse()
    if rng.random() < 0.02:
        inputs.reverse()
    if len(form) > len(shape) + 1:
        shape = shape  # onnx adds an axis; whatever follows is judged by onnxruntime
    for _ in range(rng.choice([1, 1, 1, 2])):
        output = net.node(operator, inputs)
        net.add(output, shape)


def _factors(net: OnnxDraft, form: Shape, size: float) -> np.ndarray:
    """Return factors away from zero, of both signs."""
    values = size * net.numbers.uniform(0.3, 2, form)
    if net.rng.random() < 0.3:
        values = values * net.numbers.choice([-1, 1], form)
    return values


def _normalise(net: OnnxDraft) -> None:
    source = net.pick()
    if source is None:
        return
    name, shape = source
    gain = _factors(net, shape[:1], 1)
    if net.rng.random() < 0.15:
        gain[net.numbers.integers(len(gain))] = 0
    if net.rng.random() < 0.05:  # as residual blocks are initialised
        gain = 0 * gain
    parts = [
        gain,
        *(net.numbers.standard_normal((2, shape[0]))),
        net.numbers.uniform(0.2, 2, shape[0]),
    ]
    attributes = {"epsilon": net.rng.choice([1e-5, 1e-3, 0.1])} if net.rng.random() < 0.5 else {}
    inputs = [name, *(net.constant(part) for part in parts)]
    net.add(net.node("BatchNormalization", inputs, **attributes), shape)


def _clamp(net: OnnxDraft) -> None:
    rng = net.rng
    source = net.pick()
    if source is None:
        return
    name, shape = source
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        name = net.node("Relu", [name]) if rng.random() < 0.5 else _clip(net, name)
        net.add(name, shape)


def _clip(net: OnnxDraft, name: str) -> str:
    rng = net.rng
    ends = sorted(round(rng.uniform(-3, 3), 2) for _ in range(2))
    if rng.random() < 0.05:
        ends.reverse()
    low, high = rng.choice([(0, 6), (-1, 1), ends, ends, (ends[0], None), (None, ends[1])])
    if net.opset < 11:
        ends = {"min": low, "max": high}
        given = {key: float(value) for key, value in ends.items() if value is not None}
        return net.node("Clip", [name], **given)
    inputs = [name, "" if low is None else net.constant(low)]
    if high is not None:
        inputs.append(net.constant(high))
    return net.node("Clip", inputs)


def _pool(net: OnnxDraft, source: tuple[str, Shape] | None = None) -> None:
    rng = net.rng
    source = source or net.pick(3)
    if source is None:
        return
    name, (channels, *size) = source
    operator = rng.choice(["MaxPool", "AveragePool"])
    kernel = [rng.choice([1, 2, 2, 3, 3]) for _ in range(2)]
    made = _windows(net, tuple(size), kernel)
    if made is None:
        return
    attributes, found = made
    attributes["kernel_shape"] = kernel
    if operator == "AveragePool":
        attributes["count_include_pad"] = int(rng.random() < 0.8)
    if "pads" in attributes and operator == "MaxPool" and net.opset > 9 and rng.random() < 0.3:
        attributes["ceil_mode"] = 1
        found = _ceiled(size, kernel, attributes)
    net.add(net.node(operator, [name], **attributes), (channels, *found))


def _ceiled(size: list[int], kernel: list[int], attributes: dict) -> list[int]:
    """Return the output of a pool with ceil_mode, by onnx's own shape inference."""
    node = helper.make_node("MaxPool", ["x"], ["y"], **attributes)
    graph = helper.make_graph(
        [node],
        "pool",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, *size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    dims = onnx.shape_inference.infer_shapes(model).graph.output[0].type.tensor_type.shape.dim
    return [dim.dim_value for dim in dims[2:]]


def _mean(net: OnnxDraft) -> None:
    rng = net.rng
    source = net.pick(3)
    if source is None:
        return
    name, (channels, *_) = source
    if rng.random() < 0.5:
        net.add(net.node("GlobalAveragePool", [name]), (channels, 1, 1))
        return
    keep = rng.choice([0, 1])
    axes = rng.choice([[2, 3], [-2, -1], [3, 2]]) if net.opset > 10 else [2, 3]
    if net.opset < 18:
        output = net.node("ReduceMean", [name], axes=axes, keepdims=keep)
    else:
        output = net.node("ReduceMean", [name, net.constant(axes, np.int64)], keepdims=keep)
    net.add(output, (channels, 1, 1) if keep else (channels,))


def _pad(net: OnnxDraft) -> None:
    """Pad, and most times convolutions or a pool right behind it."""
    rng = net.rng
    source = net.pick(3)
    if source is None:
        return
    name, (channels, height, width) = source
    if rng.random() < 0.3:
        name = net.node("Relu", [name])
    top, left, bottom, right = (rng.choice([0, 1, 2]) for _ in range(4))
    amounts = [0, 0, top, left, 0, 0, bottom, right]
    if net.opset < 11:
        output = net.node("Pad", [name], pads=amounts)
    else:
        output = net.node("Pad", [name, net.constant(amounts, np.int64)])
    shape = (channels, height + top + bottom, width + left + right)
    before = list(net.tensors)
    if rng.random() < 0.03:
        net.add(output, shape)  # there may be no layer that takes it in
    for step in rng.choice([[_conv], [_conv], [_conv, _conv], [_pool]]):
        step(net, (output, shape))
    if net.tensors == before:  # the convolution did not fit: nothing uses the padded tensor
        net.nodes.pop()


def _sum(net: OnnxDraft) -> None:
    first = net.pick()
    if first is None:
        return
    fitting = [name for name, shape in net.tensors if shape == first[1]]
    others = [net.rng.choice(fitting) for _ in range(net.rng.choice([1, 1, 1, 0, 2, 3]))]
    operator = "Add" if len(others) == 1 and net.rng.random() < 0.8 else "Sum"
    net.add(net.node(operator, [first[0], *others]), first[1])


def _concat(net: OnnxDraft) -> None:
    rng = net.rng
    first = net.pick()
    if first is None:
        return
    fitting = [each for each in net.tensors if each[1][1:] == first[1][1:]]
    fitting = [each for each in fitting if len(each[1]) == len(first[1])]
    parts = [first, *(rng.choice(fitting) for _ in range(rng.choice([0, 1, 1, 1, 2])))]
    channels = sum(shape[0] for _, shape in parts)
    if channels > 32:
        return
    axis = 1 if rng.random() < 0.7 or net.opset < 11 else -len(first[1])
    names = [name for name, _ in parts]
    net.add(net.node("Concat", names, axis=axis), (channels, *first[1][1:]))


def linear(net: OnnxDraft) -> None:
    rng = net.rng
    source = net.pick(1)
    if source is None:
        return
    name, (inputs,) = source
    outputs = rng.randint(1, 16)
    if rng.random() < 0.3:
        net.add(net.node("MatMul", [name, net.weight(inputs, outputs)]), (outputs,))
        return
    attributes: dict[str, Any] = {}
    shape = (inputs, outputs)
    if rng.random() < 0.5:
        attributes["transB"] = 1
        shape = (outputs, inputs)
    if rng.random() < 0.3:
        attributes |= {"alpha": rng.choice([0.5, -2.0]), "beta": rng.choice([0.0, 0.25, -1.0])}
    given = [name, net.weight(*shape)]
    if rng.random() < 0.7 or net.opset < 11:
        given.append(net.weight(*rng.choice([(outputs,), (outputs,), (1, outputs), (1,)])))
    net.add(net.node("Gemm", given, **attributes), (outputs,))


LAYERS: tuple[tuple[float, Callable[[OnnxDraft], None]], ...] = (
    (4, _conv),
    (3, _scale),
    (2, _normalise),
    (3, _clamp),
    (1.5, _pool),
    (0.7, _mean),
    (1, _pad),
    (2.5, _sum),
    (1.5, _concat),
    (2, linear),
)
"""Each with its frequency; one that does not fit the graph so far appends nothing."""
