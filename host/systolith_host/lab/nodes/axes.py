"""Operator tests on tensors of one or three axes, with one more in front: one image, or vector."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper

__all__ = ["LiftedNode", "lifted"]

_POINTWISE = frozenset(
    "Abs Add Cast Ceil Celu Clip Cos Div Dropout Elu Erf Exp Floor Gelu HardSigmoid HardSwish "
    "Identity LeakyRelu Log Max Mean Min Mish Mul Neg PRelu Pow Reciprocal Relu Round Selu Sigmoid "
    "Sign Sin Softplus Softsign Sqrt Sub Sum Swish Tanh ThresholdedRelu".split()
)
"""Operators to which one more axis in front makes no difference."""

_AXIS = {"ArgMax": 0, "ArgMin": 0, "Concat": None, "LogSoftmax": -1, "Softmax": -1, "Split": 0}
"""Operators along an axis, and which one it is if the node does not say."""

_REDUCTIONS = "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare".split()
_AXES = {"Slice": 3, "Squeeze": 1, "Unsqueeze": 1, **{f"Reduce{name}": 1 for name in _REDUCTIONS}}
"""Operators whose axes are one of their inputs: which one."""


@dataclass(frozen=True, eq=False)
class LiftedNode:
    """A node with its inputs and outputs."""

    node: onnx.NodeProto
    given: list[np.ndarray]
    wanted: list[np.ndarray]


def lifted(
    node: onnx.NodeProto, given: Sequence[np.ndarray], wanted: Sequence[np.ndarray], first: int
) -> LiftedNode | None:
    """Return a node with one more axis in front; None if it cannot have it.

    Parameters
    ----------
    node : NodeProto
    given, wanted : sequence of ndarray
        What it takes, and makes.
    first : int
        The input that gets the axis, and all others of its shape.
    """
    operator, shape = node.op_type, given[first].shape
    if len(shape) not in (1, 3):
        return None
    made = onnx.NodeProto()
    made.CopyFrom(node)
    inputs = list(given)
    found = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    if operator in _AXIS:
        axis = found.get("axis", _AXIS[operator])
        _set(made, "axis", axis + 1 if axis >= 0 else axis)
    elif operator in _AXES:
        if len(given) <= _AXES[operator]:
            return None
        axes = given[_AXES[operator]]
        inputs[_AXES[operator]] = np.where(axes >= 0, axes + 1, axes).astype(axes.dtype)
    elif operator == "Transpose":
        order = found.get("perm", range(len(shape))[::-1])
        _set(made, "perm", [0, *(axis + 1 for axis in order)])
    elif operator == "Reshape":
        inputs[1] = np.concatenate([[1], given[1]]).astype(given[1].dtype)
    elif operator not in _POINTWISE:
        return None
    inputs = [values[None] if values.shape == shape else values for values in inputs]
    return LiftedNode(made, inputs, [values[None] for values in wanted])


def _set(node: onnx.NodeProto, name: str, value: object) -> None:
    others = [entry for entry in node.attribute if entry.name != name]
    del node.attribute[:]
    node.attribute.extend([*others, helper.make_attribute(name, value)])
