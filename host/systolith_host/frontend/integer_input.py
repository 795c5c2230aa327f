"""Inputs of integers: what they stand for, and the same file with an input of floats."""

from collections.abc import Iterator, Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from systolith_host.frontend.whole import Whole

__all__ = ["BYTES", "FLOATS", "NUMBERS", "meaning", "take_integers"]

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
"""Types of inputs that need nothing."""

_INTEGERS = (
    TensorProto.BOOL,
    TensorProto.INT8,
    TensorProto.INT16,
    TensorProto.INT32,
    TensorProto.INT64,
    TensorProto.UINT8,
    TensorProto.UINT16,
    TensorProto.UINT32,
    TensorProto.UINT64,
)
"""Types of inputs whose numbers NumPy has."""

NUMBERS = FLOATS + _INTEGERS
"""Types of inputs that can be taken at all."""

_MOVES = frozenset("Flatten Identity MaxPool Reshape Slice Squeeze Transpose Unsqueeze".split())
"""Operators that leave the values and their type as they are."""

BYTES = (TensorProto.INT8, TensorProto.UINT8)
"""Types of activations."""


def take_integers(
    graph: onnx.GraphProto, value: onnx.ValueInfoProto, constants: dict[str, np.ndarray]
) -> Whole | None:
    """Let a file take floats where it takes integers, if its first nodes say what they stand for.

    Those are a Cast to floats, or operators with a scale: then the integers are made of the floats
    by a QuantizeLinear in front.

    Parameters
    ----------
    graph : GraphProto
        Is changed.
    value : ValueInfoProto
        Its input.
    constants : dict of str to ndarray
        Values of its initialisers; gets those of the node in front.

    Returns
    -------
    Whole or None
        None if nothing was changed: the first nodes need the integers themselves.
    """
    if value.type.tensor_type.elem_type not in _INTEGERS:
        return None
    kind = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name
    found = meaning(graph, value.name, kind, constants)
    if found is None:
        return None
    whole, scaled = found
    value.type.tensor_type.elem_type = TensorProto.FLOAT
    if not scaled:
        return whole
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    made, scale, zero = (
        _free(f"{value.name}_{what}", taken) for what in ("steps", "scale", "zero")
    )
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name == value.name:
                node.input[index] = made
    constants[scale] = np.array(whole.scale, np.float32)
    constants[zero] = np.array(whole.zero_point, kind)
    graph.initializer.extend(numpy_helper.from_array(constants[n], n) for n in (scale, zero))
    graph.node.insert(0, helper.make_node("QuantizeLinear", [value.name, scale, zero], [made]))
    return whole


def meaning(
    graph: onnx.GraphProto, name: str, kind: str, constants: Mapping[str, np.ndarray]
) -> tuple[Whole, bool] | None:
    """Return what integers stand for, and whether by a scale; None if their readers say nothing."""
    known = dict(constants)
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            known[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    found: set[tuple[Whole, bool]] = set()
    for node, index in _readers(graph, name):
        if node.op_type == "Cast":
            if node.attribute[0].i not in FLOATS:
                return None
            found.add((Whole(kind), False))
            continue
        scaled = node.op_type in ("DequantizeLinear", "QGemm") or node.op_type.startswith("QLinear")
        whole = _scaled(node, index, kind, known) if scaled and kind.endswith("int8") else None
        if whole is None:
            return None
        found.add((whole, True))
    return found.pop() if len(found) == 1 else None


def _readers(graph: onnx.GraphProto, name: str) -> Iterator[tuple[onnx.NodeProto, int]]:
    """Yield the nodes that read a tensor's values, and by which input, behind those that move."""
    names = {name}
    for node in graph.node:
        for index, source in enumerate(node.input):
            if source not in names or node.op_type == "Shape":
                continue
            if node.op_type in _MOVES and index == 0:
                names.update(node.output)
            else:
                yield node, index


def _scaled(
    node: onnx.NodeProto, index: int, kind: str, known: Mapping[str, np.ndarray]
) -> Whole | None:
    """Return the scale and zero point that a node has for an input; None if there is not one."""
    names = list(node.input[index + 1 : index + 3])
    scale = known.get(names[0]) if names else None
    zero = known.get(names[1]) if names[1:] and names[1] else np.array(0, kind)
    if scale is None or zero is None or scale.size != 1 or zero.size != 1 or zero.dtype != kind:
        return None
    step = float(scale.reshape(-1)[0])
    return Whole(kind, step, int(zero.reshape(-1)[0])) if step > 0 and np.isfinite(step) else None


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name
