"""Parts of tensors: Slice, Split, and Reshapes and Transposes that reorder channels."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx

from systolith_host.frontend.layers import attributes, is_integer
from systolith_host.frontend.layout import Factored, Layout
from systolith_host.frontend.problems import UnsupportedError
from systolith_host.frontend.reader import Reader
from systolith_host.network.graph import Add, Clip, Flatten, Function, Relu, Take

__all__ = ["factor", "reorder", "slice_part", "split", "unfactor"]

Shape = tuple[int, ...]


def slice_part(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    """Append the part of a tensor that a Slice chooses."""
    source, layout, sizes = _source(reader, proto)
    starts, ends = (_numbers(reader, proto, index) for index in (1, 2))
    if starts is None or ends is None:
        raise UnsupportedError("must have its starts and ends")
    axes = _numbers(reader, proto, 3) or list(range(len(starts)))
    steps = _numbers(reader, proto, 4) or [1] * len(starts)
    chosen = [range(size) for size in sizes]
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if not -len(sizes) <= axis < len(sizes):
            raise UnsupportedError(f"its axis {axis} is none of Nx{sizes[1:]}")
        chosen[axis] = range(sizes[axis])[start:end:step]
    if chosen[0] != range(1):
        raise UnsupportedError("must keep the images")
    _take(reader, proto, 0, name, source, layout, chosen[1:])


def split(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    """Append the parts of a tensor that a Split makes."""
    source, layout, sizes = _source(reader, proto)
    axis = int(attributes(proto).get("axis", 0))
    if not -len(sizes) <= axis < len(sizes) or axis % len(sizes) == 0:
        raise UnsupportedError(f"its axis {axis} must be one of Nx{sizes[1:]}, not the images")
    size, count = sizes[axis], len(proto.output)
    each = -(-size // count)
    parts = _numbers(reader, proto, 1) or [min(each, size - at * each) for at in range(count)]
    if len(parts) != count or sum(parts) != size or min(parts) < 1:
        raise UnsupportedError(f"cannot make parts of {parts} of {size}")
    first = 0
    for number, part in enumerate(parts):
        chosen = [range(size) for size in sizes[1:]]
        chosen[axis % len(sizes) - 1] = range(first, first + part)
        title = name if number == 0 else f"{name}.{number}"
        if proto.output[number]:
            _take(reader, proto, number, title, source, layout, chosen)
        first += part


def factor(reader: Reader, proto: onnx.NodeProto, wanted: Shape) -> bool:
    """Note a Reshape that takes channels apart, for the Transpose behind it; return whether."""
    source, layout = reader.source(proto, moved=True), reader.layout(proto)
    shape = reader.shapes[source]
    apart = len(wanted) - 2
    if layout is not None or len(shape) != 3 or apart < 2:
        return False
    if wanted[apart:] != shape[1:] or math.prod(wanted[:apart]) != shape[0]:
        return False
    reader.call(proto.output[0], source, None)
    reader.factored[proto.output[0]] = Factored(
        wanted[:apart], tuple(range(apart)), is_integer(reader, proto)
    )
    return True


def reorder(reader: Reader, proto: onnx.NodeProto) -> None:
    """Take in a Transpose of channels that were taken apart."""
    factored = reader.factored[proto.input[0]]
    order = list(attributes(proto).get("perm") or ())
    rank, apart = len(factored.sizes) + 3, len(factored.sizes)
    if sorted(order) != list(range(rank)):
        raise UnsupportedError(f"perm must be an order of {rank} axes, not {order}")
    if order[0] != 0 or order[-2:] != [rank - 2, rank - 1]:
        raise UnsupportedError("mixes channels with images or pixels")
    axes = tuple(factored.order[axis - 1] for axis in order[1 : 1 + apart])
    source = reader.alias[proto.input[0]]
    reader.call(proto.output[0], source, None)
    reader.factored[proto.output[0]] = replace(factored, order=axes)


def unfactor(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    """Append the order of channels that a Reshape to an image, or its like, has made."""
    factored, source = reader.factored[proto.input[0]], reader.alias[proto.input[0]]
    shape = reader.shapes[source]
    values = reader.constant(proto, 1)
    dims = [] if values is None else [int(value) for value in values.reshape(-1)]
    if (
        len(dims) != 4
        or dims[0] not in (-1, 0, 1)
        or any(given not in (-1, size) for given, size in zip(dims[1:], shape, strict=True))
    ):
        raise UnsupportedError(f"to {dims} must put the channels of Nx{shape} together again")
    places = np.arange(shape[0]).reshape(factored.sizes)
    channels = places.transpose(factored.order).reshape(-1)
    chosen = [channels.tolist(), range(shape[1]), range(shape[2])]
    _append(reader, proto, 0, name, source, None, chosen, factored.integers)


def _source(reader: Reader, proto: onnx.NodeProto) -> tuple[str, Layout | None, Shape]:
    """Return a node's tensor, its layout, and its shape in the file with one image."""
    source, layout = reader.source(proto, moved=True), reader.layout(proto)
    if _flattened(reader, source) or (layout is not None and layout.image is not None):
        raise UnsupportedError("takes a part of a flattened image")
    return source, layout, (1, *reader.file_shape(proto))


def _flattened(reader: Reader, tensor: str) -> bool:
    """Return whether a tensor is a vector of an image's pixels, which stay an image here."""
    if len(reader.shapes[tensor]) == 3:
        return False
    makers = {node.output: node for node in reader.nodes}
    while len(reader.shapes[tensor]) == 1 and tensor in makers:
        node = makers[tensor]
        if not isinstance(node, Flatten | Relu | Clip | Function | Add):
            return False
        tensor = node.inputs[0]
    return len(reader.shapes[tensor]) == 3 and math.prod(reader.shapes[tensor][1:]) > 1


def _numbers(reader: Reader, proto: onnx.NodeProto, index: int) -> list[int] | None:
    values = reader.constant(proto, index)
    return None if values is None else [int(value) for value in values.reshape(-1)]


def _take(
    reader: Reader,
    proto: onnx.NodeProto,
    number: int,
    name: str,
    source: str,
    layout: Layout | None,
    chosen: Sequence[range],
) -> None:
    """Append what is chosen along the file's axes, or nothing if that is all of the tensor."""
    shape = reader.shapes[source]
    if len(chosen) != len(shape):
        raise UnsupportedError("takes a part of an image of other axes")
    here = list(chosen) if layout is None else [chosen[layout.axes.index(a)] for a in range(3)]
    if here == [range(size) for size in shape]:
        reader.call(proto.output[number], source, layout)
        return
    integers = is_integer(reader, proto)
    _append(reader, proto, number, name, source, layout, here, integers)


def _append(
    reader: Reader,
    proto: onnx.NodeProto,
    number: int,
    name: str,
    source: str,
    layout: Layout | None,
    chosen: Sequence[Sequence[int]],
    integers: bool,
) -> None:
    grid = [(0, 1, 1), (0, 1, 1)]
    for axis, pixels in enumerate(chosen[1:]):
        assert isinstance(pixels, range)
        if pixels.step < 0:
            raise UnsupportedError("turns an image round; steps of rows and columns are positive")
        grid[axis] = (pixels.start, pixels.stop, pixels.step)
    shape = tuple(len(each) for each in chosen)
    output = proto.output[number]
    node = Take(name, (source,), output, tuple(chosen[0]), grid[0], grid[1])
    reader.append(_direct(reader, node), shape)
    reader.call(output, output, layout)
    if integers:  # a part of integers has their scale
        reader.scales[output] = reader.scales[source]
        reader.hold_integers(output, output)


def _direct(reader: Reader, node: Take) -> Take:
    """Return a part of a part as one of the whole, so that it takes one pass, if any."""
    inner = next((each for each in reader.nodes if each.output == node.input), None)
    if not isinstance(inner, Take):
        return node
    if reader.scales.get(inner.output) != reader.scales.get(inner.input):
        return node  # rounded in between
    rows, columns = (
        range(*before)[slice(*after)]
        for before, after in ((inner.rows, node.rows), (inner.columns, node.columns))
    )
    return replace(
        node,
        inputs=inner.inputs,
        channels=tuple(inner.channels[channel] for channel in node.channels),
        rows=(rows.start, rows.stop, rows.step),
        columns=(columns.start, columns.stop, columns.step),
    )
