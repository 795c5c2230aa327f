"""Functions of one number in ONNX files: their operators, and regions that become a table."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx

from systolith_host.frontend.absorb import Affine
from systolith_host.frontend.arithmetic import arithmetic
from systolith_host.frontend.host import end
from systolith_host.frontend.layers import attributes
from systolith_host.frontend.problems import Problem, UnsupportedError
from systolith_host.frontend.reader import Handler, Reader
from systolith_host.network.functions import Step
from systolith_host.network.graph import Add, Clip, Function, Graph, LayerWeights, Node, Relu
from systolith_host.network.scales import ActivationScale

__all__ = ["FUNCTIONS", "final_sigmoids", "tabulate"]


@dataclass(frozen=True)
class Elementwise(Node):
    """An operation of :data:`~systolith_host.network.functions.ONE` with its numbers."""

    operation: str
    numbers: tuple[float, ...] = ()


@dataclass(frozen=True)
class Product(Node):
    """The product of two tensors of one shape; `title` is its name in the file."""

    title: str = ""


_LARGEST_REGION = 100
"""Nodes that one table may stand for."""


def _multiply(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    """Append a product with a constant, or of two tensors, which only a table can give."""
    if any(reader.is_constant(proto, place) for place in (0, 1)):
        arithmetic(reader, proto, name)
        return
    first, second = reader.source(proto, 0, moved=True), reader.source(proto, 1, moved=True)
    shape, layout = reader.shapes[first], reader.layout(proto, 0)
    if shape != reader.shapes[second] or layout != reader.layout(proto, 1):
        raise UnsupportedError(
            f"multiplies tensors of {shape} and {reader.shapes[second]}; {_ONE_TENSOR}"
        )
    title = proto.name or name
    reader.add(proto, Product(name, (first, second), proto.output[0], title), shape, layout)


_ONE_TENSOR = "a product of two tensors runs only where both are functions of one"


def _append(
    reader: Reader, proto: onnx.NodeProto, name: str, operation: str, *numbers: float
) -> None:
    source = reader.source(proto, moved=True)
    if not all(np.isfinite(number) for number in numbers):
        raise UnsupportedError(f"its numbers must be finite, not {numbers}")
    node = Elementwise(name, (source,), proto.output[0], operation, numbers)
    reader.add(proto, node, reader.shapes[source], reader.layout(proto))


def _plain(operation: str, **defaults: float) -> Handler:
    """Return the reader of an operator whose attributes are an operation's numbers."""

    def handler(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
        found = attributes(proto)
        numbers = [float(found.get(key, value)) for key, value in defaults.items()]
        _append(reader, proto, name, operation, *numbers)

    return handler


def _sigmoid(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    if proto.output[0] in reader.final:
        if reader.hosted is not None:  # what follows may need it, and more than it
            raise UnsupportedError("ends the network, as a softmax does")
        end(reader, proto, name)
    else:
        _append(reader, proto, name, "sigmoid")


def _prelu(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    slope = reader.constant(proto, 1)
    if slope is None or not slope.size or (slope != slope.flat[0]).any():
        raise UnsupportedError("has a slope for each channel; a table has one slope for all")
    _append(reader, proto, name, "leaky_relu", float(slope.flat[0]))


def _gelu(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    approximate = attributes(proto).get("approximate", b"none").decode()
    if approximate not in ("none", "tanh"):
        raise UnsupportedError(f"approximate must be none or tanh, not {approximate}")
    _append(reader, proto, name, "gelu_tanh" if approximate == "tanh" else "gelu")


def _celu(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    alpha = float(attributes(proto).get("alpha", 1.0))
    if alpha == 0:
        raise UnsupportedError("alpha must not be 0, by which it divides")
    _append(reader, proto, name, "celu", alpha)


FUNCTIONS: dict[str, Handler] = {
    "Abs": _plain("abs"),
    "Celu": _celu,
    "Elu": _plain("elu", alpha=1.0),
    "Erf": _plain("erf"),
    "Gelu": _gelu,
    "HardSigmoid": _plain("hard_sigmoid", alpha=0.2, beta=0.5),
    "HardSwish": _plain("hard_swish"),
    "LeakyRelu": _plain("leaky_relu", alpha=0.01),
    "Mish": _plain("mish"),
    "Mul": _multiply,
    "PRelu": _prelu,
    "Selu": _plain("selu", alpha=1.67326319217681884765625, gamma=1.05070102214813232421875),
    "Sigmoid": _sigmoid,
    "Softplus": _plain("softplus"),
    "Softsign": _plain("softsign"),
    "Swish": _plain("swish", alpha=1.0),
    "Tanh": _plain("tanh"),
    "ThresholdedRelu": _plain("thresholded_relu", alpha=1.0),
}
"""Operators that run as tables only, and products, which may be a part of such."""


_LAST = frozenset("Conv ConvTranspose Gemm MatMul QGemm QLinearConv QLinearMatMul".split())


def final_sigmoids(graph: onnx.GraphProto) -> frozenset[str]:
    """Return the outputs of Sigmoids that end a network: no layer follows, and nothing joins.

    Those belong to the host, as a softmax does.
    """
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    made = {name for node in graph.node for name in node.output}
    found = set()
    for node in graph.node:
        if node.op_type != "Sigmoid":
            continue
        behind, waiting, final = set(node.output), list(node.output), True
        while waiting and final:
            for user in users.get(waiting.pop(), []):
                joins = any(name in made and name not in behind for name in user.input)
                final = final and user.op_type not in _LAST and not joins
                fresh = [name for name in user.output if name not in behind]
                behind.update(fresh)
                waiting += fresh
        if final:
            found.update(node.output)
    return frozenset(found)


def tabulate(
    graph: Graph, weights: Mapping[str, LayerWeights], scales: Mapping[str, ActivationScale]
) -> tuple[Graph, list[Problem]]:
    """Return the network with a :class:`Function` for each region of nodes that computes one.

    A region makes one tensor from one other, value by value; it may branch inside. It begins at
    the nearest tensor that others use, too, or that no operation on single values makes. Where a
    tensor inside was quantised, the function rounds as the file does. Nodes that a layer can take
    in, such as clamps, are left alone where nothing else is around.

    Parameters
    ----------
    graph : Graph
        Its outputs need all of its nodes.
    weights : mapping of str to LayerWeights
    scales : mapping of str to ActivationScale

    Returns
    -------
    graph : Graph
    problems : list of Problem
        Products of tensors for which there is no table.
    """
    makers = {node.output: (place, node) for place, node in enumerate(graph.nodes)}
    single = {name for name, (_, node) in makers.items() if _is_single(node, weights)}
    if not any(isinstance(node, Elementwise | Product) for node in graph.nodes):
        return graph, []
    shared = set(graph.outputs) | {graph.input}
    for node in graph.nodes:
        if node.output not in single:
            shared.update(node.inputs)
    needed = set(graph.outputs)
    nodes: list[Node] = []
    problems = []
    for node in reversed(graph.nodes):
        if node.output not in needed:
            continue
        made = node
        region = _region(node, makers, single, shared) if node.output in single else None
        if region is not None and any(isinstance(n, Elementwise | Product) for n in region[1]):
            root, inside = region
            steps = _steps(root, inside, weights, scales)
            made = Function(node.name, (root,), node.output, steps)
        elif isinstance(node, Product):
            problems.append(Problem(node.title, "Mul", _ONE_TENSOR))
        nodes.append(made)
        needed.update(made.inputs)
        shared.update(made.inputs)
    used = {graph.input, *(name for node in nodes for name in (*node.inputs, node.output))}
    shapes = {name: shape for name, shape in graph.shapes.items() if name in used}
    return replace(graph, shapes=shapes, nodes=tuple(reversed(nodes))), problems


def _is_single(node: Node, weights: Mapping[str, LayerWeights]) -> bool:
    """Return whether a node computes each value of its output from the same value of its inputs."""
    if isinstance(node, Affine):
        numbers = (weights[node.name].weight, weights[node.name].bias)
        return all((each == each.flat[0]).all() for each in numbers)
    return isinstance(node, Elementwise | Product | Relu | Clip | Add)


def _region(
    last: Node, makers: Mapping[str, tuple[int, Node]], single: set[str], shared: set[str]
) -> tuple[str, list[Node]] | None:
    """Return the tensor of which a node's output is a function, and the nodes between, in order."""
    leaves, inside = set(last.inputs), [last]
    best = None
    while True:
        if len(leaves) == 1:
            (leaf,) = leaves
            best = leaf, list(reversed(inside))
            if leaf in shared or leaf not in single:
                return best
        open_leaves = [name for name in leaves if name in single]
        if not open_leaves or len(inside) >= _LARGEST_REGION:
            return best
        # The last one made: nothing else in the region comes before it.
        name = max(open_leaves, key=lambda leaf: makers[leaf][0])
        leaves.remove(name)
        node = makers[name][1]
        leaves.update(node.inputs)
        inside.append(node)


def _steps(
    root: str,
    inside: list[Node],
    weights: Mapping[str, LayerWeights],
    scales: Mapping[str, ActivationScale],
) -> tuple[Step, ...]:
    values = {root: 0}
    steps: list[Step] = []
    for node in inside:
        steps.append(_step(node, tuple(values[name] for name in node.inputs), weights))
        scale = scales.get(node.output)
        if scale is not None and node is not inside[-1]:
            numbers = (scale.scale, scale.zero_point, scale.low, scale.high)
            steps.append(Step("round", (len(steps),), tuple(map(float, numbers))))
        values[node.output] = len(steps)
    return tuple(steps)


def _step(node: Node, inputs: tuple[int, ...], weights: Mapping[str, LayerWeights]) -> Step:
    if isinstance(node, Elementwise):
        return Step(node.operation, inputs, node.numbers)
    if isinstance(node, Affine):
        made = weights[node.name]
        return Step("affine", inputs, (float(made.weight.flat[0]), float(made.bias.flat[0])))
    if isinstance(node, Clip):
        return Step("clip", inputs, (node.low, node.high))
    if isinstance(node, Relu):
        return Step("clip", inputs, (0.0, float("inf")))
    return Step("add" if isinstance(node, Add) else "multiply", inputs)
