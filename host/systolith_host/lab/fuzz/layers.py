"""Random layers, appended to an integer network one by one."""

import math
import random
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from systolith_host.network.mosaic import Grid
from systolith_host.network.qgraph import (
    QAdd,
    QConcat,
    QConv,
    QLayer,
    QMaxPool,
    QMosaic,
    QTable,
    QTensor,
)

__all__ = ["RandomLayers", "limits_of"]

LARGEST_FAN_IN = 4096
"""Products of a sum, of 127 * 128 each at most; a bias with its zero point is as large at most."""

LARGEST_WORK = 80_000
"""Multiply-accumulates of a random layer, more or less."""


def limits_of(unsigned: bool) -> tuple[int, int]:
    """Return the least and the largest value of a tensor's type."""
    return (0, 255) if unsigned else (-128, 127)


class RandomLayers:
    """Layers so far, and the tensor that the next one reads.

    Parameters
    ----------
    rng : random.Random
    functions : bool
        As of :func:`~systolith_host.lab.fuzz.networks.random_qgraph`.
    """

    def __init__(self, rng: random.Random, functions: bool) -> None:
        self.rng = rng
        self.functions = functions
        channels = rng.choice([1, 2, 3, 4, 7, 16])
        shape = (channels, rng.randint(1, 14), rng.randint(1, 14))
        self.current = self._tensor("input", shape)
        self.tensors = {"input": self.current}
        self.layers: list[QLayer] = []

    def _tensor(self, name: str, shape: tuple[int, int, int]) -> QTensor:
        unsigned = self.rng.random() < 0.5
        low, high = limits_of(unsigned)
        zero_point = self.rng.choice([low, high, 0, self.rng.randint(low, high)])
        return QTensor(name, shape, unsigned, 1.0, zero_point)

    def _table(self, target: QTensor) -> QTable | None:
        """Return a table to a tensor's type, or none."""
        if not self.functions or self.rng.random() < 0.5:
            return None
        before = self._tensor("", target.shape)
        low, high = limits_of(target.unsigned)
        values = tuple(self.rng.randint(low, high) for _ in range(256))
        return QTable("function", before.unsigned, 1.0, before.zero_point, values)

    def add_random(self) -> None:
        """Append a convolution, with a pool behind it now and then, or a pool."""
        if self.rng.random() < 0.2:
            self._pool(self._any_pool())
            return
        if self.rng.random() < 0.35:
            self.rng.choice([self._sum, self._join, self._mean, self._grouped])()
            return
        # A piece of a mosaic whose pixels are apart has no other user.
        branch = self.rng.random() < 0.15 and bool(self.layers)
        branch = branch and not isinstance(self.layers[-1], QMosaic)
        before = self.current
        if branch:
            # The same input once more: the first user's output ends there.
            self.current = self.tensors[self.layers[-1].inputs[0]]
        self._convolution()
        if branch and self.rng.random() < 0.5:
            self.current = before
            self._convolution()
        if self.rng.random() < 0.4:
            size = self.rng.choice([(2, 2), (2, 2), (1, 2), (3, 3)])
            self._pool({"kernel": size, "stride": size})

    def add_mosaic(self) -> None:
        """Append a larger image: of the current one several times, or of convolutions of it."""
        rng = self.rng
        source = self.current
        _, height, width = source.shape
        down, across = rng.choice([(2, 2), (1, 2), (2, 1), (1, 3)])
        size = (down * height, across * width)
        steps = [(row, column) for row in range(down) for column in range(across)]
        if rng.random() < 0.5:  # pixels of the pieces alternate
            grids = [Grid(row, down, column, across) for row, column in steps]
        else:
            grids = [Grid(row * height, 1, column * width, 1) for row, column in steps]
        parts = [source] * len(grids)
        if grids[0].down * grids[0].across == 1 or rng.random() < 0.7:
            parts = self._alike([rng.choice([1, 4, 8, 20])] * len(grids), rng.choice([1, 1, 3]))
        name = f"mosaic{len(self.layers)}"
        target = replace(parts[0], name=f"{name}_out", shape=(parts[0].shape[0], *size))
        inputs = tuple(part.name for part in parts)
        self._add(QMosaic(name, inputs, target.name, tuple(grids)), target)

    def _alike(self, outputs: Iterable[int], side: int = 1) -> list[QTensor]:
        """Append convolutions of the current tensor to so many channels, of one scale and type."""
        source, made = self.current, []
        channels, height, width = source.shape
        for count in outputs:
            self.current = source
            weight = (count, channels, side, side)
            numbers = {"padding": (side // 2,) * 4}
            like = made[0] if made else None
            self._add_conv("conv", weight, (count, height, width), numbers, like)
            made.append(self.current)
        return made

    def add_fully_connected(self) -> None:
        """Append a fully connected layer, unless its sums could leave 28 bits."""
        channels, height, width = self.current.shape
        if channels * height * width > LARGEST_FAN_IN:  # a mosaic made it so large
            return
        outputs = self.rng.randint(1, 40)
        self._add_conv("fc", (outputs, channels, height, width), (outputs, 1, 1), {})

    def _sum(self) -> None:
        """Append a sum of the current tensor and a convolution of it, or of itself."""
        rng = self.rng
        first = self.current
        channels, height, width = first.shape
        if rng.random() < 0.8:
            self._add_conv("conv", (channels, channels, 1, 1), first.shape, {})
        name = f"add{len(self.layers)}"
        target = self._tensor(f"{name}_out", (channels, height, width))
        table = self._table(target)
        sums = table or target
        limits = limits_of(sums.unsigned)
        limit = rng.choice([127, 32639])
        factors = (rng.randint(-limit, limit), rng.randint(1, limit))
        layer = QAdd(
            name=name,
            inputs=(first.name, self.current.name),
            output=target.name,
            factors=factors,
            multiplier=rng.randint(1024, 4095),
            shift=11 + limit.bit_length(),
            low=sums.zero_point if rng.random() < 0.5 else limits[0],
            high=limits[1],
            table=table,
        )
        self._add(layer, target)

    def _join(self) -> None:
        """Append a concatenation of two to four convolutions of the current tensor."""
        rng = self.rng
        _, height, width = self.current.shape
        parts = self._alike(
            rng.choice([4, 8, 16, 20, rng.randint(1, 24)]) for _ in range(rng.randint(2, 4))
        )
        name = f"join{len(self.layers)}"
        outputs = sum(part.shape[0] for part in parts)
        target = replace(parts[0], name=f"{name}_out", shape=(outputs, height, width))
        self._add(QConcat(name, tuple(part.name for part in parts), target.name), target)

    def _mean(self) -> None:
        """Append an average pool, of the whole image now and then."""
        rng = self.rng
        channels, height, width = self.current.shape
        kernel = (height, width)
        if rng.random() < 0.6:
            kernel = (rng.randint(1, min(height, 3)), rng.randint(1, min(width, 3)))
        shape = (channels, height - kernel[0] + 1, width - kernel[1] + 1)
        self._add_conv("pool", (channels, 1, *kernel), shape, {"groups": channels}, ones=True)

    def _grouped(self) -> None:
        """Append a grouped convolution, depthwise now and then."""
        rng = self.rng
        channels, height, width = self.current.shape
        groups = rng.choice([g for g in range(1, channels + 1) if channels % g == 0])
        outputs = groups * rng.choice([1, 1, 2, 5])
        shape = (outputs, height, width)
        numbers = {"groups": groups, "padding": (1, 1, 1, 1)}
        self._add_conv("conv", (outputs, channels // groups, 3, 3), shape, numbers)

    def _convolution(self) -> None:
        rng = self.rng
        channels, height, width = self.current.shape
        for _ in range(20):
            side = rng.choice([1, 3, 3, 3, 5, 7])
            kernel = (side, side) if rng.random() < 0.8 else (rng.randint(1, 4), side)
            dilation = (1, 1) if rng.random() < 0.8 else (rng.randint(1, 2), rng.randint(1, 2))
            stride = rng.choice([(1, 1), (1, 1), (2, 2), (1, 2), (3, 1)])
            pads = [rng.randint(0, max(kernel) // 2) for _ in range(4)]
            padding = rng.choice([(side // 2,) * 4, (0, 0, 0, 0), tuple(pads)])
            size = (
                (height + padding[0] + padding[1] - dilation[0] * (kernel[0] - 1) - 1),
                (width + padding[2] + padding[3] - dilation[1] * (kernel[1] - 1) - 1),
            )
            outputs = rng.choice([1, 3, 8, 13, 20, 32])
            shape = (outputs, size[0] // stride[0] + 1, size[1] // stride[1] + 1)
            work = math.prod(shape) * channels * kernel[0] * kernel[1]
            if min(size) >= 0 and work <= LARGEST_WORK:
                numbers = {"stride": stride, "padding": padding, "dilation": dilation}
                self._add_conv("conv", (outputs, channels, *kernel), shape, numbers)
                return
        self._add_conv("conv", (4, channels, 1, 1), (4, height, width), {})

    def _add_conv(
        self,
        kind: Any,
        weight_shape: tuple[int, ...],
        shape: tuple[int, int, int],
        numbers: dict[str, Any],
        like: QTensor | None = None,
        *,
        ones: bool = False,
    ) -> None:
        rng = self.rng
        generator = np.random.default_rng(rng.getrandbits(64))
        name = f"{kind}{len(self.layers)}"
        target = self._tensor(f"{name}_out", shape)
        if like is not None:
            target = replace(like, name=target.name, shape=shape)
        outputs = weight_shape[0]
        weight = generator.integers(-128, 128, weight_shape).clip(-127, 127).astype(np.int8)
        if ones:
            weight = np.ones(weight_shape, np.int8)
        terms = math.prod(weight_shape[1:])
        multiplier = generator.integers(1024, 4096, outputs)
        # Sums vary by about 5400 * sqrt(terms), outputs shall by about 64.
        spread = 74 * terms if ones else 5400 * math.sqrt(terms)
        shift = np.full(outputs, round(math.log2(2048 * spread / 64)))
        table = self._table(target)
        sums = table or target
        low, high = limits_of(sums.unsigned)
        if rng.random() < 0.5:
            low = sums.zero_point
        elif rng.random() < 0.3:
            low, high = sorted((rng.randint(low, high), rng.randint(low, high)))
        layer = QConv(
            name=name,
            input=self.current.name,
            output=target.name,
            kind=kind,
            weight=weight,
            bias=(generator.integers(-200_000, 200_000, outputs) * (not ones)).astype(np.int32),
            multiplier=multiplier,
            shift=shift,
            low=low,
            high=high,
            table=table,
            **numbers,
        )
        self._add(layer, target)

    def _any_pool(self) -> dict[str, Any]:
        rng = self.rng
        if rng.random() < 0.5:
            pad = rng.randint(0, 1)
            return {"kernel": (3, 3), "stride": (2, 2), "padding": (pad,) * 4}
        kernel = (rng.randint(1, 4), rng.randint(1, 4))
        pads = (0, 0, 0, 0)
        if rng.random() < 0.5:
            # Every window has an element of the image.
            pads = tuple(rng.randint(0, side - 1) for side in kernel for _ in range(2))
        stride = (rng.randint(1, 3), rng.randint(1, 3))
        return {"kernel": kernel, "stride": stride, "padding": pads}

    def _pool(self, numbers: dict[str, Any]) -> None:
        channels, *size = self.current.shape
        pads = numbers.get("padding", (0, 0, 0, 0))
        shape = [channels]
        for axis in range(2):
            room = size[axis] + sum(pads[2 * axis : 2 * axis + 2]) - numbers["kernel"][axis]
            if room < 0:
                return
            shape.append(room // numbers["stride"][axis] + 1)
        name = f"pool{len(self.layers)}"
        target = QTensor(
            f"{name}_out",
            (shape[0], shape[1], shape[2]),
            self.current.unsigned,
            1.0,
            self.current.zero_point,
        )
        self._add(QMaxPool(name, self.current.name, target.name, **numbers), target)

    def _add(self, layer: QLayer, target: QTensor) -> None:
        self.layers.append(layer)
        self.tensors[target.name] = target
        self.current = target
