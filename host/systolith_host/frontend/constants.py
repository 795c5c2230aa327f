"""Computes nodes whose inputs are constant, if their outputs are not too large."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator

from systolith_host.frontend.limits import CONSTANTS_EACH, CONSTANTS_FREE

__all__ = ["Budget", "can_fold", "compute", "result_size"]

_BROADCAST = frozenset(("Add", "Div", "Equal", "Mul", "Sub", "Where"))
_KEEP = frozenset(
    "Cast Floor Identity Neg ReduceProd Reshape Slice Sqrt Squeeze Transpose Unsqueeze".split()
)
"""Operators that make no more elements than their first input has."""

_FOLDABLE = _BROADCAST | _KEEP | {"Concat", "Constant", "Gather", "Shape"}
"""Operators computed here where all inputs are constant: weights and shapes."""


class Budget:
    """Counts the elements that nodes make of constants.

    Parameters
    ----------
    held : int
        Elements that the file itself holds.
    """

    def __init__(self, held: int) -> None:
        self.limit = CONSTANTS_FREE + CONSTANTS_EACH * held
        self._taken = 0

    def take(self, count: int) -> None:
        """Take so many elements.

        Raises
        ------
        ValueError
            If fewer are left.
        """
        if count > self.limit - self._taken:
            raise ValueError(
                f"makes a constant of {count:,} elements; with {self._taken:,} made before it, "
                f"that exceeds the limit of {self.limit:,} for a file of this size"
            )
        self._taken += count


def can_fold(proto: onnx.NodeProto) -> bool:
    """Return whether a node is of a kind that is computed here."""
    return proto.domain in ("", "ai.onnx") and proto.op_type in _FOLDABLE


def result_size(proto: onnx.NodeProto, inputs: Sequence[np.ndarray]) -> int:
    """Return how many elements a node makes at most.

    Raises
    ------
    ValueError
        If the inputs do not fit one another, or the node is of no kind that is computed here.
    """
    operator = proto.op_type
    if operator == "Constant":
        return _constant_size(proto)
    if operator in _BROADCAST:
        return _broadcast_size([values.shape for values in inputs])
    if operator == "Concat":
        return sum(values.size for values in inputs)
    if operator == "Gather":
        values, places = inputs
        axis = next((entry.i for entry in proto.attribute if entry.name == "axis"), 0)
        if not -values.ndim <= axis < values.ndim:
            raise ValueError(f"axis must be within {values.ndim} axes, not {axis}")
        rest = [side for i, side in enumerate(values.shape) if i != axis % values.ndim]
        return math.prod(rest) * places.size
    if operator in _KEEP:
        wanted = {entry.name: entry.i for entry in proto.attribute}.get("to")
        if operator == "Cast" and wanted == TensorProto.STRING:
            raise ValueError("makes texts of numbers")
        return inputs[0].size
    raise ValueError(f"{operator} is not computed here")


def _constant_size(proto: onnx.NodeProto) -> int:
    count = 1
    for entry in proto.attribute:
        if entry.name == "sparse_value":
            raise ValueError("is a sparse constant, which is not supported")
        count = max(count, math.prod(entry.t.dims), len(entry.floats), len(entry.ints))
    return count


def _broadcast_size(shapes: Sequence[tuple[int, ...]]) -> int:
    size = 1
    for place in range(1, max(map(len, shapes)) + 1):
        sides = {shape[-place] for shape in shapes if place <= len(shape)} - {1}
        if len(sides) > 1:
            raise ValueError(f"shapes {', '.join(map(str, shapes))} do not fit one another")
        size *= sides.pop() if sides else 1
    return size


def compute(proto: onnx.NodeProto, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Return a node's outputs.

    Raises
    ------
    ValueError
        If they cannot be computed.
    """
    try:
        results = ReferenceEvaluator(proto).run(None, dict(inputs))
    except MemoryError:
        raise
    except Exception as error:  # whatever senseless attributes make NumPy or onnx raise
        text = " ".join(str(error).split())[:160]
        raise ValueError(f"cannot be computed: {text or type(error).__name__}") from None
    return [np.asarray(values) for values in results]
