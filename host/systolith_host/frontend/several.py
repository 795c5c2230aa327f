"""Files with several inputs, or with integers that only nodes of the host understand.

The network has one input, a row of all numbers of the file's inputs; nodes in front, which the host
computes, take it apart.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from systolith_host.errors import SystolithError
from systolith_host.frontend.entry import wants_channels_last
from systolith_host.frontend.integer_input import FLOATS, NUMBERS
from systolith_host.frontend.limits import LARGEST_ACTIVATION
from systolith_host.frontend.row import Entry, Row
from systolith_host.frontend.whole import Whole

__all__ = ["ROW", "take_apart"]

ROW = "systolith_inputs"
"""The name of the row."""

_CHANNELS, _IMAGES = (1, 3), 4
"""Of photographs, and the sides of an input of images."""


def take_apart(
    path: Path,
    graph: onnx.GraphProto,
    values: Sequence[onnx.ValueInfoProto],
    wholes: Mapping[str, Whole],
    constants: dict[str, np.ndarray],
    size: Sequence[int] | None,
) -> tuple[Row, int]:
    """Give a file one input, the row, and nodes in front that make its own inputs of it.

    Parameters
    ----------
    path : Path
    graph : GraphProto
        Is changed.
    values : sequence of ValueInfoProto
        Its inputs.
    wholes : mapping of str to Whole
        Of inputs that were of integers, and are of floats now.
    constants : dict of str to ndarray
        Gets the values of the nodes' constants.
    size : sequence of int, optional
        Of the main input for one image, as the user wants it.

    Returns
    -------
    row : Row
    int
        The number of nodes in front.

    Raises
    ------
    SystolithError
        If an input leaves its size open, is too large, or of something else than numbers.
    """
    for value in values:
        _check(path, value)
    main = _main(values)
    sides = values[main].type.tensor_type.shape.dim
    if len(sides) == _IMAGES and sides[0].dim_value > 1:
        raise SystolithError(
            f"{path}: input {values[main].name!r} is of {sides[0].dim_value} images at once; of "
            "several inputs each must be of one, or of an open number: save the file so"
        )
    sizes = {} if size is None else _sized(path, values[main], size)
    entries = []
    for number, value in enumerate(values):
        given = size if number == main else None
        shape = _shape(path, value, sizes) if given is None else (1, *given)
        kind = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name
        whole = wholes.get(value.name)
        if value.type.tensor_type.elem_type not in FLOATS:
            whole = Whole(kind)
        entries.append(Entry(value.name, shape, whole.type if whole else kind, whole))
    total = sum(entry.size for entry in entries)
    if total > LARGEST_ACTIVATION:
        raise SystolithError(
            f"{path}: its inputs have {total:,} numbers, the limit is {LARGEST_ACTIVATION:,}"
        )
    own: tuple[int, ...] = entries[main].shape[1:] if len(entries[main].shape) in (2, 4) else ()
    last = wants_channels_last(graph, values[main].name, own, constants)
    image = tuple(np.roll(own, 1).tolist()) if last else own
    row = Row(tuple(entries), main, image or (entries[main].size,), last)
    nodes = _nodes(entries, values, constants, graph)
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *rest])
    for value in values:
        graph.input.remove(value)
    graph.input.append(helper.make_tensor_value_info(ROW, TensorProto.FLOAT, (1, total)))
    return row, len(nodes)


def _check(path: Path, value: onnx.ValueInfoProto) -> None:
    """Refuse an input of something else than numbers, or without a shape."""
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type") or kind.elem_type not in NUMBERS:
        raise SystolithError(
            f"{path}: input {value.name!r} must be of floats, or of integers of 8 to 64 bits, not "
            f"{TensorProto.DataType.Name(kind.elem_type).lower()}"
        )
    if not kind.HasField("shape"):
        raise SystolithError(f"{path}: input {value.name!r} has no shape; save it with one")


def _main(values: Sequence[onnx.ValueInfoProto]) -> int:
    """Return the number of the first input of images, or 0."""
    for number, value in enumerate(values):
        sides = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        if len(sides) == _IMAGES and (sides[1] in _CHANNELS or sides[3] in _CHANNELS):
            return number
    return 0


def _sized(path: Path, value: onnx.ValueInfoProto, size: Sequence[int]) -> dict[str, int]:
    """Return the sizes that a file's names of sides get where the user gives the main input's."""
    dims = value.type.tensor_type.shape.dim
    if len(dims) != 1 + len(size):
        raise SystolithError(
            f"{path}: input {value.name!r} has {len(dims)} sides; --shape "
            f"1x{'x'.join(map(str, size))} has another number of them"
        )
    return {dim.dim_param: side for dim, side in zip(dims[1:], size, strict=True) if dim.dim_param}


def _shape(path: Path, value: onnx.ValueInfoProto, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """Return an input's shape for one image, with a side of 1 for the images if it has one."""
    kind = value.type.tensor_type
    sides = [
        dim.dim_value if dim.HasField("dim_value") else sizes.get(dim.dim_param)
        for dim in kind.shape.dim
    ]
    text = "x".join("?" if side is None else str(side) for side in sides)
    whole = [1 if number == 0 and side is None else side for number, side in enumerate(sides)]
    made = tuple(side for side in whole if side is not None)
    if len(made) < len(whole):
        raise SystolithError(
            f"{path}: input {value.name!r} leaves its size open ({text}): give the main input's "
            "with --shape, if the sides of both have the same names in the file, or save it with "
            "this one's size"
        )
    if min(made, default=1) < 1 or math.prod(made) > LARGEST_ACTIVATION:
        raise SystolithError(
            f"{path}: input {value.name!r} of {text} must have from 1 to {LARGEST_ACTIVATION:,} "
            "numbers"
        )
    return made


def _nodes(
    entries: Sequence[Entry],
    values: Sequence[onnx.ValueInfoProto],
    constants: dict[str, np.ndarray],
    graph: onnx.GraphProto,
) -> list[onnx.NodeProto]:
    """Return the nodes that make each input of the row."""
    made: dict[str, np.ndarray] = {f"{ROW}_axis": np.array([1])}
    nodes, first = [], 0
    for number, (entry, value) in enumerate(zip(entries, values, strict=True)):
        begin, end, shape = (f"{ROW}_{number}_{what}" for what in ("begin", "end", "shape"))
        made |= {begin: np.array([first]), end: np.array([first + entry.size])}
        made[shape] = np.array(entry.shape, np.int64)
        first += entry.size
        kind = value.type.tensor_type.elem_type
        piece, shaped = f"{ROW}_{number}", f"{ROW}_{number}_shaped"
        last = entry.name if kind == TensorProto.FLOAT else shaped
        nodes.append(helper.make_node("Slice", [ROW, begin, end, f"{ROW}_axis"], [piece]))
        nodes.append(helper.make_node("Reshape", [piece, shape], [last], entry.name))
        if last != entry.name:
            title = f"{entry.name}_{entry.type}"
            nodes.append(helper.make_node("Cast", [last], [entry.name], title, to=kind))
    constants |= made
    graph.initializer.extend(numpy_helper.from_array(v, n) for n, v in made.items())
    return nodes
