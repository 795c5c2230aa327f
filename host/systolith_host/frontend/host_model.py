"""An ONNX model of the nodes between two cuts, with this network's tensors at both ends."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from systolith_host.frontend.layout import Layout
from systolith_host.frontend.structure import reads
from systolith_host.program.part import HostPart

if TYPE_CHECKING:
    from systolith_host.frontend.hosted import Hosted
    from systolith_host.frontend.reader import Reader

__all__ = ["host_part"]

_OWN = "systolith_"
"""What the names of tensors begin with that the file does not have."""


def host_part(reader: "Reader", hosted: "Hosted", name: str) -> HostPart:
    """Return the model that makes a tensor, by ONNX's name, of tensors of the array."""
    nodes = hosted.within(reader, [name])
    steps: list[onnx.NodeProto] = []
    values: list[onnx.TensorProto] = []
    inputs, shapes = [], []
    for number, cut in enumerate(hosted.cuts(reader, name)):
        given, shape = f"{_OWN}{number}", reader.shapes[reader.alias[cut]]
        inputs.append(helper.make_tensor_value_info(given, TensorProto.FLOAT, (1, *shape)))
        shapes.append(shape)
        edge = _Edge(given, steps, values)
        edge.lay_out(reader.layouts.get(cut), shape)
        whole = reader.whole_shape(cut)
        if whole is not None and len(whole) != 1 + len(shape):  # a vector with sides of 1
            edge.add("Reshape", np.array(whole, np.int64))
        _into_kind(reader, hosted.kinds.get(cut, TensorProto.FLOAT), cut, edge)
        edge.end(cut)
    used = dict.fromkeys(source for node in nodes for source in reads(node))
    values += [
        numpy_helper.from_array(np.ascontiguousarray(reader.constants[source]), source)
        for source in used
        if source in reader.constants
    ]
    steps += nodes
    edge = _Edge(name, steps, values, f"{_OWN}out")
    edge.add("Cast", to=TensorProto.FLOAT)
    layout = reader.layouts.get(name)
    if layout is not None:
        edge.add("Transpose", perm=[0, *(1 + layout.axes.index(axis) for axis in range(3))])
    made = f"{_OWN}result"
    edge.end(made)
    result = helper.make_tensor_value_info(made, TensorProto.FLOAT, (1, *reader.shapes[name]))
    graph = helper.make_graph(steps, "host", inputs, [result], values)
    model = helper.make_model(
        graph, opset_imports=hosted.opsets, ir_version=hosted.version, producer_name="systolith"
    )
    operators = tuple(node.op_type for node in nodes)
    return HostPart(model.SerializeToString(), operators, tuple(shapes))


def _into_kind(reader: "Reader", kind: int, cut: str, edge: "_Edge") -> None:
    """Make the file's type of real values: integers where the file has a tensor's integers."""
    root = reader.root(reader.alias[cut])
    if reader.integers.get(root) == cut:
        scale = reader.scales[root]
        zero = np.array(scale.zero_point, np.uint8 if scale.unsigned else np.int8)
        edge.add("QuantizeLinear", np.array(scale.scale, np.float32), zero)
    elif kind != TensorProto.FLOAT:
        edge.add("Cast", to=kind)


class _Edge:
    """Nodes at one end of a model, one behind the other."""

    def __init__(
        self,
        tensor: str,
        nodes: list[onnx.NodeProto],
        values: list[onnx.TensorProto],
        prefix: str = "",
    ) -> None:
        self._tensor, self._nodes, self._values = tensor, nodes, values
        self._prefix, self._count = prefix or tensor, 0

    def add(self, operator: str, *constants: np.ndarray, **attributes: Any) -> None:
        names = []
        for values in constants:
            names.append(f"{self._prefix}_value{len(self._values)}")
            self._values.append(numpy_helper.from_array(values, names[-1]))
        self._count += 1
        made = f"{self._prefix}_{self._count}"
        self._nodes.append(helper.make_node(operator, [self._tensor, *names], [made], **attributes))
        self._tensor = made

    def lay_out(self, layout: Layout | None, shape: Collection[int]) -> None:
        """Bring a tensor of this network into the file's order of axes."""
        if layout is None:
            return
        if layout.image is not None:
            self.add("Reshape", np.array((1, *layout.image), np.int64))
        self.add("Transpose", perm=[0, *(1 + axis for axis in layout.axes)])
        if layout.image is not None:
            self.add("Reshape", np.array((1, *shape), np.int64))

    def end(self, name: str) -> None:
        """Give the last tensor a name."""
        self._nodes.append(helper.make_node("Identity", [self._tensor], [name]))
