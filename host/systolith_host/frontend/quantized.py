"""The quantised operators of ONNX: QuantizeLinear and DequantizeLinear, and those on integers."""

from dataclasses import replace

import numpy as np
import onnx

from systolith_host.frontend.arithmetic import add, arithmetic
from systolith_host.frontend.integers import QuantizedConstant
from systolith_host.frontend.layers import attributes, convolution, linear
from systolith_host.frontend.mosaics import join_sides
from systolith_host.frontend.operators import average_pool
from systolith_host.frontend.problems import UnsupportedError
from systolith_host.frontend.reader import Handler, Reader
from systolith_host.network.graph import AveragePool, Clip, Concat
from systolith_host.network.scales import ActivationScale

__all__ = ["QUANTIZED"]


_CONSTANTS = ("int8", "uint8", "int32", "int4", "uint4")
"""Types of constants that can be dequantised."""

_WEIGHTS = (np.int8, np.uint8)
"""Types that constants can be quantised to."""

_LARGEST_STEP = 255
"""Largest difference of an activation, or of a weight, and its zero point."""


def _quantize(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    if reader.is_constant(proto, 0):
        _quantize_constant(reader, proto)
        return
    source = reader.source(proto, padded=True, moved=True)
    scale = _scale(reader, proto, 1, 2)
    if reader.scales.setdefault(reader.root(source), scale) == scale:
        reader.keep(proto, padded=True)
        _keep_padding(reader, proto)
    else:
        reader.source(proto, moved=True)  # zeros do not go through another scale
        node = Clip(name, (source,), proto.output[0], -np.inf, np.inf)
        reader.add(proto, node, reader.shapes[source], reader.layout(proto))
        source = proto.output[0]
        reader.scales[source] = scale
    if proto.output[0] not in reader.padded:  # those have more values than the tensor
        reader.hold_integers(reader.root(source), proto.output[0])


def _dequantize(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    if not reader.is_constant(proto, 0):
        source = reader.source(proto, padded=True, moved=True)
        scale = _scale(reader, proto, 1, 2)
        if reader.scales.get(reader.root(source)) != scale:
            raise UnsupportedError("must undo the quantisation of its input, with the same scale")
        reader.keep(proto, padded=True)
        _keep_padding(reader, proto)
        return
    axis = int(attributes(proto).get("axis", 1))
    _constant(reader, proto, 0, 1, 2, axis, proto.output[0])


def _quantize_constant(reader: Reader, proto: onnx.NodeProto) -> None:
    """Note the integers of a constant in floats, as exports with training in mind have them."""
    values, scale = reader.constant(proto, 0), reader.constant(proto, 1)
    zero = reader.constant(proto, 2)
    kind = zero.dtype if zero is not None else np.dtype(np.uint8)
    found = attributes(proto)
    if values is None or scale is None or kind not in _WEIGHTS or values.dtype.kind != "f":
        raise UnsupportedError("a constant can only be quantised from floats to int8 or uint8")
    if found.get("block_size") or scale.ndim > 1 or scale.min() <= 0:
        raise UnsupportedError("must have one positive scale, or one for each channel")
    shape = [1] * values.ndim
    axis = int(found.get("axis", 1))
    if scale.size > 1:
        if not -values.ndim <= axis < values.ndim or scale.size != values.shape[axis]:
            raise UnsupportedError("its scales must be one, or one for each channel")
        shape[axis] = scale.size
    reader.take(values.size)
    steps = np.rint(values / (scale.reshape(shape) if scale.size > 1 else scale.reshape(())))
    if zero is not None:
        steps += zero.reshape(shape) if zero.size > 1 else zero.reshape(())
    ends = np.iinfo(kind)
    reader.constants[proto.output[0]] = np.clip(steps, ends.min, ends.max).astype(kind)


def _keep_padding(reader: Reader, proto: onnx.NodeProto) -> None:
    """Real zeros stay zeros in integers and back."""
    if proto.input[0] in reader.padded:
        integers = proto.op_type == "QuantizeLinear"
        around = replace(reader.padded[proto.input[0]], integers=integers)
        reader.padded[proto.output[0]] = around


def _constant(
    reader: Reader,
    proto: onnx.NodeProto,
    index: int,
    scale_index: int,
    zero_index: int,
    axis: int,
    name: str,
) -> np.ndarray:
    """Note integers as the floats that they stand for, under a name, and return those."""
    values, scale = reader.constant(proto, index), reader.constant(proto, scale_index)
    zero = reader.constant(proto, zero_index)
    if values is None or scale is None or values.dtype.name not in _CONSTANTS:
        raise UnsupportedError(f"only constants of {', '.join(_CONSTANTS)} can be dequantised")
    block = attributes(proto).get("block_size", 0)
    if block or scale.ndim > 1:
        size = f" of {block} weights" if block else ""
        raise UnsupportedError(
            f"has a scale for each block{size}; weights have one for each output channel here"
        )
    reader.take(values.size)
    centred = values.astype(np.int64)
    scale = scale.astype(np.float64)
    if scale.min() <= 0:
        raise UnsupportedError("its scales must be positive")
    shape = [1] * values.ndim
    if scale.size > 1:
        if values.ndim == 0 or scale.size != values.shape[axis % values.ndim]:
            raise UnsupportedError("its scales must be one, or one for each channel")
        shape[axis % values.ndim] = scale.size
    if zero is not None:
        if zero.size not in (1, scale.size):
            raise UnsupportedError("it must have as many zero points as scales")
        point = zero.astype(np.int64)
        centred = centred - (point.reshape(shape) if point.size > 1 else point.reshape(()))
    reader.constants[name] = centred * scale.reshape(shape)
    reader.quantized[name] = QuantizedConstant(scale.reshape(-1), axis)
    return reader.constants[name]


def _scale(reader: Reader, proto: onnx.NodeProto, scale: int, zero: int) -> ActivationScale:
    """Return the scale of a tensor of activations from constant inputs of a node."""
    step, point = reader.constant(proto, scale), reader.constant(proto, zero)
    if step is None or step.size != 1 or (point is not None and point.size != 1):
        raise UnsupportedError("activations must have one scale and one zero point a tensor")
    kind = point.dtype if point is not None else np.dtype(np.uint8)
    if kind not in (np.uint8, np.int8):
        raise UnsupportedError(f"activations must be int8 or uint8, not {kind}")
    value = float(step.reshape(()))
    if not value > 0:
        raise UnsupportedError(f"its scale must be positive, not {value}")
    return ActivationScale(
        kind == np.uint8, value, int(point.reshape(())) if point is not None else 0
    )


def _expect(reader: Reader, proto: onnx.NodeProto, index: int) -> None:
    """Check an input of integers against the scale and zero point behind it."""
    source = reader.source(proto, index, padded=True, moved=True)
    scale = _scale(reader, proto, index + 1, index + 2)
    if reader.scales.setdefault(reader.root(source), scale) != scale:
        raise UnsupportedError(f"its input {index} was made with another scale or zero point")


def _result(reader: Reader, proto: onnx.NodeProto, scale: int) -> None:
    name = reader.alias[proto.output[0]]
    reader.scales[name] = _scale(reader, proto, scale, scale + 1)
    reader.hold_integers(name, proto.output[0])


def _kernel(reader: Reader, proto: onnx.NodeProto, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Return weights as floats and the scale of each output channel, of inputs 3 to 5."""
    weight = _constant(reader, proto, 3, 4, 5, axis, f"{proto.output[0]}.weight")
    scale = reader.quantized[f"{proto.output[0]}.weight"].scale
    if weight.ndim < 2:
        raise UnsupportedError("its weights must be a matrix or kernels")
    return weight, np.broadcast_to(scale, (weight.shape[axis],)).astype(np.float64)


def _bias(
    reader: Reader, proto: onnx.NodeProto, index: int, weight: np.ndarray, scale: np.ndarray
) -> np.ndarray | None:
    """Return the bias as floats; weights are floats of shape (outputs, ...)."""
    bias = reader.constant(proto, index)
    if bias is None:
        return None
    if bias.dtype != np.int32 or bias.size not in (1, scale.size):
        raise UnsupportedError(f"its bias must be int32, one for each of {scale.size} outputs")
    source = reader.scales[reader.root(reader.source(proto, padded=True, moved=True))]
    _check_sums(bias.reshape(-1).astype(np.float64), weight.reshape(scale.size, -1), scale)
    return bias.reshape(-1) * scale * source.scale


def _check_sums(bias: np.ndarray, weight: np.ndarray, scale: np.ndarray) -> None:
    """Refuse sums that 32 bits may not hold: the standard does not say what they become."""
    for channel, start in enumerate(np.broadcast_to(bias, scale.shape)):
        if abs(start) + weight.shape[1] * _LARGEST_STEP**2 < 2**31:
            continue
        size = np.abs(np.rint(weight[channel] / scale[channel])).sum()
        if size and abs(start) + size * _LARGEST_STEP >= 2**31:
            raise UnsupportedError(
                f"the bias of output {channel}, {start:.0f}, and its products may exceed 32 bits; "
                "quantise it with a coarser scale of the weights"
            )


def _conv(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    _expect(reader, proto, 0)
    weight, scale = _kernel(reader, proto, 0)
    convolution(reader, proto, name, weight, _bias(reader, proto, 8, weight, scale), scale)
    _result(reader, proto, 6)


def _matmul(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    _expect(reader, proto, 0)
    weight, scale = _kernel(reader, proto, 1)
    linear(reader, proto, name, weight.T, None, scale)
    _result(reader, proto, 6)


def _gemm(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    found = attributes(proto)
    if found.get("transA") or found.get("alpha", 1.0) != 1.0:
        raise UnsupportedError("must have transA = 0 and alpha = 1")
    if len(proto.input) < 9:
        raise UnsupportedError("its output must be quantised")
    _expect(reader, proto, 0)
    axis = 0 if found.get("transB") else 1
    weight, scale = _kernel(reader, proto, axis)
    weight = weight if axis == 0 else weight.T
    linear(reader, proto, name, weight, _bias(reader, proto, 6, weight, scale), scale)
    _result(reader, proto, 7)


def _add(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    constant = next((index for index in (0, 3) if reader.is_constant(proto, index)), None)
    if constant is None and proto.op_type == "QLinearAdd":
        _expect(reader, proto, 0)
        _expect(reader, proto, 3)
        add(reader, proto, name, 0, 3)
    elif constant is None:
        raise UnsupportedError("of two tensors is not supported; only their sum is")
    else:
        real = f"{proto.output[0]}.constant"
        _constant(reader, proto, constant, constant + 1, constant + 2, 0, real)
        _expect(reader, proto, 3 - constant)
        operator = "Add" if proto.op_type == "QLinearAdd" else "Mul"
        inputs = [proto.input[3 - constant], real]
        arithmetic(reader, onnx.helper.make_node(operator, inputs, proto.output[:1]), name)
    _result(reader, proto, 6)


def _average(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    found = attributes(proto)
    pool = proto.op_type == "QLinearAveragePool"
    source, (channels, height, width) = reader.image(proto, padded=pool)
    if found.get("channels_last"):
        raise UnsupportedError("must have its channels first")
    _expect(reader, proto, 0)
    if pool:
        average_pool(reader, proto, name)
    else:
        node = AveragePool(name, (source,), proto.output[0], (height, width), (1, 1))
        reader.add(proto, node, (channels, 1, 1))
    _result(reader, proto, 3)


def _concat(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    places = range(2, len(proto.input), 3)
    for index in places:
        _expect(reader, proto, index)
    sources = tuple(reader.source(proto, index) for index in places)
    shapes = [reader.shapes[source] for source in sources]
    axis = attributes(proto).get("axis", 1)
    sides = axis % 4 - 1 if -4 <= axis < 4 else 0
    rest = {tuple(size for a, size in enumerate(shape) if a != sides) for shape in shapes}
    if sides > 0 and len(sources) > 1 and len(rest) == 1 and len(shapes[0]) == 3:
        join_sides(reader, proto, name, sources, sides)
        _result(reader, proto, 0)
        return
    if axis != 1 or len({shape[1:] for shape in shapes}) != 1 or len(sources) < 2:
        raise UnsupportedError(
            f"only channels, rows or columns can be joined, not {shapes} on axis {axis}"
        )
    shape = (sum(shape[0] for shape in shapes), *shapes[0][1:])
    reader.add(proto, Concat(name, sources, proto.output[0]), shape)
    _result(reader, proto, 0)


QUANTIZED: dict[str, Handler] = {
    "DequantizeLinear": _dequantize,
    "QGemm": _gemm,
    "QLinearAdd": _add,
    "QLinearAveragePool": _average,
    "QLinearConcat": _concat,
    "QLinearConv": _conv,
    "QLinearGlobalAveragePool": _average,
    "QLinearMatMul": _matmul,
    "QLinearMul": _add,
    "QuantizeLinear": _quantize,
}
