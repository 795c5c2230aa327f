"""Parts of a program that the host computes between the layers of the accelerator."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from systolith_host.program.check import record
from systolith_host.program.part import HostPart

__all__ = ["HostStep"]


@dataclass(frozen=True)
class HostStep:
    """A part that the host computes, from tensors in memory to a tensor in memory.

    Parameters
    ----------
    name : str
    inputs : tuple of str
    output : str
    before : int
        Number of the layer before which it runs.
    part : HostPart
    """

    name: str
    inputs: tuple[str, ...]
    output: str
    before: int
    part: HostPart

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values; the model's bytes are the caller's to keep."""
        return {
            "name": self.name,
            "inputs": list(self.inputs),
            "output": self.output,
            "before": self.before,
            "operators": list(self.part.operators),
            "shapes": [list(shape) for shape in self.part.shapes],
        }

    @classmethod
    def from_dict(cls, fields: Any, model: np.ndarray) -> "HostStep":
        """Return what :meth:`to_dict` gave, with its model.

        Raises
        ------
        ValueError
            If fields are missing or of another type.
        """
        told = record(_Told, {name: fields[name] for name in fields if name != "shapes"})
        shapes = tuple(_sizes(shape) for shape in fields["shapes"])
        if model.dtype != np.uint8 or model.ndim != 1:
            raise ValueError(f"{told.name}: its model must be a row of bytes, not {model.dtype}")
        part = HostPart(model.tobytes(), told.operators, shapes)
        return cls(told.name, told.inputs, told.output, told.before, part)

    def check(self, sizes: Mapping[str, int], layers: int) -> None:
        """Check a step that was read from a file.

        Parameters
        ----------
        sizes : mapping of str to int
            Elements of an image of every tensor that has a place.
        layers : int

        Raises
        ------
        ValueError
            If something is wrong.
        """
        missing = [name for name in (*self.inputs, self.output) if name not in sizes]
        if missing or not self.inputs:
            raise ValueError(f"{self.name}: tensor {missing[:1]} has no place")
        if len(self.inputs) != len(self.part.shapes) or any(
            math.prod(shape) != sizes[name]
            for name, shape in zip(self.inputs, self.part.shapes, strict=True)
        ):
            raise ValueError(f"{self.name}: its inputs do not have the shapes of its model")
        if not 0 <= self.before <= layers:
            raise ValueError(f"{self.name}: must run before one of {layers} layers")


@dataclass(frozen=True)
class _Told:
    """The fields of a step whose types :func:`record` checks."""

    name: str
    inputs: tuple[str, ...]
    output: str
    before: int
    operators: tuple[str, ...]


def _sizes(shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, list) or not all(type(size) is int and size > 0 for size in shape):
        raise ValueError(f"a shape must be a list of sizes, not {shape!r:.80}")
    return tuple(shape)
