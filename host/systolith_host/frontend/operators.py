"""The float operators of ONNX, one function each, as far as the accelerator can do them."""

import math

import numpy as np
import onnx

from systolith_host.frontend.absorb import Affine
from systolith_host.frontend.host import end
from systolith_host.frontend.layers import (
    attributes,
    convolution,
    is_integer,
    joined,
    linear,
    pad,
    padded_size,
    pair,
    windows,
)
from systolith_host.frontend.problems import UnsupportedError
from systolith_host.frontend.reader import Handler, Reader
from systolith_host.network.graph import (
    Add,
    AveragePool,
    Clip,
    Concat,
    Flatten,
    LayerWeights,
    MaxPool,
    Relu,
)

__all__ = ["OPERATORS", "average_pool"]


def weight_scale(reader: Reader, proto: onnx.NodeProto, index: int, axis: int) -> np.ndarray | None:
    """Return the scale of each output channel if the weights were quantised before."""
    made = reader.quantized.get(proto.input[index])
    weight = reader.constants[proto.input[index]]
    if made is None or weight.ndim < 2:
        return None
    if made.scale.size > 1 and made.axis % weight.ndim != axis:
        raise UnsupportedError("its weights must be quantised per tensor or per output channel")
    return np.broadcast_to(made.scale.reshape(-1), (weight.shape[axis],)).astype(np.float64)


def _conv(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    weight, bias = reader.constant(proto, 1), reader.constant(proto, 2)
    if weight is None:
        raise UnsupportedError("has no weights")
    convolution(reader, proto, name, weight, bias, weight_scale(reader, proto, 1, 0))


def _gemm(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    found = attributes(proto)
    weight, bias = reader.constant(proto, 1), reader.constant(proto, 2)
    if weight is None or weight.ndim != 2 or found.get("transA"):
        raise UnsupportedError("must multiply by a constant matrix from the right (transA = 0)")
    alpha, beta = found.get("alpha", 1.0), found.get("beta", 1.0)
    axis = 0 if found.get("transB") else 1
    scale = weight_scale(reader, proto, 1, axis)
    if scale is not None and (alpha, beta) != (1.0, 1.0):
        raise UnsupportedError("alpha and beta of quantised weights must be 1")
    weight = weight if axis == 0 else weight.T
    if bias is not None:
        bias = np.broadcast_to(_one_row(bias) * beta, (len(weight),))
    linear(reader, proto, name, weight if alpha == 1.0 else weight * alpha, bias, scale)


def _one_row(bias: np.ndarray) -> np.ndarray:
    """Return a bias for each feature from one for each image and feature."""
    if bias.ndim > 2:
        raise UnsupportedError(f"its bias must be a vector or a matrix, not {bias.ndim}-D")
    rows = bias.reshape(-1, bias.shape[-1]) if bias.ndim else bias.reshape(1, 1)
    if not (rows == rows[:1]).all():
        raise UnsupportedError(
            "adds another bias to each image of a batch, which is computed one image at a time; "
            "export the network with a batch of 1"
        )
    return rows[0]


def _matmul(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    weight = reader.constant(proto, 1)
    if weight is None or weight.ndim != 2:
        raise UnsupportedError("must multiply by a constant matrix from the right")
    linear(reader, proto, name, weight.T, None, weight_scale(reader, proto, 1, 1))


def affine(
    reader: Reader, proto: onnx.NodeProto, name: str, scale: np.ndarray, shift: np.ndarray
) -> None:
    """Append scale * x + shift per channel."""
    source = reader.source(proto)
    shape = reader.shapes[source]
    scale = np.broadcast_to(scale.reshape(-1).astype(np.float64), (shape[0],))
    shift = np.broadcast_to(shift.reshape(-1).astype(np.float64), (shape[0],))
    if not (np.isfinite(scale).all() and np.isfinite(shift).all()):
        raise UnsupportedError("its numbers overflow")
    node = Affine(name, (source,), proto.output[0])
    reader.add(proto, node, shape)
    reader.weights[name] = LayerWeights(scale, shift)


def _batch_normalization(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    parts = [reader.constant(proto, index) for index in range(1, 5)]
    channels = reader.shapes[reader.source(proto)][0]
    if any(part is None or part.shape != (channels,) for part in parts):
        raise UnsupportedError(f"must have four constants for each of {channels} channels")
    gain, offset, mean, variance = (np.asarray(part, np.float64) for part in parts)
    if attributes(proto).get("training_mode"):
        raise UnsupportedError("is in training mode; export the network for inference")
    root = np.sqrt(variance + attributes(proto).get("epsilon", 1e-5))
    affine(reader, proto, name, gain / root, offset - mean * gain / root)


def _per_channel(reader: Reader, proto: onnx.NodeProto, index: int, source: str) -> np.ndarray:
    values = reader.constant(proto, index)
    shape = reader.shapes[source]
    assert values is not None
    lined = (1,) * (1 + len(shape) - values.ndim) + values.shape
    one_each = (1, shape[0], *(1,) * (len(shape) - 1))
    wide = values.ndim > 1 + len(shape)  # such a constant would give the tensor more axes
    if values.dtype.kind != "f" or wide or (values.size != 1 and lined != one_each):
        raise UnsupportedError(
            f"a constant of shape {values.shape} is neither one number nor one for each channel"
        )
    return values


def _arithmetic(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    operator = proto.op_type
    constant = next((i for i in (0, 1) if reader.is_constant(proto, i)), None)
    if constant is None:
        if operator != "Add":
            raise UnsupportedError("of two tensors is not supported; only their sum is")
        first, second = reader.source(proto), reader.source(proto, 1)
        shape = reader.shapes[first]
        if shape != reader.shapes[second]:
            raise UnsupportedError(f"adds {shape} and {reader.shapes[second]}: shapes must agree")
        reader.add(proto, Add(name, (first, second), proto.output[0]), shape)
        return
    if constant == 0:
        if operator not in ("Add", "Mul"):
            raise UnsupportedError("must have its constant on the right")
        swapped = onnx.NodeProto()
        swapped.CopyFrom(proto)
        swapped.input[0], swapped.input[1] = proto.input[1], proto.input[0]
        proto = swapped
    values = _per_channel(reader, proto, 1, reader.source(proto)).astype(np.float64)
    one, zero = np.ones(1), np.zeros(1)
    if operator in ("Add", "Sub"):
        affine(reader, proto, name, one, values if operator == "Add" else -values)
        return
    if operator == "Div" and not values.all():
        raise UnsupportedError("divides by zero")
    affine(reader, proto, name, values if operator == "Mul" else 1 / values, zero)


def _sum(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    """Sum: of any number of tensors and constants, one after the other."""
    first, *others = proto.input
    if not others:
        _identity(reader, proto, name)
    for number, other in enumerate(others):
        last = number == len(others) - 1
        output = proto.output[0] if last else f"{proto.output[0]}.sum{number}"
        step = onnx.helper.make_node("Add", [first, other], [output], proto.name)
        if first in reader.constants and other in reader.constants:
            reader.constants[output] = reader.constants[first] + reader.constants[other]
        else:
            _arithmetic(reader, step, name if last else f"{name}.sum{number}")
        first = output


def _relu(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    source = reader.source(proto)
    reader.add(proto, Relu(name, (source,), proto.output[0]), reader.shapes[source])


def _clip(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    source = reader.source(proto)
    limits = []
    for index, default in ((1, -math.inf), (2, math.inf)):
        values = reader.constant(proto, index)
        limits.append(default if values is None else float(values.reshape(())))
    low, high = limits
    if math.isnan(low) or math.isnan(high):
        raise UnsupportedError(f"its limits must be numbers, not {low} and {high}")
    # Where they are not in order, ONNX lets the upper one win: a constant.
    node = Clip(name, (source,), proto.output[0], min(low, high), high)
    reader.add(proto, node, reader.shapes[source])


def _max_pool(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    source, (channels, height, width) = reader.image(proto, padded=True)
    found = attributes(proto)
    kernel = pair(found.get("kernel_shape"), 0, "kernel_shape")
    around = reader.padding(proto)
    if any(around) and not reader.never_negative(source):
        raise UnsupportedError(
            f"takes the zeros of {reader.padded[proto.input[0]].node}, which never win only where "
            "nothing is below 0: put a Relu before it, or use the pads of the pool"
        )
    stride, own, dilation, size = windows(found, padded_size((height, width), around), kernel)
    padding = joined(own, around)
    if dilation != (1, 1):
        raise UnsupportedError("a dilated max-pool is not supported")
    if len(proto.output) > 1 and proto.output[1]:
        raise UnsupportedError("its second output, the indices, is not supported")
    if max(padding[:2]) >= kernel[0] or max(padding[2:]) >= kernel[1]:
        raise UnsupportedError(f"padding {padding} must be smaller than the kernel {kernel}")
    node = MaxPool(name, (source,), proto.output[0], kernel, stride, padding)
    reader.add(proto, node, (channels, *size))
    if is_integer(reader, proto):  # a pool of integers gives integers
        reader.scales[node.output] = reader.scales[source]
        reader.integers[node.output] = node.output


def average_pool(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    """Append a mean of windows."""
    source, (channels, height, width) = reader.image(proto, padded=True)
    found = attributes(proto)
    kernel = pair(found.get("kernel_shape"), 0, "kernel_shape")
    around = reader.padding(proto)
    large = padded_size((height, width), around)
    stride, own, dilation, size = windows(found, large, kernel)
    if dilation != (1, 1):
        raise UnsupportedError("a dilated average pool is not supported")
    # Padding that no window reaches does not count.
    spare = [
        large[axis]
        + own[2 * axis]
        + own[2 * axis + 1]
        - ((size[axis] - 1) * stride[axis] + kernel[axis])
        for axis in range(2)
    ]
    own = (own[0], max(own[1] - spare[0], 0), own[2], max(own[3] - spare[1], 0))
    if any(own) and (not found.get("count_include_pad") or found.get("ceil_mode")):
        raise UnsupportedError(
            "a mean that leaves the padding out divides by another number at each edge; use "
            "count_include_pad=1, without ceil_mode, or no padding"
        )
    node = AveragePool(name, (source,), proto.output[0], kernel, stride, joined(own, around))
    reader.add(proto, node, (channels, *size))


def _global_average(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    source, (channels, height, width) = reader.image(proto)
    flat = False
    if proto.op_type == "ReduceMean":
        found = attributes(proto)
        axes = found.get("axes")
        given = reader.constant(proto, 1)
        axes = given.reshape(-1).tolist() if given is not None else axes
        if sorted(axis % 4 for axis in axes or ()) != [2, 3]:
            raise UnsupportedError(f"only the mean over height and width runs, not over {axes}")
        flat = not found.get("keepdims", 1)
    if (height, width) == (1, 1):
        reader.rename(proto, source)
        return
    node = AveragePool(name, (source,), proto.output[0], (height, width), (1, 1))
    reader.add(proto, node, (channels, 1, 1))
    if flat:
        vector = f"{proto.output[0]}.flat"
        reader.add(proto, Flatten(f"{name}.flat", (node.output,), vector), (channels,))


def _concat(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    sources = [reader.source(proto, index) for index in range(len(proto.input))]
    shapes = [reader.shapes[source] for source in sources]
    axis = attributes(proto).get("axis", 1)
    if axis not in (1, -len(shapes[0])) or len({shape[1:] for shape in shapes}) != 1:
        raise UnsupportedError(f"only channels can be joined (axis 1), not {shapes} on axis {axis}")
    if len(sources) == 1:
        reader.rename(proto, sources[0])
        return
    shape = (sum(shape[0] for shape in shapes), *shapes[0][1:])
    reader.add(proto, Concat(name, tuple(sources), proto.output[0]), shape)


def _identity(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    reader.rename(proto, reader.source(proto))


def _flatten(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    """Flatten, Reshape, Squeeze, Unsqueeze: to a vector, or to the same shape."""
    source = reader.source(proto)
    shape = reader.shapes[source]
    count = math.prod(shape)
    operator = proto.op_type
    if operator == "Flatten":
        wanted: tuple[int, ...] = (count,)
        if attributes(proto).get("axis", 1) not in (1, -len(shape)):
            raise UnsupportedError("must keep the images apart (axis 1)")
    elif operator == "Reshape":
        values = reader.constant(proto, 1)
        assert values is not None
        dims = [int(value) for value in values.reshape(-1)]
        for index, value in enumerate(dims[1:], 1):
            if value == 0 and index <= len(shape) and not attributes(proto).get("allowzero"):
                dims[index] = shape[index - 1]
        rest = math.prod(dims[1:])
        if dims and dims[0] in (-1, 0, 1) and rest == count:
            wanted = tuple(dims[1:])
        elif dims and dims[0] in (0, 1) and dims.count(-1) == 1 and rest and count % rest == 0:
            wanted = tuple(count // -rest if value == -1 else value for value in dims[1:])
        else:
            raise UnsupportedError(f"to {dims} mixes images or values of Nx{shape}")
    else:
        axes = reader.constant(proto, 1)
        chosen = sorted(int(axis) for axis in axes.reshape(-1)) if axes is not None else []
        wanted = (count,) if chosen in ([2, 3], [-2, -1]) else ()
        if operator == "Unsqueeze" and len(shape) == 1:
            reader.rename(proto, source)
            return
    if wanted == shape:
        reader.rename(proto, source)
    elif wanted == (count,):
        reader.add(proto, Flatten(name, (source,), proto.output[0]), wanted)
    elif wanted == (count, 1, 1) and len(shape) == 1:
        reader.rename(proto, source)
    else:
        raise UnsupportedError("can only make a vector of an image; it asks for another shape")


def _transpose(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    source = reader.source(proto)
    shape = (0, *reader.shapes[source])
    order = list(attributes(proto).get("perm") or reversed(range(len(shape))))
    if sorted(order) != list(range(len(shape))):
        raise UnsupportedError(f"perm must be an order of {len(shape)} axes, not {order}")
    if source == reader.input and order == [0, 3, 1, 2] and reader.alone(proto):
        # The images came with channels last; the host gives them as everywhere else.
        reader.channels_last = True
        reader.shapes[source] = (shape[3], shape[1], shape[2])
        reader.rename(proto, source)
        return
    if [axis for axis in order if shape[axis] != 1] != [a for a in sorted(order) if shape[a] != 1]:
        raise UnsupportedError(
            f"by {order} moves values of Nx{shape[1:]}; only a transposition that just names "
            "the layout costs nothing, and no other is supported"
        )
    if tuple(shape[axis] for axis in order)[1:] != shape[1:]:
        raise UnsupportedError("changes which axes have one element; flatten instead")
    reader.rename(proto, source)


def _refuse(reason: str) -> Handler:
    def handler(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
        raise UnsupportedError(reason)

    return handler


_SLOPED = "is not a clamp: the accelerator clamps after requantising and has no slopes; use Relu"

OPERATORS: dict[str, Handler] = {
    "Add": _arithmetic,
    "ArgMax": end,
    "AveragePool": average_pool,
    "BatchNormalization": _batch_normalization,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "Div": _arithmetic,
    "Dropout": _identity,
    "Flatten": _flatten,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_average,
    "Identity": _identity,
    "LogSoftmax": end,
    "MatMul": _matmul,
    "MaxPool": _max_pool,
    "Mul": _arithmetic,
    "Pad": pad,
    "ReduceMean": _global_average,
    "Relu": _relu,
    "Reshape": _flatten,
    "Sigmoid": end,
    "Softmax": end,
    "Squeeze": _flatten,
    "Sub": _arithmetic,
    "Sum": _sum,
    "Transpose": _transpose,
    "Unsqueeze": _flatten,
    **{
        name: _refuse(_SLOPED)
        for name in ("Elu", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "PRelu", "Selu")
    },
}
