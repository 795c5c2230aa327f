"""Steps of random ONNX graphs with parts of tensors, and tensors in several concatenations."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from onnx import helper

from systolith_host.lab.fuzz.graphs.draft import OnnxDraft

__all__ = ["JOINS"]

_LARGEST = 4000
"""Values of a tensor, as for other layers."""


def _dense(net: OnnxDraft) -> None:
    """Append layers of which each takes all tensors before it, joined in one way or another."""
    rng = net.rng
    source = net.pick(3)
    if source is None:
        return
    (name, (channels, height, width)), growth = source, rng.choice([1, 3, 4, 4, 4, 8])
    made, sizes, joined = [name], [channels], ""
    order = rng.choice(["last", "last", "first", "nested", "any"])
    for _ in range(rng.randint(2, 4)):
        if math.prod((sum(sizes), height, width)) > _LARGEST or sum(sizes) > 40:
            break
        if len(made) > 1:
            parts = [joined, made[-1]] if order == "nested" and joined else list(made)
            if order == "first":
                parts.reverse()
            elif order == "any":
                rng.shuffle(parts)
            joined = net.node("Concat", parts, axis=1)
            net.add(joined, (sum(sizes), height, width))
        kernel = rng.choice([1, 3])
        weight = net.weight(growth, sum(sizes), kernel, kernel)
        made.append(net.node("Conv", [joined or name, weight], pads=[kernel // 2] * 4))
        if rng.random() < 0.4:
            made[-1] = net.node("Relu", [made[-1]])
        net.add(made[-1], (growth, height, width))
        sizes.append(growth)
    net.add(net.node("Concat", made, axis=1), (sum(sizes), height, width))


def _slice(net: OnnxDraft) -> None:
    """Cut channels, rows or columns out, with steps now and then."""
    rng = net.rng
    source = net.pick()
    if source is None:
        return
    name, shape = source
    axes = rng.sample(range(len(shape)), rng.choice([1, 1, min(2, len(shape))]))
    starts, ends, steps, sides = [], [], [], list(shape)
    for axis in axes:
        size = shape[axis]
        first, last = sorted(rng.sample(range(size + 1), 2))
        if axis == 0 and size > 4 and rng.random() < 0.5:
            first, last = rng.choice([(0, 4), (4, size), (0, size - size % 4), (size - 4, size)])
        step = rng.choice([1, 1, 1, 2, 3]) if net.opset > 9 else 1
        if axis == 0 and net.opset > 9 and rng.random() < 0.1:
            step = -step
        sides[axis] = len(range(first, last, abs(step)))
        if step < 0:
            first, last = last - 1, first - 1 - size if first == 0 else first - 1
            if first < 0:
                first += size
        elif rng.random() < 0.3:
            first, last = first - size, rng.choice([last, last, 1 << 40]) if last == size else last
        starts.append(first)
        ends.append(last)
        steps.append(step)
    places = [1 + axis for axis in axes]
    net.add(_sliced(net, name, starts, ends, places, steps), tuple(sides))


def _sliced(
    net: OnnxDraft,
    name: str,
    starts: Sequence[int],
    ends: Sequence[int],
    axes: Sequence[int],
    steps: Sequence[int],
) -> str:
    """Append a Slice in the form of the opset."""
    if net.opset < 10:
        return net.node("Slice", [name], starts=starts, ends=ends, axes=axes)
    lists = [net.constant(values, np.int64) for values in (starts, ends, axes, steps)]
    return net.node("Slice", [name, *lists])


def _split(net: OnnxDraft) -> None:
    """Split channels or rows; join the parts again behind a layer of one of them, or not."""
    rng = net.rng
    source = net.pick(3)
    if source is None or source[1][0] < 2:
        return
    name, shape = source
    axis = rng.choice([1, 1, 1, 2, 3])
    size = shape[axis - 1]
    if size < 2:
        return
    parts = rng.choice(
        [[size // 2] * 2, [size // 3] * 3, [1, size - 1], [size - size // 3, size // 3]]
    )
    if min(parts) < 1 or sum(parts) != size:
        return
    outputs = [net.name("part") for _ in parts]
    attributes: dict = {"axis": axis}
    inputs = [name]
    if net.opset < 13:
        attributes["split"] = parts
    elif len(set(parts)) > 1 or rng.random() < 0.5:
        inputs.append(net.constant(parts, np.int64))
    elif net.opset >= 18:
        attributes["num_outputs"] = len(parts)
    net.nodes.append(helper.make_node("Split", inputs, outputs, **attributes))
    for output, part in zip(outputs, parts, strict=True):
        sides = list(shape)
        sides[axis - 1] = part
        net.add(output, (sides[0], sides[1], sides[2]))
    if axis == 1 and rng.random() < 0.6:
        last, count, made = outputs[-1], parts[-1], list(outputs)
        for _ in range(rng.choice([1, 2])):
            outs = rng.choice([count, 4])
            last = net.node("Conv", [last, net.weight(outs, count, 1, 1)])
            made.append(last)
            net.add(last, (outs, *shape[1:]))
            count = outs
            parts = [*parts, outs]
        if rng.random() < 0.4:
            made, parts = made[1:], parts[1:]
        net.add(net.node("Concat", made, axis=1), (sum(parts), *shape[1:]))


def _shuffle(net: OnnxDraft) -> None:
    """Reorder channels: take them apart by a Reshape, transpose, and put them together."""
    rng = net.rng
    source = net.pick(3)
    if source is None:
        return
    name, (channels, *size) = source
    factors = [each for each in range(2, channels) if channels % each == 0]
    if not factors:
        return
    first = rng.choice(factors)
    dims = [rng.choice([1, -1]), first, channels // first, *size]
    apart = net.node("Reshape", [name, net.constant(dims, np.int64)])
    turned = net.node("Transpose", [apart], perm=[0, 2, 1, 3, 4])
    whole = rng.choice([[1, channels, *size], [1, -1, *size], [-1, channels, *size]])
    net.add(net.node("Reshape", [turned, net.constant(whole, np.int64)]), (channels, *size))


JOINS: tuple[tuple[float, Callable[[OnnxDraft], None]], ...] = (
    (5, _dense),
    (2.5, _slice),
    (2.5, _split),
    (1.5, _shuffle),
)
"""Each with its frequency, as in LAYERS."""
