"""An ONNX model of the nodes between two cuts, with this network's tensors at both ends."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from systolith_host.frontend.layout import Layout
from systolith_host.frontend.structure import reads
from systolith_host.network.scales import ActivationScale
from systolith_host.program.part import HostEnd, HostPart

if TYPE_CHECKING:
    from systolith_host.frontend.hosted import Hosted
    from systolith_host.frontend.reader import Reader

__all__ = ["host_end", "host_part"]

_OWN = "systolith_"
"""What the names of tensors begin with that the file does not have."""


def host_part(reader: "Reader", hosted: "Hosted", name: str) -> HostPart:
    """Return the model that makes a tensor, by ONNX's name, of tensors of the array."""
    draft = _Draft(reader, hosted, [name])
    edge = _Edge(name, draft.nodes, draft.values, f"{_OWN}out")
    if reader.integers.get(name) == name:
        scale = reader.scales[name]
        edge.add("DequantizeLinear", *_scale_of(scale))
    else:
        edge.add("Cast", to=TensorProto.FLOAT)
    layout = reader.layouts.get(name)
    if layout is not None:
        edge.add("Transpose", perm=[0, *(1 + layout.axes.index(axis) for axis in range(3))])
    made = f"{_OWN}result"
    edge.end(made)
    shape = (1, *reader.shapes[name])
    return draft.part([helper.make_tensor_value_info(made, TensorProto.FLOAT, shape)])


def host_end(reader: "Reader", hosted: "Hosted", names: Sequence[str]) -> HostEnd:
    """Return the model that makes outputs of the file, as the file has them."""
    draft = _Draft(reader, hosted, names)
    part = draft.part([helper.make_empty_tensor_value_info(name) for name in names])
    return HostEnd(part, tuple(reader.alias[cut] for cut in draft.cuts), tuple(names))


class _Draft:
    """A model under construction: from the array's tensors to tensors of the host."""

    def __init__(self, reader: "Reader", hosted: "Hosted", names: Sequence[str]) -> None:
        found = [cut for name in names for cut in hosted.cuts(reader, name)]
        self.cuts = tuple(dict.fromkeys(found))
        self.nodes: list[onnx.NodeProto] = []
        self.values: list[onnx.TensorProto] = []
        self._hosted = hosted
        self._inputs, self._shapes = [], []
        for number, cut in enumerate(self.cuts):
            given, shape = f"{_OWN}{number}", reader.shapes[reader.alias[cut]]
            self._inputs.append(
                helper.make_tensor_value_info(given, TensorProto.FLOAT, (1, *shape))
            )
            self._shapes.append(shape)
            edge = _Edge(given, self.nodes, self.values)
            edge.lay_out(reader.layouts.get(cut), shape)
            whole = reader.whole_shape(cut)
            if whole is not None and len(whole) != 1 + len(shape):  # a vector with sides of 1
                edge.add("Reshape", np.array(whole, np.int64))
            _into_kind(reader, hosted.kinds.get(cut, TensorProto.FLOAT), cut, edge)
            edge.end(cut)
        nodes = hosted.within(reader, names)
        used = dict.fromkeys(source for node in nodes for source in reads(node))
        self.values += [
            numpy_helper.from_array(hosted.value(reader, source), source)
            for source in used
            if source in reader.constants
        ]
        self.nodes += nodes
        own = hosted.own(reader, names)
        self._operators = tuple(node.op_type for node in own) or ("Input",)

    def part(self, outputs: Sequence[onnx.ValueInfoProto]) -> HostPart:
        """Return the model with these outputs."""
        graph = helper.make_graph(self.nodes, "host", self._inputs, outputs, self.values)
        model = helper.make_model(
            graph,
            opset_imports=self._hosted.opsets,
            ir_version=self._hosted.version,
            producer_name="systolith",
        )
        return HostPart(model.SerializeToString(), self._operators, tuple(self._shapes))


def _into_kind(reader: "Reader", kind: int, cut: str, edge: "_Edge") -> None:
    """Make the file's type of real values: integers where the file has a tensor's integers."""
    if cut in reader.integer_names:
        edge.add("QuantizeLinear", *_scale_of(reader.scales[reader.root(reader.alias[cut])]))
    elif kind != TensorProto.FLOAT:
        edge.add("Cast", to=kind)


def _scale_of(scale: ActivationScale) -> tuple[np.ndarray, np.ndarray]:
    """Return the constants of a QuantizeLinear or DequantizeLinear."""
    zero = np.array(scale.zero_point, np.uint8 if scale.unsigned else np.int8)
    return np.array(scale.scale, np.float32), zero


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
