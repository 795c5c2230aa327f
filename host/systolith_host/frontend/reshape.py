"""What moves no values: other shapes, and other orders of the axes."""

import math

import onnx

from systolith_host.frontend.layers import attributes
from systolith_host.frontend.layout import laid_out, vector_layout
from systolith_host.frontend.moves import factor, reorder, unfactor
from systolith_host.frontend.problems import UnsupportedError
from systolith_host.frontend.reader import Reader
from systolith_host.network.graph import Flatten

__all__ = ["flatten", "reshape", "squeeze", "transpose"]

Shape = tuple[int, ...]


def flatten(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    """Append a Flatten."""
    shape = reader.file_shape(proto)
    if attributes(proto).get("axis", 1) not in (1, -len(shape)):
        raise UnsupportedError("must keep the images apart (axis 1)")
    _into(reader, proto, name, (math.prod(shape),))


def reshape(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    """Append a Reshape to a vector or the same shape, or one that moves sides of 1 or channels."""
    if proto.input[0] in reader.factored:
        unfactor(reader, proto, name)
        return
    shape = reader.file_shape(proto)
    count = math.prod(shape)
    values = reader.constant(proto, 1)
    assert values is not None
    dims = [int(value) for value in values.reshape(-1)]
    for index, value in enumerate(dims[1:], 1):
        if value == 0 and index <= len(shape) and not attributes(proto).get("allowzero"):
            dims[index] = shape[index - 1]
    rest = math.prod(dims[1:])
    if dims and dims[0] in (-1, 0, 1) and rest == count:
        _into(reader, proto, name, tuple(dims[1:]))
    elif dims and dims[0] in (0, 1) and dims.count(-1) == 1 and rest and count % rest == 0:
        wanted = tuple(count // -rest if value == -1 else value for value in dims[1:])
        _into(reader, proto, name, wanted)
    else:
        raise UnsupportedError(f"to {dims} mixes images or values of Nx{shape}")


def squeeze(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    """Append a Squeeze or Unsqueeze."""
    dims = [0, *reader.file_shape(proto)]  # 0 stands for the images
    given = reader.constant(proto, 1)
    axes = [int(axis) for axis in given.reshape(-1)] if given is not None else None
    if proto.op_type == "Unsqueeze":
        total = len(dims) + len(axes or ())
        places = sorted(axis % total for axis in axes or ())
        for place in places:
            dims.insert(place, 1)
    else:
        chosen = [i for i, side in enumerate(dims) if side == 1] if axes is None else axes
        places = sorted({axis % len(dims) for axis in chosen})
        if any(dims[place] != 1 for place in places):
            raise UnsupportedError(f"axes {places} of Nx{tuple(dims[1:])} are not all 1")
        dims = [side for i, side in enumerate(dims) if i not in places]
    if dims[0] != 0:
        raise UnsupportedError("must keep the images in front")
    _into(reader, proto, name, tuple(dims[1:]))


def _into(reader: Reader, proto: onnx.NodeProto, name: str, wanted: Shape) -> None:
    """Let the output have the input's values in the file's order, in another shape."""
    source, layout = reader.source(proto, moved=True), reader.layout(proto)
    shape, here = reader.shapes[source], reader.file_shape(proto)
    count = math.prod(shape)
    reader.inferred.setdefault(proto.output[0], wanted)
    if wanted == here:
        reader.keep(proto)
    elif wanted == (count,):
        node = Flatten(name, (source,), proto.output[0])
        reader.add(proto, node, wanted, vector_layout(layout, shape))
    elif len(shape) == len(wanted) == 3 and _without_ones(wanted) == _without_ones(here):
        axes = layout.axes if layout is not None else (0, 1, 2)
        long = [axis for axis, side in zip(axes, here, strict=True) if side != 1]
        ones = [axis for axis, side in zip(axes, here, strict=True) if side == 1]
        order = [ones.pop(0) if side == 1 else long.pop(0) for side in wanted]
        reader.rename(proto, source, laid_out(order))
    elif len(shape) == 1 and layout is None and sorted(wanted) == [1, 1, count]:
        image = reader.flattened(source)
        place = wanted.index(count)
        if image is not None:
            order = [1, 2]
            order.insert(place, 0)
            reader.rename(proto, image, laid_out(order))
        elif place == 0:
            reader.rename(proto, source)
        else:
            raise UnsupportedError("can only make a vector of an image; it asks for another shape")
    elif not factor(reader, proto, wanted):
        raise UnsupportedError("can only make a vector of an image; it asks for another shape")


def _without_ones(shape: Shape) -> list[int]:
    return [side for side in shape if side != 1]


def transpose(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    """Append a Transpose: the layers behind it take their weights in another order."""
    if proto.input[0] in reader.factored:
        reorder(reader, proto)
        return
    source, layout = reader.source(proto, padded=True, moved=True), reader.layout(proto)
    shape = (0, *reader.file_shape(proto))
    order = list(attributes(proto).get("perm") or reversed(range(len(shape))))
    if sorted(order) != list(range(len(shape))):
        raise UnsupportedError(f"perm must be an order of {len(shape)} axes, not {order}")
    if order[0] != 0:
        raise UnsupportedError(f"by {order} mixes the images of a batch")
    if len(shape) == 4:
        axes = layout.axes if layout is not None else (0, 1, 2)
        layout = laid_out([axes[place - 1] for place in order[1:]])
    reader.rename(proto, source, layout)
    if proto.input[0] in reader.padded:
        reader.padded[proto.output[0]] = reader.padded[proto.input[0]]
