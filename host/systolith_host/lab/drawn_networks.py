"""Integer networks drawn layer by layer, as tests want them."""

from collections.abc import Sequence

import numpy as np

from systolith_host.network.mosaic import Grid
from systolith_host.network.qgraph import (
    QConcat,
    QConv,
    QGraph,
    QLayer,
    QMosaic,
    QTake,
    QTensor,
)

__all__ = ["Net"]


class Net:
    """An integer network under construction, whose tensors share scale and zero point.

    Each method appends a layer and returns the name of its output, which is the layer's, too.

    Parameters
    ----------
    channels, height, width : int
        Of its input, `x`.
    """

    def __init__(self, channels: int = 5, height: int = 5, width: int = 4) -> None:
        self.tensors = {"x": QTensor("x", (channels, height, width), False, 1.0, 3)}
        self.layers: list[QLayer] = []

    def add(self, layer: QLayer, channels: int, height: int, width: int) -> str:
        """Append any layer."""
        self.layers.append(layer)
        self.tensors[layer.output] = QTensor(layer.output, (channels, height, width), False, 1.0, 3)
        return layer.output

    def conv(self, source: str, outputs: int, size: int = 1) -> str:
        """Append a convolution of `size` x `size` taps that keeps height and width."""
        inputs, *sides = self.tensors[source].shape
        rng = np.random.default_rng(len(self.layers))
        name = f"conv{len(self.layers)}"
        numbers = (np.zeros(outputs, np.int32), np.full(outputs, 3000), np.full(outputs, 18))
        weight = rng.integers(-127, 128, (outputs, inputs, size, size)).astype(np.int8)
        pad = size // 2
        around = (pad, pad, pad, pad)
        layer = QConv(name, source, name, "conv", weight, *numbers, -128, 127, padding=around)
        return self.add(layer, outputs, *sides)

    def join(self, *parts: str) -> str:
        """Append a concatenation of channels."""
        name = f"join{len(self.layers)}"
        channels = sum(self.tensors[part].shape[0] for part in parts)
        return self.add(QConcat(name, parts, name), channels, *self.tensors[parts[0]].shape[1:])

    def take(self, source: str, channels: Sequence[int]) -> str:
        """Append a slice of channels."""
        name = f"take{len(self.layers)}"
        _, height, width = self.tensors[source].shape
        layer = QTake(name, source, name, tuple(channels), (0, height, 1), (0, width, 1))
        return self.add(layer, len(channels), height, width)

    def mosaic(self, parts: Sequence[str], grids: Sequence[Grid]) -> str:
        """Append a mosaic, as large as its pieces reach."""
        name = f"mosaic{len(self.layers)}"
        channels = self.tensors[parts[0]].shape[0]
        ends = [
            grid.ranges(self.tensors[part].shape[1:])
            for part, grid in zip(parts, grids, strict=True)
        ]
        height, width = (max(end[axis][-1] for end in ends) + 1 for axis in (0, 1))
        return self.add(QMosaic(name, tuple(parts), name, tuple(grids)), channels, height, width)

    def phases(self, parts: Sequence[str], down: int, across: int) -> str:
        """Append a mosaic of pieces whose rows are `down` apart, and columns `across`."""
        grids = [Grid(row, down, column, across) for row in range(down) for column in range(across)]
        return self.mosaic(parts, grids)

    def below(self, *parts: str) -> str:
        """Append a mosaic of images one below the other."""
        rows = np.cumsum([0, *(self.tensors[part].shape[1] for part in parts)])
        return self.mosaic(parts, [Grid(int(row), 1, 0, 1) for row in rows[:-1]])

    def beside(self, *parts: str) -> str:
        """Append a mosaic of images one beside the other."""
        columns = np.cumsum([0, *(self.tensors[part].shape[2] for part in parts)])
        return self.mosaic(parts, [Grid(0, 1, int(column), 1) for column in columns[:-1]])

    def build(self, output: str) -> QGraph:
        """Return the network."""
        return QGraph("net", self.tensors, tuple(self.layers), "x", output)
