"""Operators that spread pixels: ConvTranspose, Resize, DepthToSpace, and joints of images."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import onnx

from systolith_host.frontend.layers import attributes, is_integer, pair, weight_scale
from systolith_host.frontend.layout import Layout
from systolith_host.frontend.problems import InvalidError, UnsupportedError
from systolith_host.frontend.reader import Reader
from systolith_host.frontend.wide import copies
from systolith_host.network.graph import Concat, Conv, Mosaic, Take
from systolith_host.network.mosaic import Grid

__all__ = ["conv_transpose", "depth_to_space", "join_sides", "resize", "space_to_depth"]

_MOST_PIECES = 64
"""Of a mosaic: each takes a pass of its own."""

_LARGEST_FACTOR = 64
"""By which a Resize repeats rows or pixels."""


class _Phase(NamedTuple):
    """The outputs of a transposed convolution along an axis that are `stride` apart.

    They are a convolution: `taps` of the kernel, None for zeros, `dilation` apart.
    """

    taps: list[int | None]
    dilation: int
    before: int
    after: int
    outputs: int


def conv_transpose(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    """Append a transposed convolution: one convolution for each phase of its stride."""
    weight, bias = reader.constant(proto, 1), reader.constant(proto, 2)
    source, (channels, height, width) = reader.image(proto)
    if weight is None or weight.ndim != 4:
        raise UnsupportedError("must have constant weights of two dimensions")
    found = attributes(proto)
    inputs, each, *kernel = weight.shape
    groups = int(found.get("group", 1))
    if groups < 1 or inputs != channels or inputs % groups or min(weight.shape) < 1:
        raise InvalidError(
            f"weights of {weight.shape} in {groups} groups do not fit {channels} input channels"
        )
    scale = weight_scale(reader, proto, 1, 1)
    if scale is not None:
        scale = np.tile(scale, groups)
    elif reader.scales:
        raise UnsupportedError("has weights in floats among quantised layers")
    outputs = each * groups
    turned = weight.reshape(groups, inputs // groups, each, *kernel).swapaxes(1, 2)
    turned = turned.reshape(outputs, inputs // groups, *kernel)
    if copies(turned, scale) > 1:
        raise UnsupportedError("its quantised weights are beyond 8 bits with a sign")
    stride, begins, dilation, size = _spread(found, (height, width), (kernel[0], kernel[1]))
    if math.prod(stride) > _MOST_PIECES:
        raise UnsupportedError(
            f"its strides {stride} take {math.prod(stride):,} convolutions; at most "
            f"{_MOST_PIECES} run here"
        )
    phases = [
        [
            _phase(side, stride[axis], begins[axis], kernel[axis], dilation[axis], end, first)
            for first in range(min(stride[axis], end))
        ]
        for axis, (side, end) in enumerate(zip((height, width), size, strict=True))
    ]
    alone = len(phases[0]) == len(phases[1]) == 1
    pieces, grids = [], []
    for row, down in enumerate(phases[0]):
        for column, across in enumerate(phases[1]):
            number = len(pieces)
            output = proto.output[0] if alone else f"{proto.output[0]}.phase{number}"
            node = Conv(
                name if alone else f"{name}.phase{number}",
                (source,),
                output,
                outputs,
                (len(down.taps), len(across.taps)),
                (1, 1),
                (down.before, down.after, across.before, across.after),
                (down.dilation, across.dilation),
                groups,
            )
            shape = (outputs, down.outputs, across.outputs)
            reader.weighted(proto, node, shape, _taps(turned, down, across), bias, scale)
            pieces.append(output)
            grids.append(Grid(row, stride[0], column, stride[1]))
    if not alone:
        made = Mosaic(name, tuple(pieces), proto.output[0], tuple(grids))
        reader.add(proto, made, (outputs, *size))


def _spread(
    found: dict, size: tuple[int, int], kernel: tuple[int, int]
) -> tuple[tuple[int, int], list[int], tuple[int, int], tuple[int, int]]:
    """Return stride, padding before, dilation and output size of a transposed convolution."""
    stride = pair(found.get("strides"), 1, "strides")
    dilation = pair(found.get("dilations"), 1, "dilations")
    auto = found.get("auto_pad", b"NOTSET").decode()
    extra = list(found.get("output_padding") or (0, 0))
    pads: list[int] = list(found.get("pads") or (0, 0, 0, 0))
    wanted = found.get("output_shape")
    if wanted is None and auto in ("SAME_UPPER", "SAME_LOWER"):
        wanted = [side * step for side, step in zip(size, stride, strict=True)]
    elif auto not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise UnsupportedError(f"auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER: {auto}")
    if len(pads) != 4 or len(extra) != 2 or min(*pads, *extra) < 0:
        raise UnsupportedError(f"its pads {pads} and output_padding {extra} must not be below 0")
    full = [
        step * (side - 1) + more + gap * (taps - 1) + 1
        for step, side, more, gap, taps in zip(stride, size, extra, dilation, kernel, strict=True)
    ]
    if auto == "VALID":
        pads = [0, 0, 0, 0]
    if wanted is not None:
        for axis, end in enumerate(list(wanted)[-2:]):
            total = full[axis] - int(end)
            if total < 0:
                raise UnsupportedError(
                    f"its output of {list(wanted)} is beyond what its kernel reaches"
                )
            first = total // 2 if auto == "SAME_UPPER" else total - total // 2
            pads[axis], pads[axis + 2] = first, total - first
    result = [full[axis] - pads[axis] - pads[axis + 2] for axis in range(2)]
    if min(result) < 1:
        raise InvalidError(f"its pads {pads} leave nothing of its output")
    return stride, pads[:2], dilation, (result[0], result[1])


def _phase(
    size: int, stride: int, begin: int, kernel: int, dilation: int, end: int, first: int
) -> _Phase:
    """Return outputs first, first + stride, ... of `end` as a convolution of the input.

    Output o takes tap k of input i where o = i * stride + k * dilation - begin.
    """
    found = [
        ((first + begin - tap * dilation) // stride, tap)
        for tap in reversed(range(kernel))
        if (first + begin - tap * dilation) % stride == 0
    ]
    offsets = [offset for offset, _ in found] or [0]
    taps: list[int | None] = [tap for _, tap in found] or [None]
    gap = offsets[1] - offsets[0] if len(offsets) > 1 else 1
    count = len(range(first, end, stride))
    low, high = offsets[0], offsets[-1]
    while low > 0:  # no padding is below zero: taps of zero reach back
        low -= gap
        taps.insert(0, None)
    while count - 1 + high < size - 1:
        high += gap
        taps.append(None)
    return _Phase(taps, gap, -low, count - 1 + high - (size - 1), count)


def _taps(weight: np.ndarray, down: _Phase, across: _Phase) -> np.ndarray:
    """Return the weights of a phase, shape (K, C / groups, R, S)."""
    chosen = weight
    for axis, phase in ((2, down), (3, across)):
        taken = chosen.take([tap or 0 for tap in phase.taps], axis)
        live = np.array([tap is not None for tap in phase.taps])
        shape = [1, 1, 1, 1]
        shape[axis] = len(live)
        chosen = taken * live.reshape(shape).astype(weight.dtype)
    return chosen


def resize(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    """Append a Resize that repeats every row and pixel, or takes some of them."""
    source, shape = reader.image(proto, moved=True)
    layout = reader.layout(proto)
    maps = _source_pixels(reader, proto, shape, layout)
    factors = [-(-len(pixels) // side) for pixels, side in zip(maps, shape[1:], strict=True)]
    plain = all(
        pixels == [place // factor for place in range(side * factor)]
        for pixels, side, factor in zip(maps, shape[1:], factors, strict=True)
    )
    if factors == [1, 1] and plain:
        reader.keep(proto)
        return
    output = proto.output[0]
    size = (shape[0], *map(len, maps))
    if plain and max(factors) <= _LARGEST_FACTOR:
        grids = [
            Grid(row, factors[0], column, factors[1])
            for row in range(factors[0])
            for column in range(factors[1])
        ]
        reader.add(proto, Mosaic(name, (source,) * len(grids), output, tuple(grids)), size, layout)
    else:
        rows, columns = (_even(pixels) for pixels in maps)
        node = Take(name, (source,), output, tuple(range(shape[0])), rows, columns)
        reader.add(proto, node, size, layout)
    _keep_integers(reader, proto, source)


def _even(pixels: Sequence[int]) -> tuple[int, int, int]:
    step = pixels[1] - pixels[0] if len(pixels) > 1 else 1
    if step < 1 or list(pixels) != list(range(pixels[0], pixels[0] + len(pixels) * step, step)):
        raise UnsupportedError(
            "only a Resize that repeats every pixel equally, or takes every n-th one, runs here"
        )
    return pixels[0], pixels[-1] + 1, step


def _source_pixels(
    reader: Reader, proto: onnx.NodeProto, shape: tuple[int, int, int], layout: Layout | None
) -> list[list[int]]:
    """Return the row of the input that each row of the output is, and the columns likewise."""
    found = attributes(proto)

    def text(attribute: str, default: bytes) -> str:
        return found.get(attribute, default).decode()

    mode = text("mode", b"nearest")
    if mode != "nearest":
        raise UnsupportedError(f"only mode nearest runs here, not {mode}")
    if text("keep_aspect_ratio_policy", b"stretch") != "stretch":
        raise UnsupportedError("keeps its aspect ratio; give its sizes in full")
    order = (0, *(1 + axis for axis in (layout.axes if layout is not None else (0, 1, 2))))
    axes = [order[int(axis) % 4] for axis in found.get("axes") or range(4)]
    scales, sizes = (reader.constant(proto, index) for index in (2, 3))
    given = sizes if sizes is not None and sizes.size else scales
    if given is None or given.size != len(axes):
        raise UnsupportedError("must have constant scales or sizes, one for each axis")
    whole = (1, *shape)
    lengths, steps = list(whole), [Fraction(1)] * 4
    for axis, value in zip(axes, given.reshape(-1).tolist(), strict=True):
        if given is sizes:
            lengths[axis], steps[axis] = int(value), Fraction(int(value), whole[axis])
        elif not math.isfinite(value) or value <= 0:
            raise InvalidError(f"its scales must be positive, not {value}")
        else:
            steps[axis] = Fraction(value)
            lengths[axis] = math.floor(steps[axis] * whole[axis])
    if lengths[:2] != list(whole[:2]) or min(lengths) < 1:
        raise UnsupportedError("changes the images or channels; only height and width resize")
    coordinates = text("coordinate_transformation_mode", b"half_pixel")
    nearest = text("nearest_mode", b"round_prefer_floor")
    return [
        [
            min(max(_nearest(_place(o, step, side, end, coordinates), nearest), 0), side - 1)
            for o in range(end)
        ]
        for step, side, end in zip(steps[2:], whole[2:], lengths[2:], strict=True)
    ]


def _place(output: int, step: Fraction, side: int, end: int, mode: str) -> Fraction:
    """Return the place in the input of a pixel of the output."""
    half = Fraction(1, 2)
    if mode == "asymmetric":
        return output / step
    if mode == "align_corners":
        return Fraction(output * (side - 1), end - 1) if end > 1 else Fraction(0)
    if mode == "tf_half_pixel_for_nn":
        return (output + half) / step
    if mode == "pytorch_half_pixel" and end == 1:
        return Fraction(0)
    if mode == "half_pixel_symmetric":
        shift = Fraction(side, 2) * (1 - Fraction(end) / (step * side))
        return shift + (output + half) / step - half
    if mode in ("half_pixel", "pytorch_half_pixel"):
        return (output + half) / step - half
    raise UnsupportedError(f"its coordinates by {mode} do not run here")


def _nearest(place: Fraction, mode: str) -> int:
    if mode == "floor":
        return math.floor(place)
    if mode == "ceil":
        return math.ceil(place)
    half = Fraction(1, 2)
    return math.ceil(place - half) if mode == "round_prefer_floor" else math.floor(place + half)


def _keep_integers(reader: Reader, proto: onnx.NodeProto, source: str) -> None:
    """Give values moved as integers the scale of their source."""
    if is_integer(reader, proto):
        output = proto.output[0]
        reader.scales[output] = reader.scales[reader.root(source)]
        reader.hold_integers(output, output)


def depth_to_space(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    """Append a DepthToSpace: parts of the channels, each on its grid of pixels."""
    source, (channels, height, width) = reader.image(proto)
    found = attributes(proto)
    size = int(found.get("blocksize", 0))
    mode = found.get("mode", b"DCR").decode()
    if size < 1 or channels % size**2 or mode not in ("DCR", "CRD"):
        raise InvalidError(f"blocks of {size} by {mode} do not fit {channels} channels")
    if size**2 > _MOST_PIECES:
        raise UnsupportedError(
            f"its blocks of {size} take {size**2} passes, at most {_MOST_PIECES}"
        )
    if size == 1:
        reader.keep(proto)
        return
    each = channels // size**2
    places = np.arange(channels)
    places = places.reshape(-1, each) if mode == "DCR" else places.reshape(each, -1).T
    pieces, grids = [], []
    for number, chosen in enumerate(places.tolist()):
        part = f"{proto.output[0]}.phase{number}"
        grid = ((0, height, 1), (0, width, 1))
        node = Take(f"{name}.phase{number}", (source,), part, tuple(chosen), *grid)
        reader.append(node, (each, height, width))
        if is_integer(reader, proto):
            reader.scales[part] = reader.scales[reader.root(source)]
        pieces.append(part)
        grids.append(Grid(number // size, size, number % size, size))
    made = Mosaic(name, tuple(pieces), proto.output[0], tuple(grids))
    reader.add(proto, made, (each, height * size, width * size))
    _keep_integers(reader, proto, source)


def space_to_depth(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    """Append a SpaceToDepth: grids of the pixels, one after the other as channels."""
    source, (channels, height, width) = reader.image(proto)
    found = attributes(proto)
    size = int(found.get("blocksize", 0))
    mode = found.get("mode", b"DCR").decode()
    if mode != "DCR":
        raise UnsupportedError(f"only blocks in front of the channels (DCR) run here, not {mode}")
    if size < 1 or height % size or width % size:
        raise InvalidError(f"blocks of {size} do not fit an image of {height}x{width}")
    if size**2 > _MOST_PIECES:
        raise UnsupportedError(
            f"its blocks of {size} take {size**2} passes, at most {_MOST_PIECES}"
        )
    if size == 1:
        reader.keep(proto)
        return
    pieces = []
    for number in range(size**2):
        part = f"{proto.output[0]}.phase{number}"
        row, column = divmod(number, size)
        grid = ((row, height, size), (column, width, size))
        node = Take(f"{name}.phase{number}", (source,), part, tuple(range(channels)), *grid)
        reader.append(node, (channels, height // size, width // size))
        if is_integer(reader, proto):
            reader.scales[part] = reader.scales[reader.root(source)]
        pieces.append(part)
    made = Concat(name, tuple(pieces), proto.output[0])
    reader.add(proto, made, (channels * size**2, height // size, width // size))
    _keep_integers(reader, proto, source)


def join_sides(
    reader: Reader,
    proto: onnx.NodeProto,
    name: str,
    sources: Sequence[str],
    axis: int,
    layout: Layout | None = None,
) -> None:
    """Append images side by side: one below the other along axis 1, beside it along axis 2."""
    shapes = [reader.shapes[source] for source in sources]
    ends = np.cumsum([shape[axis] for shape in shapes]).tolist()
    grids = [
        Grid(first, 1, 0, 1) if axis == 1 else Grid(0, 1, first, 1) for first in (0, *ends[:-1])
    ]
    size = list(shapes[0])
    size[axis] = ends[-1]
    made = Mosaic(name, tuple(sources), proto.output[0], tuple(grids))
    reader.add(proto, made, tuple(size), layout)
