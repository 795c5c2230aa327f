"""The quantised operators of ONNX: QuantizeLinear and DequantizeLinear, and those on integers."""

from dataclasses import replace

import numpy as np
import onnx

from systolith_host.frontend.integers import QuantizedConstant
from systolith_host.frontend.layers import attributes, convolution, linear
from systolith_host.frontend.operators import average_pool
from systolith_host.frontend.problems import UnsupportedError
from systolith_host.frontend.reader import Handler, Reader
from systolith_host.network.graph import Add, AveragePool, Clip, Concat
from systolith_host.network.scales import ActivationScale

__all__ = ["QUANTIZED"]


def _quantize(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    source = reader.source(proto, padded=True)
    scale = _scale(reader, proto, 1, 2)
    if reader.scales.setdefault(reader.root(source), scale) == scale:
        reader.rename(proto, source)
        _keep_padding(reader, proto)
    else:
        reader.source(proto)  # zeros do not go through another scale
        node = Clip(name, (source,), proto.output[0], -np.inf, np.inf)
        reader.add(proto, node, reader.shapes[source])
        source = proto.output[0]
        reader.scales[source] = scale
    reader.integers[reader.root(source)] = proto.output[0]


def _dequantize(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    if not reader.is_constant(proto, 0):
        source = reader.source(proto, padded=True)
        scale = _scale(reader, proto, 1, 2)
        if reader.scales.get(reader.root(source)) != scale:
            raise UnsupportedError("must undo the quantisation of its input, with the same scale")
        reader.rename(proto, source)
        _keep_padding(reader, proto)
        return
    axis = int(attributes(proto).get("axis", 1))
    _constant(reader, proto, 0, 1, 2, axis, proto.output[0])


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
    if values is None or scale is None or values.dtype not in (np.int8, np.uint8, np.int32):
        raise UnsupportedError("only constants of int8, uint8 or int32 can be dequantised")
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
        centred = centred - (zero.reshape(shape) if zero.size > 1 else zero.reshape(()))
    if values.ndim > 1 and not -128 <= centred.min() <= centred.max() <= 127:
        raise UnsupportedError(
            "weights minus their zero point must be int8; quantise weights as signed and symmetric"
        )
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
    source = reader.source(proto, index, padded=True)
    scale = _scale(reader, proto, index + 1, index + 2)
    if reader.scales.setdefault(reader.root(source), scale) != scale:
        raise UnsupportedError(f"its input {index} was made with another scale or zero point")


def _result(reader: Reader, proto: onnx.NodeProto, scale: int) -> None:
    name = reader.alias[proto.output[0]]
    reader.scales[name] = _scale(reader, proto, scale, scale + 1)
    reader.integers[name] = proto.output[0]


def _kernel(reader: Reader, proto: onnx.NodeProto, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Return weights as floats and the scale of each output channel, of inputs 3 to 5."""
    weight = _constant(reader, proto, 3, 4, 5, axis, f"{proto.output[0]}.weight")
    scale = reader.quantized[f"{proto.output[0]}.weight"].scale
    if weight.ndim < 2:
        raise UnsupportedError("its weights must be a matrix or kernels")
    return weight, np.broadcast_to(scale, (weight.shape[axis],)).astype(np.float64)


def _bias(
    reader: Reader, proto: onnx.NodeProto, index: int, scale: np.ndarray
) -> np.ndarray | None:
    bias = reader.constant(proto, index)
    if bias is None:
        return None
    if bias.dtype != np.int32 or bias.size not in (1, scale.size):
        raise UnsupportedError(f"its bias must be int32, one for each of {scale.size} outputs")
    return (
        bias.reshape(-1)
        * scale
        * reader.scales[reader.root(reader.source(proto, padded=True))].scale
    )


def _conv(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    _expect(reader, proto, 0)
    weight, scale = _kernel(reader, proto, 0)
    convolution(reader, proto, name, weight, _bias(reader, proto, 8, scale), scale)
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
    bias = _bias(reader, proto, 6, scale)
    linear(reader, proto, name, weight if axis == 0 else weight.T, bias, scale)
    _result(reader, proto, 7)


def _add(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    _expect(reader, proto, 0)
    _expect(reader, proto, 3)
    first, second = reader.source(proto), reader.source(proto, 3)
    shape = reader.shapes[first]
    if shape != reader.shapes[second]:
        raise UnsupportedError(f"adds {shape} and {reader.shapes[second]}: shapes must agree")
    reader.add(proto, Add(name, (first, second), proto.output[0]), shape)
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
    if axis != 1 or len({shape[1:] for shape in shapes}) != 1 or len(sources) < 2:
        raise UnsupportedError(f"only channels can be joined (axis 1), not {shapes} on axis {axis}")
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
    "QuantizeLinear": _quantize,
}
