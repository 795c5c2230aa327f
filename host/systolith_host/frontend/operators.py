"""The float operators of ONNX, one function each, as far as the accelerator can do them."""

import math
from collections.abc import Sequence

import numpy as np
import onnx

from systolith_host.frontend.arithmetic import arithmetic, batch_normalization, total
from systolith_host.frontend.forks import never_negative
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
    weight_scale,
    windows,
)
from systolith_host.frontend.layout import Layout
from systolith_host.frontend.mosaics import (
    conv_transpose,
    depth_to_space,
    join_sides,
    resize,
    space_to_depth,
)
from systolith_host.frontend.moves import slice_part, split
from systolith_host.frontend.problems import InvalidError, UnsupportedError
from systolith_host.frontend.reader import Handler, Reader
from systolith_host.frontend.reshape import flatten, reshape, squeeze, transpose
from systolith_host.network.graph import (
    AveragePool,
    Clip,
    Concat,
    Flatten,
    MaxPool,
    Relu,
)

__all__ = ["OPERATORS", "average_pool"]


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


def _relu(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    source = reader.source(proto, moved=True)
    node = Relu(name, (source,), proto.output[0])
    reader.add(proto, node, reader.shapes[source], reader.layout(proto))


def _clip(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    source = reader.source(proto, moved=True)
    limits = []
    for index, default in ((1, -math.inf), (2, math.inf)):
        values = reader.constant(proto, index)
        limits.append(default if values is None else float(values.reshape(())))
    low, high = limits
    if math.isnan(low) or math.isnan(high):
        raise UnsupportedError(f"its limits must be numbers, not {low} and {high}")
    # Where they are not in order, ONNX lets the upper one win: a constant.
    node = Clip(name, (source,), proto.output[0], min(low, high), high)
    reader.add(proto, node, reader.shapes[source], reader.layout(proto))


def _max_pool(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    source, (channels, height, width) = reader.image(proto, padded=True)
    found = attributes(proto)
    kernel = pair(found.get("kernel_shape"), 0, "kernel_shape")
    around = reader.padding(proto)
    if any(around) and not never_negative(reader, source):
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
        reader.hold_integers(node.output, node.output)


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
    mean = proto.op_type == "ReduceMean"
    source, (channels, height, width) = reader.image(proto, moved=mean)
    layout = reader.layout(proto)
    flat = False
    if proto.op_type == "ReduceMean":
        found = attributes(proto)
        axes = found.get("axes")
        given = reader.constant(proto, 1)
        axes = given.reshape(-1).tolist() if given is not None else axes
        order = (0, *(1 + axis for axis in (layout.axes if layout is not None else (0, 1, 2))))
        if sorted(order[axis % 4] for axis in axes or ()) != [2, 3]:
            raise UnsupportedError(f"only the mean over height and width runs, not over {axes}")
        flat = not found.get("keepdims", 1)
    image = f"{proto.output[0]}.image" if flat else proto.output[0]
    if (height, width) == (1, 1):
        reader.rename(proto, source, layout)
        image = source
    else:
        node = AveragePool(name, (source,), image, (height, width), (1, 1))
        reader.add(proto, node, (channels, 1, 1), layout)
    if flat:
        node = Flatten(f"{name}.flat", (image,), proto.output[0])
        reader.add(proto, node, (channels,))


def _concat(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    places = range(len(proto.input))
    sources = [reader.source(proto, index, moved=True) for index in places]
    shapes = [reader.shapes[source] for source in sources]
    layout, axis = reader.layout(proto), attributes(proto).get("axis", 1)
    channels = 1 if layout is None or layout.image is not None else 1 + layout.axes.index(0)
    same = all(reader.layout(proto, index) == layout for index in places)
    mixed = len(places) > 1 and layout is not None and layout.image is not None
    sides = _joined_axis(axis, layout, shapes) if same else 0
    if sides and len(places) > 1:
        join_sides(reader, proto, name, sources, sides, layout)
        return
    fits = len({shape[1:] for shape in shapes}) == 1 and same and not mixed
    if axis not in (channels, channels - 1 - len(shapes[0])) or not fits:
        raise UnsupportedError(
            f"only channels, rows or columns can be joined, not {shapes} on axis {axis}"
        )
    if len(sources) == 1:
        reader.keep(proto)
        return
    shape = (sum(shape[0] for shape in shapes), *shapes[0][1:])
    reader.add(proto, Concat(name, tuple(sources), proto.output[0]), shape, layout)


def _joined_axis(axis: int, layout: Layout | None, shapes: Sequence[tuple[int, ...]]) -> int:
    """Return the axis along which images stand side by side, 1 or 2; 0 if they do not."""
    if any(len(shape) != 3 for shape in shapes) or not -4 <= axis < 4:
        return 0
    here = (0, *(1 + a for a in (layout.axes if layout is not None else (0, 1, 2))))[axis % 4] - 1
    rest = {tuple(shape[a] for a in range(3) if a != here) for shape in shapes}
    return here if here > 0 and len(rest) == 1 else 0


def _identity(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    reader.keep(proto)


def _dropout(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    training = proto.input[2] if len(proto.input) > 2 else ""
    if training and (training not in reader.constants or reader.constants[training].any()):
        raise InvalidError("is in training mode; export the network for inference")
    reader.keep(proto)


def _cast(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    kind = attributes(proto).get("to", onnx.TensorProto.FLOAT)
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE)
    if kind not in floats or is_integer(reader, proto):
        title = onnx.TensorProto.DataType.Name(kind).lower()
        raise UnsupportedError(f"makes {title} of a tensor, which stays a float here")
    reader.keep(proto)


def _refuse(reason: str) -> Handler:
    def handler(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
        raise UnsupportedError(reason)

    return handler


_SLOPED = (
    "is not a clamp: it runs only where the accelerator looks functions up in tables "
    "(functions 1 in the configuration); use Relu"
)

OPERATORS: dict[str, Handler] = {
    "Add": arithmetic,
    "ArgMax": end,
    "AveragePool": average_pool,
    "BatchNormalization": batch_normalization,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "ConvTranspose": conv_transpose,
    "DepthToSpace": depth_to_space,
    "Div": arithmetic,
    "Dropout": _dropout,
    "Flatten": flatten,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_average,
    "Identity": _identity,
    "LogSoftmax": end,
    "MatMul": _matmul,
    "MaxPool": _max_pool,
    "Mul": arithmetic,
    "Pad": pad,
    "ReduceMean": _global_average,
    "Relu": _relu,
    "Reshape": reshape,
    "Resize": resize,
    "Sigmoid": end,
    "Slice": slice_part,
    "Softmax": end,
    "SpaceToDepth": space_to_depth,
    "Split": split,
    "Squeeze": squeeze,
    "Sub": arithmetic,
    "Sum": total,
    "Transpose": transpose,
    "Unsqueeze": squeeze,
    **{
        name: _refuse(_SLOPED)
        for name in ("Elu", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "PRelu", "Selu")
    },
}
