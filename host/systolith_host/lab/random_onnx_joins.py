"""Steps of random ONNX graphs whose tensors stand in several concatenations."""

import math
from collections.abc import Callable

from systolith_host.lab.random_onnx_draft import OnnxDraft

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


JOINS: tuple[tuple[float, Callable[[OnnxDraft], None]], ...] = ((6, _dense),)
"""Each with its frequency, as in LAYERS."""
