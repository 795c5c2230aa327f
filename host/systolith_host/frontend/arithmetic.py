"""Sums, and arithmetic with constants for each channel."""

import numpy as np
import onnx

from systolith_host.frontend.absorb import Affine
from systolith_host.frontend.layers import attributes
from systolith_host.frontend.problems import UnsupportedError
from systolith_host.frontend.reader import Reader
from systolith_host.network.graph import Add, LayerWeights

__all__ = ["add", "affine", "arithmetic", "batch_normalization", "total"]


def affine(
    reader: Reader, proto: onnx.NodeProto, name: str, scale: np.ndarray, shift: np.ndarray
) -> None:
    """Append scale * x + shift per channel."""
    source = reader.source(proto, moved=True)
    shape = reader.shapes[source]
    scale = np.broadcast_to(scale.reshape(-1).astype(np.float64), (shape[0],))
    shift = np.broadcast_to(shift.reshape(-1).astype(np.float64), (shape[0],))
    if not (np.isfinite(scale).all() and np.isfinite(shift).all()):
        raise UnsupportedError("its numbers overflow")
    node = Affine(name, (source,), proto.output[0])
    reader.add(proto, node, shape, reader.layout(proto))
    reader.weights[name] = LayerWeights(scale, shift)


def batch_normalization(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    """Append a normalisation with constants for each channel."""
    parts = [reader.constant(proto, index) for index in range(1, 5)]
    source, layout = reader.source(proto, moved=True), reader.layout(proto)
    channels = reader.shapes[source][0]
    if layout is not None and layout.image is None and layout.axes[0] != 0:
        raise UnsupportedError("normalises an axis that does not hold the channels")
    if any(part is None or part.shape != (channels,) for part in parts):
        raise UnsupportedError(f"must have four constants for each of {channels} channels")
    wide = [np.asarray(part, np.float64) for part in parts]
    if layout is not None and layout.image is not None:
        wide = [layout.into(part) for part in wide]
    gain, offset, mean, variance = wide
    if attributes(proto).get("training_mode"):
        raise UnsupportedError("is in training mode; export the network for inference")
    root = np.sqrt(variance + attributes(proto).get("epsilon", 1e-5))
    affine(reader, proto, name, gain / root, offset - mean * gain / root)


def _per_channel(reader: Reader, proto: onnx.NodeProto, index: int, source: str) -> np.ndarray:
    """Return a constant for each channel, or one for all, in this network's order."""
    values = reader.constant(proto, index)
    shape, layout = reader.shapes[source], reader.layout(proto)
    assert values is not None
    wide = values.ndim > 1 + len(shape)  # such a constant would give the tensor more axes
    lined = values if wide else values.reshape((1,) * (1 + len(shape) - values.ndim) + values.shape)
    if layout is not None and not wide and lined.shape[-1] in (1, layout.shape(shape)[-1]):
        lined = layout.into(lined)
    one_each = (1, shape[0], *(1,) * (len(shape) - 1))
    if values.dtype.kind != "f" or wide or (values.size != 1 and lined.shape != one_each):
        raise UnsupportedError(
            f"a constant of shape {values.shape} is neither one number nor one for each channel"
        )
    return lined


def arithmetic(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    """Append a sum of two tensors, or Add, Sub, Mul, Div with a constant."""
    operator = proto.op_type
    constant = next((i for i in (0, 1) if reader.is_constant(proto, i)), None)
    if constant is None:
        if operator != "Add":
            raise UnsupportedError("of two tensors is not supported; only their sum is")
        add(reader, proto, name, 0, 1)
        return
    if constant == 0:
        if operator not in ("Add", "Mul"):
            raise UnsupportedError("must have its constant on the right")
        swapped = onnx.NodeProto()
        swapped.CopyFrom(proto)
        swapped.input[0], swapped.input[1] = proto.input[1], proto.input[0]
        proto = swapped
    values = _per_channel(reader, proto, 1, reader.source(proto, moved=True)).astype(np.float64)
    one, zero = np.ones(1), np.zeros(1)
    if operator in ("Add", "Sub"):
        affine(reader, proto, name, one, values if operator == "Add" else -values)
        return
    if operator == "Div" and not values.all():
        raise UnsupportedError("divides by zero")
    affine(reader, proto, name, values if operator == "Mul" else 1 / values, zero)


def total(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    """Sum: of any number of tensors and constants, one after the other."""
    first, *others = proto.input
    if not others:
        reader.keep(proto)
    for number, other in enumerate(others):
        last = number == len(others) - 1
        output = proto.output[0] if last else f"{proto.output[0]}.sum{number}"
        step = onnx.helper.make_node("Add", [first, other], [output], proto.name)
        if first in reader.constants and other in reader.constants:
            reader.constants[output] = reader.constants[first] + reader.constants[other]
        else:
            arithmetic(reader, step, name if last else f"{name}.sum{number}")
        first = output


def add(reader: Reader, proto: onnx.NodeProto, name: str, one: int, other: int) -> None:
    """Append the sum of two tensors, which are these inputs of a node."""
    first = reader.source(proto, one, moved=True)
    second = reader.source(proto, other, moved=True)
    shape, layout = reader.shapes[first], reader.layout(proto, one)
    if shape != reader.shapes[second] or layout != reader.layout(proto, other):
        raise UnsupportedError(
            f"adds {reader.file_shape(proto, one)} and {reader.file_shape(proto, other)} of other "
            "axes: shapes must agree"
            if shape == reader.shapes[second]
            else f"adds {shape} and {reader.shapes[second]}: shapes must agree"
        )
    reader.add(proto, Add(name, (first, second), proto.output[0]), shape, layout)
