"""Computes nodes whose inputs are constant, if their outputs are not too large."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from systolith_host.frontend.limits import CONSTANTS_EACH, CONSTANTS_FREE, CONSTANTS_UNIFORM

__all__ = ["Budget", "Constants", "compute", "result_size"]

_BROADCAST = frozenset(
    "Add And Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mod Mul Or Pow Sub Sum "
    "Where Xor".split()
)
_KEEP = frozenset(
    "Abs Cast CastLike Ceil Clip Exp Flatten Floor Identity Log Neg Not Reciprocal ReduceMax "
    "ReduceMean ReduceMin ReduceProd ReduceSum Relu Reshape Round Sign Size Slice Split Sqrt "
    "Squeeze Transpose Unsqueeze".split()
)
"""Operators that make no more elements than their first input has."""

_LARGER = frozenset("Concat Constant ConstantOfShape Expand Gather Pad Range Tile".split())

_FOLDABLE = _BROADCAST | _KEEP | _LARGER | {"Shape"}
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
        self._uniform = 0

    def take(self, count: int, *, uniform: bool = False) -> None:
        """Take so many elements.

        Parameters
        ----------
        count : int
        uniform : bool
            Whether all are one number, that is kept once.

        Raises
        ------
        ValueError
            If fewer are left.
        """
        if uniform:
            self.check_uniform(count)
            self._uniform += count
        else:
            _check(count, self._taken, self.limit, "a file of this size")
            self._taken += count

    def check_uniform(self, count: int) -> None:
        """Raise a ValueError if fewer elements are left of constants that are one number."""
        _check(count, self._uniform, CONSTANTS_UNIFORM, "constants that are one number")


def _check(count: int, taken: int, limit: int, what: str) -> None:
    if count > limit - taken:
        raise ValueError(
            f"makes a constant of {count:,} elements; with {taken:,} made before it, "
            f"that exceeds the limit of {limit:,} for {what}"
        )


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
        return _gather_size(proto, *inputs)
    if operator in _LARGER:
        return _named_size(operator, inputs)
    if operator in _KEEP:
        wanted = {entry.name: entry.i for entry in proto.attribute}.get("to")
        if operator == "Cast" and wanted == TensorProto.STRING:
            raise ValueError("makes texts of numbers")
        return inputs[0].size
    raise ValueError(f"{operator} is not computed here")


def _gather_size(proto: onnx.NodeProto, values: np.ndarray, places: np.ndarray) -> int:
    axis = next((entry.i for entry in proto.attribute if entry.name == "axis"), 0)
    if not -values.ndim <= axis < values.ndim:
        raise ValueError(f"axis must be within {values.ndim} axes, not {axis}")
    rest = [side for i, side in enumerate(values.shape) if i != axis % values.ndim]
    return math.prod(rest) * places.size


def _named_size(operator: str, inputs: Sequence[np.ndarray]) -> int:
    """Return the elements of an operator whose inputs say how many it makes."""
    if operator == "Range":
        start, limit, step = (float(values.reshape(())) for values in inputs)
        count = (limit - start) / step if step else math.inf
        if not math.isfinite(count):
            raise ValueError(f"a range from {start:g} to {limit:g} by {step:g} has no end")
        return max(math.ceil(count), 0)
    numbers = [int(number) for number in inputs[operator != "ConstantOfShape"].reshape(-1)]
    if operator == "Pad":
        shape = inputs[0].shape
        added = sum(abs(number) for number in numbers)
        return math.prod(side + added for side in shape)
    if any(number < 0 for number in numbers):
        raise ValueError(f"its sizes must be at least 0, not {numbers}")
    if operator == "Expand":
        return _broadcast_size([inputs[0].shape, tuple(numbers)])
    return math.prod(numbers) * (inputs[0].size if operator == "Tile" else 1)


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


def compute(
    proto: onnx.NodeProto, inputs: Mapping[str, np.ndarray], opset: int
) -> list[np.ndarray]:
    """Return a node's outputs.

    Parameters
    ----------
    proto : NodeProto
    inputs : mapping of str to ndarray
        By their names.
    opset : int
        Version of the operators.

    Raises
    ------
    ValueError
        If they cannot be computed.
    """
    graph = helper.make_graph(
        [proto],
        "node",
        [helper.make_empty_tensor_value_info(name) for name in inputs],
        [helper.make_empty_tensor_value_info(name) for name in proto.output],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    try:
        results = ReferenceEvaluator(model).run(None, dict(inputs))
    except MemoryError:
        raise
    except Exception as error:  # whatever senseless attributes make NumPy or onnx raise
        text = " ".join(str(error).split())[:160]
        raise ValueError(f"cannot be computed: {text or type(error).__name__}") from None
    return [np.asarray(values) for values in results]


class Constants:
    """The constants of a graph: its initialisers, and what is computed of them.

    Parameters
    ----------
    values : dict of str to ndarray
        Initialisers; grows by what is folded.
    opset : int
        Version of the operators.
    """

    def __init__(self, values: dict[str, np.ndarray], opset: int) -> None:
        self.values = values
        self.budget = Budget(sum(array.size for array in values.values()))
        self._opset = opset
        self._unmade: set[str] = set()

    def fold(self, proto: onnx.NodeProto, shape: Callable[[str], Sequence[int] | None]) -> bool:
        """Compute a node whose inputs are constant, or that asks for a shape.

        Parameters
        ----------
        proto : NodeProto
        shape : callable
            Returns the shape of a tensor that is not constant, for one image; None if nobody
            knows it.

        Returns
        -------
        bool
            Whether the node is done with.

        Raises
        ------
        ValueError
            If it cannot be computed; what depends on it will be done with, too.
        """
        if proto.domain not in ("", "ai.onnx") or proto.op_type not in _FOLDABLE:
            return False
        if proto.op_type == "Shape" and proto.input and proto.input[0] not in self.values:
            return self._fold_shape(proto, shape(proto.input[0]))
        given = [name for name in proto.input if name]
        known = all(name in self.values or name in self._unmade for name in given)
        if not known or (proto.op_type != "Constant" and not given):
            return False
        if self._unmade.intersection(given):
            self._unmade.update(proto.output)
            return True
        inputs = {name: self.values[name] for name in given}
        try:
            if proto.op_type == "ConstantOfShape":
                self._fold_uniform(proto, self.values[given[0]])
                return True
            self.budget.take(result_size(proto, [self.values[name] for name in given]))
            for name, values in zip(proto.output, compute(proto, inputs, self._opset), strict=True):
                self.values[name] = values
        except ValueError:
            self._unmade.update(proto.output)
            raise
        return True

    def _fold_uniform(self, proto: onnx.NodeProto, shape: np.ndarray) -> None:
        """Make a constant that is one number, kept once; it counts as soon as it is weights."""
        self.budget.check_uniform(result_size(proto, [shape]))
        single = np.ones(shape.size, np.int64)
        (value,) = compute(proto, {proto.input[0]: single}, self._opset)
        sizes = tuple(int(size) for size in shape.reshape(-1))
        self.values[proto.output[0]] = np.broadcast_to(value.reshape(()), sizes)

    def _fold_shape(self, proto: onnx.NodeProto, shape: Sequence[int] | None) -> bool:
        if shape is None:
            return False
        sizes = np.array(shape, np.int64)
        ends = {entry.name: entry.i for entry in proto.attribute}
        self.values[proto.output[0]] = sizes[ends.get("start", 0) : ends.get("end", len(sizes))]
        return True
