"""Older versions of the ONNX operators, converted to the oldest that is read."""

from typing import Any

import onnx
from onnx import helper, version_converter

__all__ = ["OLDEST", "READ", "converted", "opset_version"]

OLDEST = 7
"""Operators have had NumPy's broadcasting, and no state, from then on."""

READ = 13
"""The oldest version that is read as it is; until then attributes became inputs."""

_UNKNOWN = "unknown"
"""Domain of nodes whose operator onnx does not know, during the conversion."""


def opset_version(proto: onnx.ModelProto) -> int | None:
    """Return the version of ONNX's own operators that a model imports."""
    versions = {entry.domain or "": entry.version for entry in proto.opset_import}
    return versions.get("", versions.get("ai.onnx"))


def converted(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model with the operators of version 13, or as it is if they are as new.

    Tensors of the file keep their names. Initialisers stay as they are; what the conversion needs
    beyond them become Constant nodes or more initialisers.

    Raises
    ------
    ValueError
        If an operator has no counterpart, or an attribute is of another type than its operator's.
    """
    version = opset_version(proto)
    if version is None or version >= READ:
        return proto
    model = _without_values(proto)
    _check_attributes(model.graph, version)
    names = {tensor.name for tensor in proto.graph.initializer}
    try:
        made = version_converter.convert_version(model, READ)
    except Exception as error:  # it has several kinds of errors of its own
        raise ValueError(str(error)) from None
    for node in made.graph.node:
        node.domain = "" if node.domain == _UNKNOWN else node.domain
    result = onnx.ModelProto()
    result.CopyFrom(proto)
    del result.graph.node[:]
    result.graph.node.extend(made.graph.node)
    result.graph.initializer.extend(t for t in made.graph.initializer if t.name not in names)
    del result.graph.value_info[:]
    del result.opset_import[:]
    result.opset_import.extend(entry for entry in made.opset_import if entry.domain != _UNKNOWN)
    return result


def _check_attributes(graph: onnx.GraphProto, version: int) -> None:
    """Refuse attributes of wrong types, which onnx's converter reads whatever they are."""
    for node in graph.node:
        if node.domain == _UNKNOWN or not onnx.defs.has(node.op_type, version, node.domain):
            continue
        known = onnx.defs.get_schema(node.op_type, version, node.domain).attributes
        for entry in node.attribute:
            if entry.name in known and entry.type not in (0, _number(known[entry.name])):
                kind = onnx.AttributeProto.AttributeType.Name(entry.type).lower()
                title = node.name or node.op_type
                raise ValueError(f"attribute {entry.name} of {title} must not be of type {kind}")


def _number(attribute: Any) -> int:
    """Return the number of an attribute's type, an enumeration of which onnx has no stubs."""
    return attribute.type.value


def _without_values(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model for the conversion: large initialisers are inputs, operators are known."""
    model = onnx.ModelProto()
    model.CopyFrom(proto)
    model.ir_version = max(model.ir_version, 4)  # inputs need not list the initialisers
    graph = model.graph
    del graph.value_info[:]
    given = {value.name for value in graph.input}
    small = []
    for tensor in graph.initializer:
        if tensor.external_data:
            if tensor.name not in given:
                graph.input.append(
                    helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
                )
        else:
            small.append(tensor)
    kept = [onnx.TensorProto.FromString(tensor.SerializeToString()) for tensor in small]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    version = opset_version(proto) or OLDEST
    for node in graph.node:
        if node.domain in ("", "ai.onnx"):
            known = onnx.defs.has(node.op_type, version, "")
            node.domain = "" if known else _UNKNOWN
    others = [entry for entry in proto.opset_import if entry.domain not in ("", "ai.onnx")]
    del model.opset_import[:]
    model.opset_import.extend([helper.make_opsetid("", version), *others])
    model.opset_import.append(helper.make_opsetid(_UNKNOWN, 1))
    return model
