"""A program that copies a tensor: the shortest way of bytes through all engines."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from systolith_host.compiler import compile_network
from systolith_host.network.qgraph import QGraph, QMaxPool, QTensor
from systolith_host.program.program import Program
from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["Copying"]

SIDE = 8
"""Pixels of a row, and rows."""


@dataclass(frozen=True)
class Copying:
    """The program, and values for it.

    Parameters
    ----------
    config : AcceleratorConfig
    """

    config: AcceleratorConfig

    @cached_property
    def program(self) -> Program:
        """A pool whose windows are single pixels, on a tensor of one channel block."""
        shape = (self.config.block, SIDE, SIDE)
        tensors = {name: QTensor(name, shape, False, 1.0, 0) for name in ("input", "copy")}
        layer = QMaxPool("copy", "input", "copy", kernel=(1, 1), stride=(1, 1))
        return compile_network(QGraph("copy", tensors, (layer,), "input", "copy"), self.config)

    def values(self, seed: int) -> np.ndarray:
        """Return random values to copy, int8 of shape (1, channels, rows, columns)."""
        shape = self.program.places["input"].shape
        return np.random.default_rng(seed).integers(-128, 128, shape).astype(np.int8)
