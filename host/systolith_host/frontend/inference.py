"""The types and shapes that onnx infers for a file's tensors."""

from pathlib import Path

import onnx
from onnx import helper, shape_inference

from systolith_host.errors import SystolithError
from systolith_host.frontend.entry import set_shape
from systolith_host.frontend.loading import one_line

__all__ = ["infer"]


def infer(
    path: Path, proto: onnx.ModelProto, name: str, shape: tuple[int, ...]
) -> tuple[dict[str, tuple[int, ...]], dict[str, int]]:
    """Have onnx check types and shapes; return the shapes for one image and the element types."""
    skeleton = onnx.ModelProto()
    skeleton.CopyFrom(proto)
    for entry in skeleton.graph.input:
        if entry.name == name:
            set_shape(entry, (1, *shape))
    del skeleton.graph.value_info[:]
    for entry in skeleton.graph.output:
        entry.type.tensor_type.ClearField("shape")
    imported = {entry.domain for entry in skeleton.opset_import}
    for domain in {node.domain for node in proto.graph.node} - imported:
        skeleton.opset_import.append(helper.make_opsetid(domain, 1))
    known = all(onnx.defs.has(node.op_type, node.domain) for node in proto.graph.node)
    try:
        result = shape_inference.infer_shapes(skeleton, check_type=known, strict_mode=False)
    except Exception as error:  # it has several kinds of errors of its own
        if not known:
            return {}, {}  # operators that onnx does not know are listed later, by name
        raise SystolithError(f"{path}: types or shapes do not fit: {one_line(error)}") from None
    shapes, kinds = {}, {}
    for entry in (*result.graph.value_info, *result.graph.input, *result.graph.output):
        kinds[entry.name] = entry.type.tensor_type.elem_type
        dims = [dim.dim_value for dim in entry.type.tensor_type.shape.dim]
        if len(dims) in (2, 4) and min(dims[1:]) > 0:
            shapes[entry.name] = tuple(dims[1:])
    return shapes, kinds
