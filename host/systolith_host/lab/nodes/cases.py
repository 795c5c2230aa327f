"""The operator tests of the package onnx as networks, each with the result that onnx gives."""

import contextlib
import io
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from systolith_host.frontend.functions import FUNCTIONS
from systolith_host.frontend.operators import OPERATORS
from systolith_host.frontend.quantized import QUANTIZED
from systolith_host.lab.nodes.axes import lifted

__all__ = ["CLAIMED", "VERSION", "NodeTest", "TestNetwork", "node_tests"]

VERSION = onnx.__version__
"""Of onnx, whose tests these are."""

_READ = {*OPERATORS, *QUANTIZED, *FUNCTIONS, "Constant", "ConstantOfShape", "Shape"}

CLAIMED = frozenset(name for name in _READ if onnx.defs.has(name))
"""Operators of onnx's own domain that the array computes, or that vanish."""

_JOINED = frozenset("Add Concat Div Max Mean Min Mul Sub Sum".split())
"""Operators whose inputs may all be tensors of the network."""


@dataclass(frozen=True, eq=False)
class TestNetwork:
    """A network, and what onnx says that it gives, by the names of its outputs."""

    proto: onnx.ModelProto
    wanted: Mapping[str, np.ndarray]

    __test__ = False
    """Nothing for pytest to collect."""


@dataclass(frozen=True, eq=False)
class NodeTest:
    """A test of one operator as networks of one input.

    Parameters
    ----------
    name : str
        As in onnx.
    operator : str
    alone : TestNetwork
        The node with nothing else, unless its inputs are taken out of one.
    between : TestNetwork, optional
        The node behind a layer that keeps what it is given, and before another one if its output
        can be taken by one: the host computes nothing without a layer of the array. None where
        there is no such layer for its input.
    x : ndarray
        The input, shape (N, ...).
    rtol, atol : float
        By which outputs may be off.
    """

    name: str
    operator: str
    alone: TestNetwork
    between: TestNetwork | None
    x: np.ndarray
    rtol: float
    atol: float


def node_tests() -> Iterator[NodeTest]:
    """Yield every test whose inputs and outputs are tensors, and one of the inputs of floats.

    The first input of floats is the network's, the others are constants. Tensors of one and three
    axes get one more in front where that makes no difference. Where the other inputs have the shape
    of the first, and may be tensors, the network's input has the channels of all, and convolutions
    or matrices take them apart.
    """
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # the tests' own computations overflow here and there
        from onnx.backend.test.loader import load_node_model_tests

        cases = load_node_model_tests()
    for case in cases:
        assert case.model is not None
        assert case.data_sets
        given, wanted = map(_arrays, case.data_sets[0])
        if given is None or wanted is None:
            continue
        operator = case.name.removeprefix("test_").split("_")[0]
        nodes = case.model.graph.node
        operator = nodes[0].op_type if len(nodes) == 1 else operator
        made = _networks(case.model, given, wanted, operator)
        if made is not None:
            yield NodeTest(case.name, operator, *made, case.rtol, case.atol)


def _arrays(values: Iterable[object]) -> list[np.ndarray] | None:
    """Return tensors as NumPy's; None if one of them is a sequence, or something optional."""
    made = []
    for value in values:
        if not isinstance(value, onnx.TensorProto | np.generic | np.ndarray):
            return None
        tensor = isinstance(value, onnx.TensorProto)
        made.append(numpy_helper.to_array(value) if tensor else np.asarray(value))
    return made


def _networks(
    model: onnx.ModelProto,
    given: Sequence[np.ndarray],
    wanted: Sequence[np.ndarray],
    operator: str,
) -> tuple[TestNetwork, TestNetwork | None, np.ndarray] | None:
    names = [value.name for value in model.graph.input]
    floats = [place for place, values in enumerate(given) if values.dtype.kind == "f"]
    if not floats or len(names) != len(given):
        return None
    first = floats[0]
    x = given[first]
    more = lifted(model.graph.node[0], given, wanted, first) if _is_single(model) else None
    if more is not None:
        model = _with_node(model, more.node)
        given, wanted, x = more.given, more.wanted, more.given[first]
    net = _Net(model, names[first], x, wanted)
    same = all(values.shape == x.shape and values.dtype == x.dtype for values in given)
    if operator in _JOINED and len(given) > 1 and same and x.ndim in (2, 4):
        x = np.concatenate(given, axis=1)
        return net.joined(names, x, last=False), net.joined(names, x, last=True), x
    constants = [
        numpy_helper.from_array(values, name)
        for place, (name, values) in enumerate(zip(names, given, strict=True))
        if place != first
    ]
    return net.alone(constants), net.between(constants), x


def _is_single(model: onnx.ModelProto) -> bool:
    return len(model.graph.node) == 1


def _with_node(model: onnx.ModelProto, node: onnx.NodeProto) -> onnx.ModelProto:
    made = onnx.ModelProto()
    made.CopyFrom(model)
    made.graph.node[0].CopyFrom(node)
    return made


@dataclass(frozen=True, eq=False)
class _Net:
    """Makes networks around the nodes of a test; `x` is its input of that name."""

    model: onnx.ModelProto
    name: str
    x: np.ndarray
    wanted: Sequence[np.ndarray]

    def alone(self, constants: Sequence[onnx.TensorProto]) -> TestNetwork:
        """Return the nodes with all other inputs constant."""
        return self._network(self.name, self.x, _Layers(), constants, last=False)

    def between(self, constants: Sequence[onnx.TensorProto]) -> TestNetwork | None:
        """Return the same behind a layer, and before another one if its output can be taken."""
        if not _has_layer(self.x):
            return None
        layers, source = _Layers(), f"{self.name}.given"
        layers.append(source, self.name, self.x, 0, self.x.shape[1])
        last = _has_layer(self.wanted[0])
        return self._network(source, self.x, layers, constants, last=last)

    def joined(self, names: Sequence[str], x: np.ndarray, *, last: bool) -> TestNetwork:
        """Return the nodes with all inputs taken out of one, `x`, which has them in turn."""
        layers = _Layers()
        for place, name in enumerate(names):
            layers.append("given", name, self.x, place, x.shape[1])
        return self._network("given", x, layers, [], last=last and _has_layer(self.wanted[0]))

    def _network(
        self,
        source: str,
        x: np.ndarray,
        layers: "_Layers",
        constants: Sequence[onnx.TensorProto],
        *,
        last: bool,
    ) -> TestNetwork:
        made = onnx.ModelProto()
        made.CopyFrom(self.model)
        graph = made.graph
        old = list(graph.node)
        names = [output.name for output in graph.output]
        wanted = dict(zip(names, self.wanted, strict=True))
        behind = _Layers()
        if last:
            first = self.wanted[0]
            behind.append(names[0], "kept", first, 0, first.shape[1])
            del graph.output[:]
            kind = helper.np_dtype_to_tensor_dtype(first.dtype)
            graph.output.append(helper.make_tensor_value_info("kept", kind, None))
            wanted = {"kept": first}
        del graph.node[:], graph.input[:], graph.value_info[:]
        graph.node.extend([*layers.nodes, *old, *behind.nodes])
        for place, node in enumerate(graph.node):
            node.name = node.name or f"{node.op_type}{place}"
        kind = helper.np_dtype_to_tensor_dtype(x.dtype)
        graph.input.append(helper.make_tensor_value_info(source, kind, x.shape))
        graph.initializer.extend([*layers.weights, *constants, *behind.weights])
        for output in graph.output:
            output.type.tensor_type.ClearField("shape")
        return TestNetwork(made, wanted)


class _Layers:
    """Layers that take some of the channels of a tensor, and leave them as they are."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def append(self, source: str, name: str, like: np.ndarray, place: int, total: int) -> None:
        """Append one that takes a tensor like another out of `total` channels of the source."""
        channels, weights = like.shape[1], f"{name}.part"
        chosen = np.eye(total, dtype=like.dtype)[place * channels : (place + 1) * channels]
        if like.ndim == 2:
            values, operator = chosen.T, "MatMul"
        else:
            values, operator = chosen[:, :, None, None], "Conv"
        self.nodes.append(helper.make_node(operator, [source, weights], [name], f"{name}.layer"))
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values), weights))


def _has_layer(values: np.ndarray) -> bool:
    """Return whether a layer can take a tensor; products with 0 would spread what is not finite."""
    if values.ndim not in (2, 4) or values.dtype != np.float32:
        return False
    return values.size > 0 and bool(np.isfinite(values).all())
