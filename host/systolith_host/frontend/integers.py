"""Constants that were integers: their scales, kept while nodes rearrange the values."""

from dataclasses import dataclass, replace

import numpy as np
import onnx

__all__ = ["QuantizedConstant", "followed"]


@dataclass(frozen=True, eq=False)
class QuantizedConstant:
    """Where a constant of floats comes from: integers, minus zero points, times scales.

    Parameters
    ----------
    scale : ndarray of float64, shape (K,) or (1,)
    axis : int
        Of the values, to which the scales belong.
    """

    scale: np.ndarray
    axis: int


def followed(proto: onnx.NodeProto, made: QuantizedConstant, axes: int) -> QuantizedConstant | None:
    """Return where a node's output comes from if its input comes from integers.

    Parameters
    ----------
    proto : NodeProto
        A node whose inputs are constant.
    made : QuantizedConstant
        Of its first input.
    axes : int
        Of that input.

    Returns
    -------
    QuantizedConstant or None
        None if the values are no longer those integers.
    """
    operator = proto.op_type
    one = made.scale.size == 1
    if operator == "Identity" or (operator in ("Reshape", "Squeeze", "Unsqueeze") and one):
        return made
    if operator != "Transpose":
        return None
    orders = [list(entry.ints) for entry in proto.attribute if entry.name == "perm"]
    order = orders[0] if orders else list(reversed(range(axes)))
    return made if one else replace(made, axis=order.index(made.axis % axes))
