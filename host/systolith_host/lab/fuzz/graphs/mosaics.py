"""Steps of random ONNX networks that spread pixels: what becomes of them are mosaics."""

from collections.abc import Callable

import numpy as np

from systolith_host.lab.fuzz.graphs.draft import OnnxDraft

__all__ = ["MOSAICS"]

_LARGEST = 12
"""Rows and columns of what is spread."""


def _small(net: OnnxDraft) -> tuple[str, tuple[int, ...]] | None:
    source = net.pick(3)
    return None if source is None or max(source[1][1:]) > _LARGEST else source


def _transposed(net: OnnxDraft) -> None:
    source = _small(net)
    if source is None:
        return
    rng = net.rng
    name, (channels, height, width) = source
    groups = rng.choice([g for g in range(1, channels + 1) if channels % g == 0])
    each = rng.randint(1, 4)
    kernel = (rng.randint(1, 4), rng.randint(1, 4))
    strides = [rng.randint(1, 3) for _ in kernel]
    extra = [rng.randrange(stride) for stride in strides]
    pads = [rng.randint(0, (side - 1) // 2) for side in (*kernel, *kernel)]
    size = [
        stride * (side - 1) + more + taps - pads[axis] - pads[axis + 2]
        for axis, (stride, side, more, taps) in enumerate(
            zip(strides, (height, width), extra, kernel, strict=True)
        )
    ]
    if min(size) < 1:
        return
    inputs = [name, net.weight(channels, each, *kernel)]
    found = {"strides": strides, "output_padding": extra, "pads": pads, "group": groups}
    output = net.node("ConvTranspose", inputs, **found)
    if rng.random() < 0.4:
        output = net.node("Relu", [output])
    net.add(output, (each * groups, *size))


def _repeated(net: OnnxDraft) -> None:
    source = _small(net)
    if source is None or net.opset < 11:
        return
    name, (channels, height, width) = source
    down, across = net.rng.choice([(2, 2), (1, 2), (3, 1), (2, 3)])
    scales = net.constant([1, 1, down, across], np.float32)
    found = net.rng.choice(
        [
            {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
            {"coordinate_transformation_mode": "half_pixel"},
        ]
    )
    empty = net.constant([], np.float32)
    output = net.node("Resize", [name, empty, scales], mode="nearest", **found)
    if net.rng.random() < 0.4:
        output = net.node("Relu", [output])
    net.add(output, (channels, height * down, width * across))


def _blocks(net: OnnxDraft) -> None:
    source = _small(net)
    if source is None:
        return
    name, (channels, height, width) = source
    if channels % 4 == 0 and net.opset >= 11:
        mode = net.rng.choice(["DCR", "CRD"])
        output = net.node("DepthToSpace", [name], blocksize=2, mode=mode)
        net.add(output, (channels // 4, 2 * height, 2 * width))
    elif height % 2 == width % 2 == 0:
        output = net.node("SpaceToDepth", [name], blocksize=2)
        net.add(output, (4 * channels, height // 2, width // 2))


def _joined(net: OnnxDraft) -> None:
    source = _small(net)
    if source is None:
        return
    name, (channels, height, width) = source
    axis = net.rng.choice([2, 3])
    alike = [
        other
        for other, shape in net.tensors
        if len(shape) == 3 and (shape[0], shape[4 - axis]) == (channels, (height, width)[3 - axis])
    ]
    parts = [name, *net.rng.choices(alike, k=net.rng.randint(1, 2))]
    shapes = dict(net.tensors)
    size = [channels, height, width]
    size[axis - 1] = sum(shapes[part][axis - 1] for part in parts)
    net.add(net.node("Concat", parts, axis=axis), tuple(size))


MOSAICS: tuple[tuple[float, Callable[[OnnxDraft], None]], ...] = (
    (0.6, _transposed),
    (0.5, _repeated),
    (0.4, _blocks),
    (0.4, _joined),
)
"""Each with its frequency; one that does not fit the graph so far appends nothing."""
