"""Damaged and senseless ONNX files: one line that names the fault, and never a traceback."""

import contextlib
import io
import math
import os
import random
import signal
import sys
from collections import Counter

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper

from systolith_host.cli import app as cli
from systolith_host.compiler import compile_network
from systolith_host.errors import SystolithError
from systolith_host.flow.load import forget_shapes, shape_network
from systolith_host.frontend.onnx import inspect_onnx, read_onnx
from systolith_host.network.graph import node_macs
from systolith_hw.spec.presets import PRESETS
from systolith_sim.testing.damaged_onnx import extreme, mutated, rewired, scrambled
from systolith_sim.testing.limited import run_limited

WEIGHT: np.ndarray = np.ones((4, 3, 3, 3), np.float32)


def network(nodes=None, *, shape=("N", 3, 8, 8), opset=17, kind=TensorProto.FLOAT, weight=WEIGHT):
    nodes = nodes or [
        helper.make_node("Conv", ["x", "w"], ["c"], "conv"),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("MaxPool", ["r"], ["m"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["m"], ["y"], "flatten"),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info(nodes[-1].output[0], kind, None)],
        [numpy_helper.from_array(weight, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def write(tmp_path, data):
    path = tmp_path / "net.onnx"
    path.write_bytes(data if isinstance(data, bytes) else data.SerializeToString())
    return path


def conv(*names, title="n"):
    return helper.make_node("Conv", [*names[:-1], "w"], [names[-1]], title)


def mistyped():
    """A file of an older opset with padding that claims to be a text."""
    node = helper.make_node("Pad", ["x"], ["y"], "n", pads=[0, 0, 1, 1, 0, 0, 1, 1])
    node.attribute[0].type = onnx.AttributeProto.STRING
    return network([node], opset=9)


NAN = WEIGHT.copy()
NAN[0, 0, 0, 0] = np.nan

BAD = {
    "older operators": (network(opset=6), "opset must be at least 7, not 6"),
    "an operator that has no newer form": (
        network([helper.make_node("Upsample", ["x", "w"], ["y"])], opset=8),
        "opset 8 cannot be converted to 13: ",
    ),
    "an attribute of another type in an older file": (
        mistyped(),
        "opset 9 cannot be converted to 13: attribute pads of n must not be of type string",
    ),
    "operators to come": (network(opset=99), "opset must be at most"),
    "a cycle": (
        network([conv("b", "a", title="one"), conv("a", "b", title="two")]),
        "one: tensor 'b' is used before it is made: the graph has a cycle",
    ),
    "a tensor from nowhere": (
        network([conv("lost", "y", title="one")]),
        "one: tensor 'lost' is made by no node: the graph is not connected",
    ),
    "a tensor made twice": (
        network([conv("x", "y"), conv("x", "y")]),
        "tensor 'y' is made more than once",
    ),
    "an unknown operator": (
        network([helper.make_node("Frobnicate", ["x"], ["y"], "f", domain="com.acme")]),
        "f (Frobnicate): operators of domain com.acme are not supported",
    ),
    "an unknown operator of ONNX itself": (
        network([helper.make_node("Frobnicate", ["x"], ["y"], "f")]),
        "f (Frobnicate): has no counterpart on the accelerator",
    ),
    "a wrong type of input": (
        network(kind=TensorProto.INT64),
        "unsupported type: tensor(int64)",
    ),
    "weights of a wrong type": (
        network(weight=WEIGHT.astype(np.int32)),
        "types or shapes do not fit",
    ),
    "weights that are not finite": (
        network(weight=NAN),
        "tensor 'w' has values that are not finite",
    ),
    "weights for other channels": (network(shape=("N", 5, 8, 8)), "Conv"),
    "a kernel larger than the image": (network(shape=("N", 3, 2, 2)), "does not fit"),
    "a tensor of size zero": (
        network(shape=("N", 3, 0, 8)),
        "must be images (Nx3x224x224)",
    ),
    "empty weights": (network(weight=np.ones((0, 3, 3, 3), np.float32)), "conv (Conv): weights of"),
    "an image of unknown size": (
        network(shape=("N", 3, "H", "W")),
        "leaves its size open",
    ),
    "a network without effect": (
        network([helper.make_node("Identity", ["w"], ["y"], "i")]),
        "does not depend on the input",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_said_in_a_line(name, tmp_path):
    proto, message = BAD[name]
    with pytest.raises(SystolithError) as raised:
        read_onnx(write(tmp_path, proto))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_files_that_are_no_models(tmp_path):
    with pytest.raises(SystolithError, match="no such file"):
        read_onnx(tmp_path / "missing.onnx")
    for data in (b"", b"not a model at all", bytes(100)):
        with pytest.raises(SystolithError, match="not an ONNX model"):
            read_onnx(write(tmp_path, data))


def test_truncated_files(tmp_path):
    data = network().SerializeToString()
    for length in range(1, len(data), 7):
        with pytest.raises(SystolithError):
            read_onnx(write(tmp_path, data[:length]))


def rich_network():
    """A small network with most operators."""
    nodes = [
        helper.make_node("Pad", ["x", "around"], ["o"], "o"),
        conv("o", "c", title="c"),
        helper.make_node("BatchNormalization", ["c", "s", "s", "s", "s"], ["n"], "n"),
        helper.make_node("Clip", ["n", "low", "high"], ["k"], "k"),
        helper.make_node("AveragePool", ["k"], ["a"], "a", kernel_shape=[2, 2], strides=[1, 1]),
        helper.make_node("MaxPool", ["k"], ["m"], "m", kernel_shape=[2, 2], ceil_mode=1),
        helper.make_node("Concat", ["a", "m"], ["j"], "j", axis=1),
        helper.make_node("Mul", ["j", "two"], ["t"], "t"),
        helper.make_node("Add", ["t", "j"], ["p"], "p"),
        helper.make_node("GlobalAveragePool", ["p"], ["g"], "g"),
        helper.make_node("Reshape", ["g", "shape"], ["v"], "v"),
        helper.make_node("Gemm", ["v", "u"], ["l"], "l", transB=1),
        helper.make_node("Softmax", ["l"], ["y"], "y"),
    ]
    proto = network(nodes)
    constants = {
        "around": np.array([0, 0, 1, 0, 0, 0, 1, 0]),
        "s": np.ones(4, np.float32),
        "low": np.float32(0),
        "high": np.float32(6),
        "two": np.float32(2),
        "shape": np.array([-1, 8]),
        "u": np.ones((5, 8), np.float32),
    }
    for name, array in constants.items():
        proto.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    return proto


def quantized_network():
    """A small network of integers, QDQ and QOperator mixed."""
    step = ["s", "z"]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", *step], ["xq"], "xq"),
        helper.make_node("Pad", ["xq", "around", "z"], ["o"], "o"),
        helper.make_node("QLinearConv", ["o", *step, "k", "t", "i", *step, "b"], ["c"], "c"),
        helper.make_node("DequantizeLinear", ["c", *step], ["d"], "d"),
        helper.make_node("DequantizeLinear", ["k", "t", "i"], ["kd"], "kd", axis=0),
        helper.make_node("Conv", ["d", "m"], ["e"], "e", pads=[1] * 4),
        helper.make_node("QuantizeLinear", ["e", *step], ["eq"], "eq"),
        helper.make_node("DequantizeLinear", ["eq", *step], ["f"], "f"),
        helper.make_node("Add", ["f", "d"], ["g"], "g"),
        helper.make_node("QuantizeLinear", ["g", *step], ["gq"], "gq"),
        helper.make_node("MaxPool", ["gq"], ["p"], "p", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("DequantizeLinear", ["p", *step], ["y"], "y"),
    ]
    proto = network(nodes)
    constants = {
        "around": np.array([0, 0, 1, 0, 0, 0, 1, 0]),
        "s": np.float32(0.1),
        "z": np.uint8(3),
        "t": np.full(4, 0.02, np.float32),
        "i": np.zeros(4, np.int8),
        "k": np.ones((4, 3, 3, 3), np.int8),
        "b": np.arange(4, dtype=np.int32),
        "n": np.ones((4, 4, 3, 3), np.int8),
    }
    proto.graph.initializer.pop()
    for name, array in constants.items():
        proto.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    proto.graph.node.insert(
        0, helper.make_node("DequantizeLinear", ["n", "t", "i"], ["m"], "m", axis=0)
    )
    return proto


def several_inputs():
    """A small network of bytes, of indices, and of a vector."""
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], "f", to=TensorProto.FLOAT),
        conv("f", "c", title="c"),
        helper.make_node("GlobalAveragePool", ["c"], ["g"], "g"),
        helper.make_node("Flatten", ["g"], ["v"], "v"),
        helper.make_node("Gather", ["table", "ids"], ["e"], "e"),
        helper.make_node("ReduceMean", ["e"], ["m"], "m", axes=[1], keepdims=0),
        helper.make_node("Add", ["v", "m"], ["a"], "a"),
        helper.make_node("Mul", ["a", "z"], ["p"], "p"),
        helper.make_node("Gemm", ["p", "u"], ["y"], "y"),
    ]
    proto = network(nodes)
    proto.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    proto.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
    proto.graph.input.append(helper.make_tensor_value_info("ids", TensorProto.INT64, ("N", 3)))
    proto.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, ("N", 4)))
    for name, array in {"table": WEIGHT.reshape(27, 4), "u": WEIGHT.reshape(4, 27)}.items():
        proto.graph.initializer.append(numpy_helper.from_array(array, name))
    return proto


def older_network():
    """A small network of the operators that opset 13 has in another form."""
    nodes = [
        helper.make_node("Pad", ["x"], ["o"], "o", pads=[0, 0, 1, 0, 0, 0, 1, 0]),
        conv("o", "c", title="c"),
        helper.make_node("BatchNormalization", ["c", "s", "s", "s", "s"], ["n"], "n"),
        helper.make_node("Clip", ["n"], ["k"], "k", min=0.0, max=6.0),
        helper.make_node("Dropout", ["k"], ["d"], "d", ratio=0.5),
        helper.make_node("GlobalAveragePool", ["d"], ["g"], "g"),
        helper.make_node("Shape", ["g"], ["i"], "i"),
        helper.make_node("Slice", ["i"], ["j"], "j", axes=[0], starts=[0], ends=[1]),
        helper.make_node("Concat", ["j", "rest"], ["r"], "r", axis=0),
        helper.make_node("Reshape", ["g", "r"], ["v"], "v"),
        helper.make_node("Unsqueeze", ["v"], ["u"], "u", axes=[2, 3]),
        helper.make_node("Squeeze", ["u"], ["q"], "q", axes=[2, 3]),
        helper.make_node("Gemm", ["q", "m", "b"], ["l"], "l", transB=1),
        helper.make_node("Softmax", ["l"], ["y"], "y"),
    ]
    proto = network(nodes, opset=9)
    constants = {
        "s": np.ones(4, np.float32),
        "rest": np.array([-1]),
        "m": np.ones((5, 4), np.float32),
        "b": np.ones(5, np.float32),
    }
    for name, array in constants.items():
        proto.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    return proto


# Mutations in all and the first seed: `make fuzz-onnx CASES=2000 FIRST=100`.
EACH = int(os.environ.get("SYSTOLITH_FUZZ", "800")) // 8 or 1
FIRST = int(os.environ.get("SYSTOLITH_FUZZ_FIRST", "0"))


MORE_BYTES = 3 << 29
"""Memory that a damaged file of a few KB may take: weights, libraries, threads."""

CASE_SECONDS = 60
"""No case takes longer; the process is killed."""


@pytest.mark.parametrize("seed", range(FIRST, FIRST + 8))
def test_no_mutation_ends_in_a_traceback(seed, tmp_path):
    """`systolith check` ends in one line and a status; a file that passes can be compiled."""
    code = run_limited(
        check_mutations, seed, tmp_path, more_bytes=MORE_BYTES, seconds=CASE_SECONDS * EACH
    )
    case = (tmp_path / "case").read_text()
    assert code == 0, f"seed {seed}: case {case}; the file is {tmp_path / 'net.onnx'}"


def check_mutations(seed, tmp_path):
    rng = random.Random(seed)
    networks = [rich_network(), quantized_network(), older_network(), several_inputs()]
    path = tmp_path / "net.onnx"
    sys.argv = ["systolith", "check", str(path)]
    ended: Counter[object] = Counter({0: 0, 1: 0, 2: 0})
    for number in range(EACH):
        signal.alarm(CASE_SECONDS)
        proto, choice = rng.choice(networks), rng.random()
        if choice < 0.2:
            data = mutated(rng, proto.SerializeToString())
        elif choice < 0.4:
            data = rewired(rng, proto)
        else:
            data = scrambled(rng, proto) if choice < 0.65 else extreme(rng, proto)
        path.write_bytes(data)
        (tmp_path / "case").write_text(str(number))
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            with pytest.raises(SystemExit) as raised:
                cli.main()
        shown, status = err.getvalue(), raised.value.code
        ended[status] += 1
        (tmp_path / "case").write_text(f"{number}: {status}: {out.getvalue()} {shown}")
        assert "Traceback" not in out.getvalue() + shown
        assert "more memory than there is" not in shown
        assert (status == 2) == shown.startswith("error: ")
        assert shown.count("\n") <= 1
        if status == 0:
            compiles_or_says_why(path)
    signal.alarm(0)
    assert ended[0] + ended[1] + ended[2] == EACH
    assert EACH < 100 or min(ended.values()) > 0


def compiles_or_says_why(path):
    model = read_onnx(path, host_nodes=True)
    values = sum(math.prod(shape) for shape in model.graph.shapes.values())
    macs = sum(node_macs(model.graph, node) for node in model.graph.nodes)
    if macs > 1 << 24 or values > 1 << 20:
        return
    forget_shapes()
    with contextlib.suppress(SystolithError):
        compile_network(shape_network(str(path)), PRESETS["tiny"])


@pytest.mark.parametrize("make", [rich_network, quantized_network, several_inputs])
def test_what_is_mutated_runs_before(make, tmp_path):
    found, problems = inspect_onnx(write(tmp_path, make()), host_nodes=True)
    assert found is not None
    assert not problems
    compiles_or_says_why(tmp_path / "net.onnx")


def test_mutations_differ_and_reach_beyond_the_parser(tmp_path):
    rng = random.Random(1)
    proto = rich_network()
    data = proto.SerializeToString()
    seen, parsed = set(), 0
    for _ in range(200):
        for made in (mutated(rng, data), rewired(rng, proto), extreme(rng, proto)):
            seen.add(made)
            try:
                onnx.ModelProto.FromString(made)
            except DecodeError:
                continue
            parsed += 1
    assert len(seen) > 450
    assert data not in seen or len(seen) > 500
    assert parsed > 400
