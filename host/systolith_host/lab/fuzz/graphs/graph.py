"""Random ONNX networks of every float operator that is claimed, for tests."""

import math
import random

import onnx
from onnx import TensorProto, helper

from systolith_host.lab.fuzz.graphs.draft import OnnxDraft, Shape
from systolith_host.lab.fuzz.graphs.functions import FUNCTIONS
from systolith_host.lab.fuzz.graphs.host import HOST
from systolith_host.lab.fuzz.graphs.joins import JOINS
from systolith_host.lab.fuzz.graphs.layers import LAYERS, linear
from systolith_host.lab.fuzz.graphs.mosaics import MOSAICS
from systolith_host.lab.fuzz.graphs.moves import MOVES

__all__ = ["random_onnx"]

_ENDINGS = ("", "ArgMax", "LogSoftmax", "Sigmoid", "Softmax")
"""Operators that may follow the last layer."""

STEPS = (*LAYERS, *MOVES)


def random_onnx(
    rng: random.Random,
    *,
    host: bool = False,
    joins: bool = False,
    functions: bool = False,
    mosaics: bool = False,
) -> onnx.ModelProto:
    """Return a network.

    Most of them can run. Images are at most 12x12 with 8 channels, vectors as small.

    Parameters
    ----------
    rng : Random
    host : bool
        Whether some nodes are beyond the array.
    joins : bool
        Whether tensors stand in several concatenations.
    functions : bool
        Whether some nodes are functions of one number, for tables.
    mosaics : bool
        Whether some nodes spread pixels, or join images side by side.
    """
    net = OnnxDraft(rng, rng.choice([7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 18, 19, 21]))
    shape: Shape = (rng.randint(1, 6), rng.randint(3, 12), rng.randint(3, 12))
    kind = rng.random()
    if kind < 0.08:
        shape = (rng.randint(2, 40),)
    given: Shape = shape
    net.add("x", shape)
    if kind > 0.92:
        given = (*shape[1:], shape[0])
        net.tensors = [(net.node("Transpose", ["x"], perm=[0, 3, 1, 2]), shape)]
    steps = (*STEPS, *(HOST if host else ()), *(JOINS if joins else ()))
    steps = (*steps, *(FUNCTIONS if functions else ()), *(MOSAICS if mosaics else ()))
    for _ in range(rng.randint(2, 14)):
        (step,) = rng.choices([each for _, each in steps], [often for often, _ in steps])
        step(net)
    if rng.random() < 0.4:
        _join(net)
    if rng.random() < 0.5:
        _head(net)
    output, shape = net.tensors[-1]
    ending = rng.choice([*_ENDINGS, "", ""])
    if net.opset < 13 and len(shape) == 3:  # a softmax was over all axes then
        ending = ""
    if ending:
        output = net.node(ending, [output], **({} if ending == "Sigmoid" else {"axis": 1}))
    more = []
    if rng.random() < 0.15:
        made = {name for node in net.nodes for name in node.output} - {output}
        more = [name for name, _ in rng.sample(net.tensors, min(2, len(net.tensors)))]
        more = [name for name in dict.fromkeys(more) if name in made]
    batch = rng.choice([1, "N"])
    whole = TensorProto.INT64 if ending == "ArgMax" else TensorProto.FLOAT
    graph = helper.make_graph(
        net.nodes,
        "random",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, *given])],
        [
            helper.make_tensor_value_info(output, whole, None),
            *(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in more),
        ],
        net.constants,
    )
    opset = [helper.make_opsetid("", net.opset)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8)


def _join(net: OnnxDraft) -> None:
    """Join the remaining forks: sums and a concatenation of equal shapes."""
    last, shape = net.tensors[-1]
    used = {name for node in net.nodes for name in node.input}
    for name, other in net.tensors[:-1]:
        if other == shape and name not in used:
            last = net.node("Add", [last, name])
    net.add(last, shape)


def _head(net: OnnxDraft) -> None:
    """End as classifiers do."""
    name, shape = net.tensors[-1]
    if len(shape) == 3:
        if net.rng.random() < 0.5:
            name = net.node("GlobalAveragePool", [name])
            shape = (shape[0], 1, 1)
        if math.prod(shape) > 600:
            return
        name = net.node("Flatten", [name])
        shape = (math.prod(shape),)
    net.tensors = [(name, shape)]
    linear(net)
