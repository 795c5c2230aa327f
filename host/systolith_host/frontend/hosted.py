"""The nodes of a file that the host computes: which they are, and where the array goes on."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

from systolith_host.frontend.constants import compute
from systolith_host.frontend.integer_input import BYTES, FLOATS, meaning
from systolith_host.frontend.layout import Layout
from systolith_host.frontend.limits import LARGEST_ACTIVATION, LARGEST_SIDE
from systolith_host.frontend.loading import one_line
from systolith_host.frontend.problems import InvalidError, Problem, UnsupportedError
from systolith_host.frontend.structure import reads
from systolith_host.network.graph import Host
from systolith_host.network.scales import ActivationScale
from systolith_host.program.part import HostPart

if TYPE_CHECKING:
    from systolith_host.frontend.reader import Reader

__all__ = ["LATER", "WEIGHTED", "Hosted"]

LATER = HostPart(b"", (), ())
"""In place of what the host computes, until it is known that the array wants it."""

WEIGHTED = frozenset(
    "Conv ConvTranspose Gemm MatMul QGemm QLinearConv QLinearMatMul GRU LSTM RNN".split()
)
"""Operators that are the network itself; the array computes them wherever it can."""

_FREE = frozenset("Cast Dropout Flatten Identity Pad Reshape Squeeze Transpose Unsqueeze".split())
"""Operators that cost neither side anything, so that they stand on both sides of a cut."""

_SCALES = frozenset(("DequantizeLinear", "QuantizeLinear"))

_RANDOM = frozenset(
    "Bernoulli Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike".split()
)

_ALIKE = {
    "QLinearAdd": (0, 3),
    "QLinearLeakyRelu": (0,),
    "QLinearMul": (0, 3),
    "QLinearSigmoid": (0,),
    "QLinearSoftmax": (0,),
    "QuickGelu": (0,),
}
"""Operators of onnxruntime that onnx does not know, and the inputs that their output is like."""

_LARGEST_DATA = 4096
"""Elements of a constant whose values may decide the shape of a node's output."""


class Hosted:
    """What the host computes of a file, while it is read.

    Parameters
    ----------
    proto : ModelProto
        The file, for the versions of its operators.
    kinds : mapping of str to int
        Element types of its tensors, as far as they are known.
    forced : mapping of int to str
        By the numbers of nodes that are the host's, whatever the array can do, the reasons.
    front : int
        The number of nodes in front that are not the file's own.
    """

    def __init__(
        self,
        proto: onnx.ModelProto,
        kinds: Mapping[str, int],
        forced: Mapping[int, str],
        front: int = 0,
    ) -> None:
        self.front = front
        self.names: set[str] = set()
        """Tensors that nodes of the host make."""
        self.refused: dict[int, Problem] = {}
        """By the numbers of the host's nodes, why they are there."""
        self.hopeless: set[int] = set()
        """Numbers of the nodes that nobody can compute."""
        self.numbers: dict[str, int] = {}
        """By the names of nodes and of their outputs, the nodes' numbers."""
        self.opsets = list(proto.opset_import)
        self.version = max(proto.ir_version, 8)
        self.kinds = kinds
        self._graph = proto.graph
        self._forced = forced
        self._makers: dict[str, tuple[int, onnx.NodeProto]] = {}
        self._behind: set[str] = set()
        self._types: dict[str, onnx.TypeProto | None] = {}
        self._cuts: dict[str, tuple[str, ...]] = {}

    def note(self, proto: onnx.NodeProto, number: int, name: str) -> None:
        """Take note of a node, wherever it is computed."""
        for output in proto.output:
            self._makers[output] = (number, proto)
            self.numbers[output] = number
        self.numbers[name] = number
        if proto.name:
            self.numbers.setdefault(proto.name, number)

    def claims(self, reader: "Reader", proto: onnx.NodeProto, number: int) -> str | None:
        """Return why the host computes a node whatever the array can do; None if it need not.

        What the host has made anyway, it goes on with: a pass of the array more would save nothing.
        """
        if number in self._forced:
            return self._forced[number]
        if proto.op_type in WEIGHTED | _FREE | _SCALES or proto.op_type.startswith("QLinear"):
            return None
        return "follows nodes on the host" if self._follows(reader, proto) else None

    def follow(self, reader: "Reader", proto: onnx.NodeProto) -> None:
        """Take note of a node that the array has taken in: both sides may have it."""
        if proto.op_type in _FREE and self._follows(reader, proto):
            self._behind.update(proto.output)

    def _follows(self, reader: "Reader", proto: onnx.NodeProto) -> bool:
        inputs = [name for name in reads(proto) if name not in reader.constants]
        return bool(inputs) and all(n in self.names or n in self._behind for n in inputs)

    def holds(self, reader: "Reader", name: str) -> bool:
        """Return whether a tensor exists on the host alone, or may be made there."""
        moved = name in reader.padded or name in reader.factored
        return moved or name in self.names or name in self._behind

    def cuts(self, reader: "Reader", name: str) -> tuple[str, ...]:
        """Return the tensors of the array, by ONNX's names, from which the host makes another."""
        if name in reader.constants:
            return ()
        if not self.holds(reader, name):
            if name not in reader.alias:
                raise UnsupportedError(f"takes {name}, which nothing makes of the input")
            return (name,)
        if name not in self._cuts:
            _, proto = self._makers[name]
            found = [cut for source in reads(proto) for cut in self.cuts(reader, source)]
            self._cuts[name] = tuple(dict.fromkeys(found))
        return self._cuts[name]

    def take(
        self, reader: "Reader", proto: onnx.NodeProto, number: int, title: str, reason: str
    ) -> None:
        """Let the host compute a node; the array may take what it makes.

        Parameters
        ----------
        number : int
            Of the node.
        title : str
            Its name in the network.
        reason : str
            Why the array does not compute it.

        Raises
        ------
        UnsupportedError
            If the host cannot, either.
        """
        if proto.op_type in _RANDOM:
            raise UnsupportedError("makes random numbers, which nothing can be compared with")
        if all(source in reader.constants for source in reads(proto)):
            self._compute(reader, proto)
            return
        self.refused[number] = Problem(proto.name or title, proto.op_type, reason)
        self.names.update(name for name in proto.output if name)
        for place, name in enumerate(proto.output):
            reader.alias.pop(name, None)
            offered = self._offer(reader, name) if name else None
            if offered is None:
                continue
            shape, layout = offered
            if not self._scaled(reader, name):
                continue
            inputs = tuple(reader.alias[cut] for cut in self.cuts(reader, name))
            reader.nodes.append(Host(f"{title}.{place}" if place else title, inputs, name, LATER))
            reader.shapes[name] = shape
            reader.call(name, name, layout)

    def _scaled(self, reader: "Reader", name: str) -> bool:
        """Note the scale of a tensor of integers; return whether the array can take a tensor."""
        kind = self.type_of(reader, name)
        if kind is None or kind.tensor_type.elem_type not in BYTES:
            return True
        kind = helper.tensor_dtype_to_np_dtype(kind.tensor_type.elem_type).name
        found = meaning(self._graph, name, kind, reader.constants)
        if found is None:
            return False
        whole, scaled = found
        if scaled:
            unsigned = kind == "uint8"
            reader.scales[name] = ActivationScale(unsigned, whole.scale, whole.zero_point)
            reader.hold_integers(name, name)
        return scaled

    def value(self, reader: "Reader", name: str) -> np.ndarray:
        """Return a constant in the type that it has in the file; weights are more precise here."""
        values = np.asarray(reader.constants[name], order="C")
        if name in reader.quantized and values.dtype == np.float64:
            kind = self.kinds.get(name, TensorProto.FLOAT)
            return values.astype(helper.tensor_dtype_to_np_dtype(kind))
        return values

    def _compute(self, reader: "Reader", proto: onnx.NodeProto) -> None:
        """Compute a node of constants that is none of weights and shapes."""
        inputs = {name: reader.constants[name] for name in proto.input if name}
        self._infer(reader, proto)
        for name in proto.output:
            kind = self._types.get(name)
            sides = None if kind is None else _sides(kind)
            if sides is None:
                raise UnsupportedError("makes a constant whose size nobody knows before")
            reader.take(math.prod(sides))
        try:
            made = compute(proto, inputs, reader.opset)
        except ValueError as error:
            raise UnsupportedError(str(error)) from None
        reader.constants.update(zip(proto.output, made, strict=True))

    def _offer(self, reader: "Reader", name: str) -> tuple[tuple[int, ...], Layout | None] | None:
        """Return the shape and layout with which the array can take a tensor; None if it cannot."""
        kind = self.type_of(reader, name)
        if kind is None or kind.tensor_type.elem_type not in FLOATS + BYTES:
            return None
        sides = _sides(kind)
        if sides is None or len(sides) not in (2, 4) or sides[0] != 1 or min(sides) < 1:
            return None
        if math.prod(sides) > LARGEST_ACTIVATION or max(sides[2:], default=1) > LARGEST_SIDE:
            return None
        layout = None
        if len(sides) == 4:  # most nodes keep the order of axes
            given = (reader.layouts.get(source) for source in reads(self._makers[name][1]))
            layout = next((each for each in given if each and each.image is None), None)
        shape = sides[1:]
        return (shape if layout is None else layout.inverse(shape)), layout

    def shape_of(self, reader: "Reader", name: str) -> tuple[int, ...] | None:
        """Return a tensor's shape in the file for one image; None if nobody knows it."""
        kind = self.type_of(reader, name)
        return None if kind is None else _sides(kind)

    def type_of(self, reader: "Reader", name: str) -> onnx.TypeProto | None:
        """Return a tensor's type and shape for one image, as far as they can be told."""
        if name in reader.constants:
            values = self.value(reader, name)
            kind = helper.np_dtype_to_tensor_dtype(values.dtype)
            return helper.make_tensor_type_proto(kind, values.shape)
        if not self.holds(reader, name):
            shape = reader.whole_shape(name)
            kind = self.kinds.get(name, TensorProto.FLOAT)
            if name in reader.integer_names:
                root = reader.root(reader.alias[name])
                kind = TensorProto.UINT8 if reader.scales[root].unsigned else TensorProto.INT8
            return None if shape is None else helper.make_tensor_type_proto(kind, shape)
        if name not in self._types:
            self._infer(reader, self._makers[name][1])
        return self._types.get(name)

    def _infer(self, reader: "Reader", proto: onnx.NodeProto) -> None:
        """Find the types of the outputs of a node."""
        found: Mapping[str, onnx.TypeProto] = {}
        kinds = {source: self.type_of(reader, source) for source in reads(proto)}
        known = {source: kind for source, kind in kinds.items() if kind is not None}
        small = {
            source: numpy_helper.from_array(self.value(reader, source), source)
            for source in kinds
            if source in reader.constants and reader.constants[source].size <= _LARGEST_DATA
        }
        if len(known) == len(kinds) and onnx.defs.has(proto.op_type, proto.domain):
            try:
                schema = onnx.defs.get_schema(proto.op_type, reader.opset, proto.domain)
                found = shape_inference.infer_node_outputs(
                    schema, proto, known, small, opset_imports=self.opsets
                )
            except Exception as error:  # it has several kinds of errors of its own
                self._types |= dict.fromkeys(proto.output)  # asked again, nobody knows
                raise InvalidError(f"is not valid: {one_line(error)}") from None
        elif proto.op_type in _ALIKE and proto.domain == "com.microsoft":
            found = _like(proto, [known.get(proto.input[place]) for place in _ALIKE[proto.op_type]])
        for output in proto.output:
            self._types[output] = found.get(output) or self._inferred(reader, output)
        if any(entry.name == "ceil_mode" and entry.i for entry in proto.attribute):
            self._correct_pool(proto, known)

    def _correct_pool(self, proto: onnx.NodeProto, known: Mapping[str, onnx.TypeProto]) -> None:
        """Take the shape of a pool from its windows: onnx counts those beyond the image, too."""
        # Layers are read by the reader, which has this class.
        from systolith_host.frontend.layers import attributes, windows

        source = known.get(proto.input[0])
        sides = None if source is None else _sides(source)
        found = attributes(proto)
        kernel = found.get("kernel_shape", ())
        if source is None or sides is None or len(sides) != 4 or len(kernel) != 2:
            return
        *_, size = windows(found, (sides[2], sides[3]), (kernel[0], kernel[1]))
        kind = source.tensor_type.elem_type
        made = helper.make_tensor_type_proto(kind, (*sides[:2], *size))
        self._types[proto.output[0]] = made

    def _inferred(self, reader: "Reader", name: str) -> onnx.TypeProto | None:
        shape = reader.inferred.get(name)
        if shape is None or name not in self.kinds:
            return None
        return helper.make_tensor_type_proto(self.kinds[name], (1, *shape))

    def within(self, reader: "Reader", names: Sequence[str]) -> list[onnx.NodeProto]:
        """Return the nodes by which the host makes tensors, in the file's order."""
        found: dict[int, onnx.NodeProto] = {}
        open_ends = list(names)
        while open_ends:
            name = open_ends.pop()
            if name in reader.constants or not self.holds(reader, name):
                continue
            number, proto = self._makers[name]
            if number not in found:
                found[number] = proto
                open_ends += reads(proto)
        return [found[number] for number in sorted(found)]

    def own(self, reader: "Reader", names: Sequence[str]) -> list[onnx.NodeProto]:
        """Return those of :meth:`within` that are the file's own."""
        nodes = self.within(reader, names)
        return [node for node in nodes if self.numbers[node.output[0]] >= self.front]

    def leading_nowhere(self, reader: "Reader", nodes: Sequence[onnx.NodeProto]) -> set[int]:
        """Return passes of the array that take something from the host, and lead to no layer.

        Parameters
        ----------
        nodes : sequence of NodeProto
            All of the file.
        """
        leading: set[str] = set()
        found = set()
        for number in reversed(range(len(nodes))):
            node = nodes[number]
            if number in self.refused or all(name in reader.constants for name in node.output):
                continue
            if node.op_type in WEIGHTED | _SCALES or not leading.isdisjoint(node.output):
                leading.update(node.input)
            elif node.op_type not in _FREE and any(
                name in self.names or name in self._behind for name in node.input
            ):
                found.add(number)
        return found


def _like(
    proto: onnx.NodeProto, kinds: Sequence[onnx.TypeProto | None]
) -> dict[str, onnx.TypeProto]:
    """Return the output's type of a node of single values, from those of its inputs."""
    sides = [None if kind is None else _sides(kind) for kind in kinds]
    shapes = [each for each in sides if each is not None]
    if kinds[0] is None or len(shapes) < len(sides):
        return {}
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        raise InvalidError(f"is not valid: shapes {shapes} do not go together") from None
    kind = kinds[0].tensor_type.elem_type
    return {proto.output[0]: helper.make_tensor_type_proto(kind, shape)}


def _sides(kind: onnx.TypeProto) -> tuple[int, ...] | None:
    """Return a shape; None if it is not known in full."""
    if not kind.tensor_type.HasField("shape"):
        return None
    dims = kind.tensor_type.shape.dim
    return (
        tuple(dim.dim_value for dim in dims) if all(d.HasField("dim_value") for d in dims) else None
    )
