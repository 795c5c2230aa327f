"""The input of an ONNX file: its type, and its shape where the file leaves it open."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto

from systolith_host.errors import SystolithError
from systolith_host.frontend.integer_input import FLOATS
from systolith_host.frontend.limits import LARGEST_ACTIVATION, LARGEST_SIDE

__all__ = ["input_shape", "set_shape", "wants_channels_last"]

_ELEMENTWISE = frozenset(
    "Add Cast Clip DequantizeLinear Div Dropout Identity Mul Pad QuantizeLinear Relu Sub".split()
)
"""Operators that images with their channels last pass on the way to their Transpose."""

_CHANNELS = (1, 3)
"""Of gray and coloured images."""


def input_shape(
    path: Path, value: onnx.ValueInfoProto, size: Sequence[int] | None = None
) -> tuple[int, ...]:
    """Return the input's shape for one image, in the file's order of axes.

    Parameters
    ----------
    path : Path
    value : ValueInfoProto
        The input.
    size : sequence of int, optional
        That shape as the user wants it.

    Raises
    ------
    SystolithError
        If it is no input of images or vectors, too large, or open and not given.
    """
    kind = value.type.tensor_type
    if kind.elem_type not in FLOATS:
        raise SystolithError(
            f"{path}: input {value.name!r} must be of floats, not "
            f"{TensorProto.DataType.Name(kind.elem_type).lower()}, or of integers whose first "
            "nodes are Cast to floats or DequantizeLinear, which say what they stand for"
        )
    dims = [dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim]
    text = "x".join("?" if side is None else str(side) for side in dims) or "unknown shape"
    batch = dims[0] if dims else None
    if batch is not None and batch < 1:
        raise SystolithError(f"{path}: input {value.name!r} must be of at least one image: {text}")
    if size is None:
        sides = [side for side in dims[1:] if side is not None]
        if len(dims) not in (2, 4) or min(sides, default=1) < 1:
            raise SystolithError(
                f"{path}: input {value.name!r} must be images (Nx3x224x224) or vectors, not {text}"
            )
        if len(sides) < len(dims) - 1:
            example = "x".join(["1", *("224" if side is None else str(side) for side in dims[1:])])
            raise SystolithError(
                f"{path}: input {value.name!r} leaves its size open ({text}): give one with "
                f"--shape, e.g. --shape {example} (input_shape in Python)"
            )
    else:
        sides = list(size)
        if kind.HasField("shape") and len(dims) != 1 + len(sides):
            raise SystolithError(
                f"{path}: input {value.name!r} is {text}; --shape 1x{'x'.join(map(str, sides))} "
                "has another number of sides"
            )
    if max(sides) > LARGEST_SIDE or math.prod(sides) > LARGEST_ACTIVATION:
        text = "x".join([text.split("x")[0], *map(str, sides)])
        raise SystolithError(
            f"{path}: input {value.name!r} of {text} is too large: at most "
            f"{LARGEST_ACTIVATION:,} elements, {LARGEST_SIDE:,} a side"
        )
    return tuple(sides)


def set_shape(value: onnx.ValueInfoProto, shape: Sequence[int]) -> None:
    """Give an input a shape, all images included."""
    dims = value.type.tensor_type.shape.dim
    del dims[:]
    for side in shape:
        dims.add(dim_value=side)


def wants_channels_last(
    graph: onnx.GraphProto, name: str, shape: tuple[int, ...], constants: Mapping[str, np.ndarray]
) -> bool:
    """Return whether a file has its images as (N, height, width, channels).

    It does if the first thing that happens to them is a Transpose to channels first; or, where
    nothing says so, if only their last side is a number of channels.

    Parameters
    ----------
    graph : GraphProto
    name : str
        Of the input.
    shape : tuple of int
        Its own for one image.
    constants : mapping of str to ndarray
    """
    if len(shape) != 3:
        return False
    reached, said = {name}, []
    for node in graph.node:
        if reached.isdisjoint(node.input):
            continue
        if node.op_type in _ELEMENTWISE:
            reached.update(node.output)
        else:
            said.append(_says_last(node, shape, constants))
    if None in said and True not in said and False not in said:
        return shape[2] in _CHANNELS and shape[0] not in _CHANNELS
    return True in said and False not in said


def _says_last(
    node: onnx.NodeProto, shape: tuple[int, ...], constants: Mapping[str, np.ndarray]
) -> bool | None:
    """Return what the first node on images says of their layout; None for nothing."""
    if node.op_type == "Transpose":
        orders = [list(entry.ints) for entry in node.attribute if entry.name == "perm"]
        return orders == [[0, 3, 1, 2]]
    if node.op_type == "Reshape" and node.input[1] in constants:
        wanted = constants[node.input[1]].reshape(-1).tolist()
        if len(wanted) == 4 and shape[2] == 1:  # of one channel, which need not be moved
            return wanted[1] == 1 and wanted[2:] == list(shape[:2])
    return None if node.op_type in ("Flatten", "MatMul", "ReduceMean", "Reshape") else False
