"""Convolutions and linear layers of ONNX: geometry and weights, in floats or integers."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper

from systolith_host.model.graph import Conv, Linear
from systolith_host.model.reader import Reader, UnsupportedError

__all__ = ["attributes", "convolution", "linear", "pair", "windows"]


def attributes(proto: onnx.NodeProto) -> dict:
    """Return the attributes of a node as Python values."""
    return {entry.name: helper.get_attribute_value(entry) for entry in proto.attribute}


def pair(values: Sequence[int] | None, default: int, what: str) -> tuple[int, int]:
    """Return an attribute of two positive numbers, both `default` if it is not given."""
    numbers = list(values) if values is not None else [default, default]
    if len(numbers) != 2 or min(numbers) < 1:
        raise UnsupportedError(f"its {what} must be two positive numbers, not {numbers}")
    return int(numbers[0]), int(numbers[1])


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
    room = [size[axis] + pads[axis] + pads[axis + 2] - span[axis] for axis in range(2)]
    if min(room) < 0:
        raise UnsupportedError(
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
    source, (channels, height, width) = reader.image(proto)
    found = attributes(proto)
    if weight.ndim != 4:
        raise UnsupportedError(f"only two-dimensional convolutions run, not {weight.ndim - 2}-D")
    outputs, inputs, *kernel = weight.shape
    groups = int(found.get("group", 1))
    if groups < 1 or inputs * groups != channels or outputs % groups or min(weight.shape) < 1:
        raise UnsupportedError(
            f"weights of {weight.shape} in {groups} groups do not fit {channels} input channels"
        )
    stride, padding, dilation, size = windows(found, (height, width), (kernel[0], kernel[1]))
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
    """Append a linear layer with weights of shape (features, inputs)."""
    source = reader.source(proto)
    shape = reader.shapes[source]
    if len(shape) != 1:
        raise UnsupportedError(f"its input must be a vector, not {shape}; flatten it before")
    if weight.ndim != 2 or weight.shape[1] != shape[0]:
        raise UnsupportedError(f"weights of {weight.shape} do not fit {shape[0]} inputs")
    node = Linear(name, (source,), proto.output[0], len(weight))
    reader.weighted(proto, node, (len(weight),), weight, bias, scale)
