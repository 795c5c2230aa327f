"""A random ONNX graph while it grows: its nodes, constants, and the tensors that may be used."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

__all__ = ["OnnxDraft", "Shape"]

Shape = tuple[int, ...]
"""Of a tensor for one image."""


@dataclass
class OnnxDraft:
    """A graph while it grows."""

    rng: random.Random
    opset: int
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    tensors: list[tuple[str, Shape]] = field(default_factory=list)
    """Tensors that may be used, the latest last; shapes are those of one image."""
    weights: dict[Shape, list[str]] = field(default_factory=dict)
    count: int = 0

    def __post_init__(self) -> None:
        self.numbers = np.random.default_rng(self.rng.getrandbits(32))

    def name(self, what: str) -> str:
        self.count += 1
        return f"{what}{self.count}"

    def constant(self, values: object, dtype: type = np.float32) -> str:
        """Return the name of a constant: an initialiser, or the output of a node."""
        name = self.name("k")
        tensor = numpy_helper.from_array(np.array(values, dtype), name)
        if self.rng.random() < 0.8:
            self.constants.append(tensor)
        else:
            self.nodes.append(helper.make_node("Constant", [], [name], value=tensor))
        return name

    def weight(self, *shape: int) -> str:
        """Return a constant of random numbers; some serve several nodes, some are scaled ones."""
        known = self.weights.setdefault(shape, [])
        if known and self.rng.random() < 0.3:
            return self.rng.choice(known)
        size = 10 ** self.rng.uniform(-0.7, 0.7) / math.sqrt(max(math.prod(shape[1:]), 1))
        values = self.numbers.standard_normal(shape) * size
        if self.rng.random() < 0.2:  # channels of very different sizes
            values *= 10 ** self.numbers.uniform(-2, 1, (shape[0], *[1] * (len(shape) - 1)))
        if self.rng.random() < 0.1:
            values[self.numbers.integers(shape[0])] = 0
        if self.rng.random() < 0.04:
            values *= self.rng.choice([0, 1e-7])
        name = self.constant(values)
        if self.rng.random() < 0.1:  # nodes that exporters leave between a weight and its use
            name = self.node("Identity", [name])
        known.append(name)
        return name

    def node(self, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Append a node with one output; return the output."""
        output = self.name(operator.lower())
        title = output if self.rng.random() < 0.9 else ""
        self.nodes.append(helper.make_node(operator, inputs, [output], title, **attributes))
        return output

    def add(self, name: str, shape: Shape) -> None:
        self.tensors.append((name, shape))

    def pick(self, rank: int | None = None) -> tuple[str, Shape] | None:
        """Return the latest tensor, or an earlier one: then there is a fork."""
        fitting = [each for each in self.tensors if rank in (None, len(each[1]))]
        if not fitting:
            return None
        return fitting[-1] if self.rng.random() < 0.7 else self.rng.choice(fitting)
