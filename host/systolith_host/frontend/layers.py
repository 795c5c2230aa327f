"""Convolutions and linear layers of ONNX: geometry and weights, in floats or integers."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper

from systolith_host.frontend.layout import Padding
from systolith_host.frontend.limits import LARGEST_SIDE
from systolith_host.frontend.problems import InvalidError, UnsupportedError
from systolith_host.frontend.reader import Reader
from systolith_host.frontend.wide import copied_image, copied_vector, copies, shared
from systolith_host.network.graph import Conv, Linear

__all__ = [
    "attributes",
    "convolution",
    "is_integer",
    "joined",
    "linear",
    "pad",
    "padded_size",
    "pair",
    "weight_scale",
    "windows",
]


def attributes(proto: onnx.NodeProto) -> dict:
    """Return the attributes of a node as Python values."""
    return {entry.name: helper.get_attribute_value(entry) for entry in proto.attribute}


def pair(values: Sequence[int] | None, default: int, what: str) -> tuple[int, int]:
    """Return an attribute of two positive numbers, both `default` if it is not given."""
    numbers = list(values) if values is not None else [default, default]
    if len(numbers) != 2 or min(numbers) < 1:
        raise UnsupportedError(f"its {what} must be two positive numbers, not {numbers}")
    if max(numbers) > LARGEST_SIDE:
        raise UnsupportedError(f"its {what} must be at most {LARGEST_SIDE:,}, not {numbers}")
    return int(numbers[0]), int(numbers[1])


Sides = tuple[int, int, int, int]
"""Padding: top, bottom, left, right."""


def padded_size(size: tuple[int, int], around: Sides) -> tuple[int, int]:
    """Return the size of an image with its padding."""
    return size[0] + around[0] + around[1], size[1] + around[2] + around[3]


def joined(first: Sides, second: Sides) -> Sides:
    """Return the sum of two paddings, one around the other."""
    return (
        first[0] + second[0],
        first[1] + second[1],
        first[2] + second[2],
        first[3] + second[3],
    )


def is_integer(reader: Reader, proto: onnx.NodeProto) -> bool:
    """Return whether the first input of a node is a quantised tensor as it is, in integers."""
    name = proto.input[0]
    around = reader.padded.get(name)
    if around is not None:
        return around.integers
    return name in reader.integer_names


def pad(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    """Note zeros around an image, for the convolution or pool behind it."""
    found = attributes(proto)
    source, (_, height, width) = reader.image(proto, padded=True, moved=True)
    layout = reader.layout(proto)
    mode = found.get("mode", b"constant").decode()
    if mode != "constant":
        raise UnsupportedError(f"only zeros can be put around an image, not mode {mode}")
    amounts, fill = reader.constant(proto, 1), reader.constant(proto, 2)
    axes = reader.constant(proto, 3)
    chosen = [0, 1, 2, 3] if axes is None else [int(axis) % 4 for axis in axes.reshape(-1)]
    if amounts is None or amounts.size != 2 * len(chosen) or len(set(chosen)) != len(chosen):
        raise UnsupportedError("must have a constant number of zeros for both ends of each axis")
    ends = [(0, 0)] * 4
    for place, axis in enumerate(chosen):
        here = axis if layout is None or axis == 0 else 1 + layout.axes[axis - 1]
        ends[here] = (
            int(amounts.reshape(-1)[place]),
            int(amounts.reshape(-1)[place + len(chosen)]),
        )
    if any(ends[0]) or any(ends[1]):
        raise UnsupportedError("adds images or channels; only height and width can be padded")
    if min(min(pair) for pair in ends) < 0:
        raise UnsupportedError("cuts pixels off, which is not supported; it can only add zeros")
    scale = reader.scales.get(source)
    whole = scale is not None and is_integer(reader, proto)
    zero = scale.zero_point if whole and scale is not None else 0
    value = 0 if fill is None else fill.reshape(-1)[0] if fill.size == 1 else None
    if value != zero:
        raise UnsupportedError(
            f"must fill with {'the zero point ' if whole else ''}{zero}, not {value}: a "
            "convolution's padding is the real value 0"
        )
    around = joined(reader.padding(proto), (*ends[2], *ends[3]))
    if max(padded_size((height, width), around)) > LARGEST_SIDE:
        raise UnsupportedError(f"makes an image of more than {LARGEST_SIDE:,} pixels a side")
    reader.rename(proto, source, layout)
    if any(around):
        reader.padded[proto.output[0]] = Padding(proto.name or name, around, whole)


def windows(
    found: dict, size: tuple[int, int], kernel: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int, int, int], tuple[int, int], tuple[int, int]]:
    """Return stride, padding (top, bottom, left, right), dilation and output size of a node.

    Raises
    ------
    UnsupportedError
        If the attributes make no sense, or the kernel does not fit.
    """
    stride = pair(found.get("strides"), 1, "strides")
    dilation = pair(found.get("dilations"), 1, "dilations")
    span = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    auto = found.get("auto_pad", b"NOTSET").decode()
    pads: list[int] = list(found.get("pads") or (0, 0, 0, 0))
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        for axis in range(2):
            outputs = -(-size[axis] // stride[axis])
            total = max((outputs - 1) * stride[axis] + span[axis] - size[axis], 0)
            first = total // 2 if auto == "SAME_UPPER" else total - total // 2
            pads[axis], pads[axis + 2] = first, total - first
    elif auto not in ("NOTSET", "VALID"):
        raise UnsupportedError(f"auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER: {auto}")
    if len(pads) != 4 or min(pads) < 0:
        raise UnsupportedError(f"its pads must be four numbers of at least 0, not {pads}")
    if max(padded_size(size, (pads[0], pads[2], pads[1], pads[3]))) > LARGEST_SIDE:
        raise UnsupportedError(
            f"its pads {pads} make an image of more than {LARGEST_SIDE:,} pixels a side"
        )
    room = [size[axis] + pads[axis] + pads[axis + 2] - span[axis] for axis in range(2)]
    if min(room) < 0:
        raise InvalidError(
            f"a kernel that spans {span[0]}x{span[1]} does not fit its input of {size[0]}x{size[1]}"
        )
    result = [room[axis] // stride[axis] + 1 for axis in range(2)]
    if found.get("ceil_mode"):
        for axis in range(2):
            wide = -(-room[axis] // stride[axis]) + 1
            # The last window must begin inside the image or its padding before it.
            if (wide - 1) * stride[axis] >= size[axis] + pads[axis]:
                wide -= 1
            pads[axis + 2] += max((wide - 1) * stride[axis] - room[axis], 0)
            result[axis] = wide
    return stride, (pads[0], pads[2], pads[1], pads[3]), dilation, (result[0], result[1])


def convolution(
    reader: Reader,
    proto: onnx.NodeProto,
    name: str,
    weight: np.ndarray,
    bias: np.ndarray | None,
    scale: np.ndarray | None = None,
) -> None:
    """Append a convolution with these weights."""
    source, (channels, height, width) = reader.image(proto, padded=True)
    found = attributes(proto)
    if weight.ndim != 4:
        raise UnsupportedError(f"only two-dimensional convolutions run, not {weight.ndim - 2}-D")
    outputs, inputs, *kernel = weight.shape
    groups = int(found.get("group", 1))
    around = reader.padding(proto)
    if groups < 1 or inputs * groups != channels or outputs % groups or min(weight.shape) < 1:
        raise InvalidError(
            f"weights of {weight.shape} in {groups} groups do not fit {channels} input channels"
        )
    count = copies(weight, scale)
    if scale is not None and count > 1:
        source = copied_image(reader, name, source, count)
        weight = shared(weight, scale, count)
    stride, padding, dilation, size = windows(
        found, padded_size((height, width), around), (kernel[0], kernel[1])
    )
    padding = joined(padding, around)
    node = Conv(
        name,
        (source,),
        proto.output[0],
        outputs,
        (kernel[0], kernel[1]),
        stride,
        padding,
        dilation,
        groups,
    )
    reader.weighted(proto, node, (outputs, *size), weight, bias, scale)


def linear(
    reader: Reader,
    proto: onnx.NodeProto,
    name: str,
    weight: np.ndarray,
    bias: np.ndarray | None,
    scale: np.ndarray | None = None,
) -> None:
    """Append a linear layer with weights of shape (features, inputs).

    Behind a vector in the file's order the weights are put into this network's; on an image whose
    channels the file has last it is a convolution.
    """
    source, layout = reader.source(proto, moved=True), reader.layout(proto)
    shape = reader.shapes[source]
    # A vector may have such an order, too, as an image of one pixel in the file.
    channels_last = layout is not None and layout.image is None and layout.axes[-1] == 0
    if channels_last and len(shape) == 3:
        if weight.ndim != 2 or weight.shape[1] != shape[0]:
            raise InvalidError(f"weights of {weight.shape} do not fit {shape[0]} channels")
        if scale is not None and (count := copies(weight, scale)) > 1:
            source = copied_image(reader, name, source, count)
            weight = shared(weight, scale, count)
        kernel = weight.reshape(*weight.shape, 1, 1)
        made = Conv(name, (source,), proto.output[0], len(weight), (1, 1))
        size = (len(weight), *shape[1:])
        reader.weighted(proto, made, size, kernel, bias, scale, layout)
        return
    if len(shape) != 1:
        raise UnsupportedError(f"its input must be a vector, not {shape}; flatten it before")
    if weight.ndim != 2 or weight.shape[1] != shape[0]:
        raise InvalidError(f"weights of {weight.shape} do not fit {shape[0]} inputs")
    if layout is not None and not channels_last:
        weight = layout.into(weight)
    if scale is not None and (count := copies(weight, scale)) > 1:
        source, pixels = copied_vector(reader, name, source, count)
        parts = weight.reshape(len(weight), -1, pixels)
        weight = shared(parts, scale, count).reshape(len(weight), -1)
    node = Linear(name, (source,), proto.output[0], len(weight))
    kept = layout if channels_last else None
    reader.weighted(proto, node, (len(weight),), weight, bias, scale, kept)


def weight_scale(reader: Reader, proto: onnx.NodeProto, index: int, axis: int) -> np.ndarray | None:
    """Return the scale of each output channel if the weights were quantised before."""
    made = reader.quantized.get(proto.input[index])
    weight = reader.constants[proto.input[index]]
    if made is None or weight.ndim < 2:
        return None
    if made.scale.size > 1 and made.axis % weight.ndim != axis:
        raise UnsupportedError("its weights must be quantised per tensor or per output channel")
    return np.broadcast_to(made.scale.reshape(-1), (weight.shape[axis],)).astype(np.float64)
