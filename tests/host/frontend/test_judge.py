"""The judge from outside: it compares, notices differences, and says where it cannot compare."""

import re
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from systolith_host.errors import SystolithError
from systolith_host.frontend import judge_size
from systolith_host.frontend.judge import (
    Agreement,
    agreements,
    judge,
    judge_float,
    judge_integers,
)
from systolith_host.frontend.onnx import read_onnx
from systolith_host.frontend.reference import CannotRunError, Reference
from systolith_host.network.golden import run_golden
from systolith_host.network.graph import Function, LayerWeights
from systolith_host.network.qgraph import QConv
from systolith_host.quantize.quantize import quantize_input, quantize_scaled

N = helper.make_node
IMAGE = np.random.default_rng(7).standard_normal((1, 3, 8, 8)).astype(np.float32)


def network(*, images=1, kind=TensorProto.FLOAT, last=False, ending=None, gain=1.0):
    """Return conv - batch normalisation - relu - conv - flatten, the second conv after a sum."""
    rng = np.random.default_rng(0)
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    constants = {
        "w": rng.standard_normal((6, 3, 3, 3)) * 0.3,
        "v": rng.standard_normal((4, 6, 3, 3)) * 0.3,
        "g": rng.standard_normal(6),
        "b": rng.standard_normal(6),
        "m": rng.standard_normal(6),
        "s": rng.random(6) + 0.5,
        "k": np.array(gain),
    }
    nodes = [
        N("Conv", ["i" if last else "x", "w"], ["c"], "first"),
        N("BatchNormalization", ["c", "g", "b", "m", "s"], ["n"], "norm"),
        N("Relu", ["n"], ["r"], "relu"),
        N("Add", ["n", "r"], ["a"], "sum"),
        N("Conv", ["a", "v"], ["d"], "second"),
        N("Mul", ["d", "k"], ["e"], "scale"),
        N("Flatten", ["e"], ["y"], "flatten"),
    ]
    shape = [images, 3, 8, 8]
    if last:
        nodes.insert(0, N("Transpose", ["x"], ["i"], "channels", perm=[0, 3, 1, 2]))
        shape = [images, 8, 8, 3]
    if ending is not None:
        nodes.append(N(ending, ["y"], ["z"], "ending"))
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info(nodes[-1].output[0], kind, None)],
        [numpy_helper.from_array(np.asarray(v, dtype), n) for n, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def quantized():
    """Return Q - DQ - conv - Q - DQ - pool (with its input's scale) - conv - Q - DQ."""
    rng = np.random.default_rng(1)
    whole = {
        "w": rng.integers(-127, 128, (6, 3, 3, 3)).astype(np.int8),
        "v": rng.integers(-127, 128, (4, 6, 3, 3)).astype(np.int8),
        "wz": np.int8(0),
        "xz": np.uint8(128),
        "cz": np.uint8(0),
        "dz": np.int8(-7),
    }
    steps = {"xs": 0.02, "cs": 0.013, "ds": 0.05, "ws": 0.004, "vs": 0.003}
    nodes = [
        N("QuantizeLinear", ["x", "xs", "xz"], ["xq"], "xq"),
        N("DequantizeLinear", ["xq", "xs", "xz"], ["xd"], "xd"),
        N("DequantizeLinear", ["w", "ws", "wz"], ["wd"], "wd"),
        N("Conv", ["xd", "wd"], ["c"], "first"),
        N("QuantizeLinear", ["c", "cs", "cz"], ["cq"], "cq"),
        N("DequantizeLinear", ["cq", "cs", "cz"], ["cd"], "cd"),
        N("MaxPool", ["cd"], ["p"], "pool", kernel_shape=[2, 2]),
        N("DequantizeLinear", ["v", "vs", "wz"], ["vd"], "vd"),
        N("Conv", ["p", "vd"], ["d"], "second"),
        N("QuantizeLinear", ["d", "ds", "dz"], ["dq"], "dq"),
        N("DequantizeLinear", ["dq", "ds", "dz"], ["y"], "dd"),
    ]
    constants = whole | {name: np.float32(value) for name, value in steps.items()}
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def read(folder, proto):
    path = folder / "net.onnx"
    onnx.save(proto, path)
    return path, read_onnx(path)


def difference(line):
    found = re.fullmatch(r"float network equals onnxruntime: (\S+)", line)
    assert found is not None, line
    return float(found.group(1))


@pytest.mark.parametrize(
    "kinds",
    [{}, {"images": 3}, {"images": "N"}, {"last": True}, {"ending": "Softmax"}],
    ids=["plain", "three images", "open batch", "channels last", "softmax"],
)
def test_float_networks_of_every_form_are_compared(kinds, tmp_path):
    path, model = read(tmp_path, network(**kinds))
    judged = judge_float(path, model, IMAGE)
    assert difference(judged.line) < 1e-6
    assert judged.output is not None
    assert judged.output.shape == (1, 64)
    assert judge(path, model, 16).startswith("float network equals onnxruntime")


def test_float16_is_compared_with_the_rounding_of_float16(tmp_path):
    path, model = read(tmp_path, network(kind=TensorProto.FLOAT16))
    assert 1e-6 < difference(judge_float(path, model, IMAGE).line) < 8e-3


@pytest.mark.parametrize("ending", [None, "Softmax"])
def test_external_weights_are_found(ending, tmp_path):
    path = tmp_path / "net.onnx"
    onnx.save(
        network(ending=ending), path, save_as_external_data=True, location="w", size_threshold=0
    )
    assert difference(judge_float(path, read_onnx(path), IMAGE).line) < 1e-6


@pytest.mark.parametrize("layer", ["first", "second"])
def test_the_first_node_that_differs_is_named(layer, tmp_path):
    path, model = read(tmp_path, network())
    made = model.weights[layer]
    wrong = LayerWeights(made.weight, made.bias + np.eye(len(made.bias))[1] * 0.02)
    broken = replace(model, weights={**model.weights, layer: wrong})
    with pytest.raises(SystolithError, match=rf"net.onnx: {layer} \(Conv\) computes something"):
        judge_float(path, broken, IMAGE)


def test_an_output_that_is_taken_for_the_input_is_noticed(tmp_path):
    weight = np.ones((2, 3, 1, 1), np.float32)
    graph = helper.make_graph(
        [N("Identity", ["x"], ["y"]), N("Cos", ["x"], ["z"]), N("Conv", ["x", "w"], ["c"])],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_empty_tensor_value_info(name) for name in ("y", "c")],
        [numpy_helper.from_array(weight, "w")],
    )
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    model = read_onnx(path)
    assert difference(judge_float(path, model, IMAGE).line) < 1e-6
    broken = replace(model, names={**model.names, "x": "z"})
    with pytest.raises(SystolithError, match="an output is taken for the input; this is a fault"):
        judge_float(path, broken, IMAGE)


def test_a_wrong_shape_of_the_graph_is_named(tmp_path):
    path, model = read(tmp_path, network())
    nodes = [
        replace(node, inputs=("r", "r")) if node.name == "sum" else node
        for node in model.graph.nodes
    ]
    (relu,) = [node for node in nodes if node.name == "relu"]
    nodes = [replace(n, inputs=(relu.output,) * 2) if n.name == "sum" else n for n in nodes]
    broken = replace(model, graph=replace(model.graph, nodes=tuple(nodes)))
    with pytest.raises(SystolithError, match=r"sum \(Add\) computes something else"):
        judge_float(path, broken, IMAGE)


def test_rounding_that_the_file_makes_larger_is_no_fault(tmp_path):
    # Products of 20,000 and weights whose sum is zero: the rest has few of the 24 bits.
    proto = network(gain=1 / 3)
    proto.graph.initializer.append(numpy_helper.from_array(np.array(2e4, np.float32), "l"))
    (second,) = [node for node in proto.graph.node if node.name == "second"]
    place = list(proto.graph.node).index(second)
    second.input[0] = "high"
    proto.graph.node.insert(place, N("Add", ["a", "l"], ["high"], "up"))
    (weight,) = [tensor for tensor in proto.graph.initializer if tensor.name == "v"]
    values = numpy_helper.to_array(weight)
    centred = values - values.mean(axis=(1, 2, 3), keepdims=True)
    weight.CopyFrom(numpy_helper.from_array(centred, "v"))
    path, model = read(tmp_path, proto)
    judged = judge_float(path, model, IMAGE)
    assert judged.line.startswith("float network is ")
    assert judged.line.endswith("by rounding: from the same inputs no node differs")


def small_elu(folder, size):
    """Return the file and the network of an Elu of values of this size, below 0."""
    made, kind = helper.make_node, TensorProto.FLOAT
    nodes = [made("Conv", ["x", "w"], ["small"], "small"), made("Elu", ["small"], ["y"], "elu")]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", kind, (1, 2, 5, 5))],
        [helper.make_tensor_value_info("y", kind, None)],
        [numpy_helper.from_array(np.full((2, 2, 1, 1), -size, np.float32), "w")],
    )
    path = folder / "net.onnx"
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path, read_onnx(path, functions=True)


POSITIVE = np.abs(np.random.default_rng(1).standard_normal((1, 2, 5, 5))).astype(np.float32)


def test_what_single_precision_loses_in_a_function_is_no_fault(tmp_path):
    line = judge_float(*small_elu(tmp_path, 1e-5), POSITIVE).line
    assert line.endswith("by rounding: from the same inputs no node differs")


@pytest.mark.parametrize("size", [1.0, 1e-3])
def test_a_wrong_function_of_small_values_is_named(size, tmp_path):
    path, model = small_elu(tmp_path, size)
    conv, elu = model.graph.nodes
    assert isinstance(elu, Function)
    wrong = replace(elu, steps=(replace(elu.steps[0], numbers=(1.01,)),))
    changed = replace(model, graph=replace(model.graph, nodes=(conv, wrong)))
    with pytest.raises(SystolithError, match=r"elu \(Function\) computes something else"):
        judge_float(path, changed, POSITIVE)


def test_a_changed_output_is_noticed(tmp_path):
    path, model = read(tmp_path, network())
    judged = judge_float(path, model, IMAGE)
    assert judged.output is not None
    judged.check(judged.output * (1 + 1e-6), "this")
    with pytest.raises(SystolithError, match="this changed the float network: its output differs"):
        judged.check(judged.output + 0.01 * judged.output.max(), "this")


def test_what_onnxruntime_cannot_run_is_said(tmp_path):
    proto = network()
    proto.ir_version = 99
    path, model = read(tmp_path, proto)
    line = judge_float(path, model, IMAGE).line
    assert line.startswith("not compared with onnxruntime, which cannot run the file: ")
    assert "IR version" in line
    assert judge(path, model, 16) == line
    with pytest.raises(CannotRunError):
        Reference(path, IMAGE, ["y"])


def test_what_would_take_minutes_is_not_compared(tmp_path, monkeypatch):
    monkeypatch.setattr(judge_size, "MOST_WORK", 1000)
    for proto in (network(), quantized()):
        path, model = read(tmp_path, proto)
        assert judge(path, model, 16).startswith("not compared with onnxruntime: ")


def test_values_that_overflow_are_not_compared(tmp_path):
    path, model = read(tmp_path, network(gain=3e38))
    line = judge_float(path, model, IMAGE * 1e6).line
    assert line == "not compared with onnxruntime, whose output is not finite"


def integers(path, model, change=None):
    qgraph = quantize_scaled(model.graph, model.weights, model.scales, 16)
    if change is not None:
        layers = tuple(
            replace(layer, bias=layer.bias + 2000)
            if isinstance(layer, QConv) and layer.name == change
            else layer
            for layer in qgraph.layers
        )
        qgraph = replace(qgraph, layers=layers)
    return qgraph, run_golden(qgraph, quantize_input(qgraph, IMAGE))


def test_integers_are_compared(tmp_path):
    path, model = read(tmp_path, quantized())
    qgraph, output = integers(path, model)
    line = judge_integers(path, model, qgraph, IMAGE, output)
    found = re.match(r"integers equal onnxruntime's in (\d+) of 36 outputs", line)
    assert found is not None, line
    assert int(found.group(1)) >= 35
    assert judge(path, model, 16).startswith("integers equal onnxruntime's in ")
    # The pool's integers are nowhere in the file: its floats are quantised with its scale.
    rows = list(agreements(path, model, qgraph, IMAGE))
    assert [(row.layer, row.kind) for row in rows] == [
        ("x", "input"),
        ("first", "conv"),
        ("pool", "QMaxPool"),
        ("second", "conv"),
    ]
    assert max(row.largest for row in rows) <= 1


@pytest.mark.parametrize("layer", ["first", "second"])
def test_the_first_layer_whose_integers_differ_is_named(layer, tmp_path):
    path, model = read(tmp_path, quantized())
    qgraph, output = integers(path, model, layer)
    with pytest.raises(SystolithError, match=rf"net.onnx: {layer} \(conv\) computes something"):
        judge_integers(path, model, qgraph, IMAGE, output)


def test_whole_numbers_off_by_one_everywhere_are_no_rounding():
    assert Agreement("a", "conv", 1000, 400, 1).is_rounding
    assert Agreement("a", "add", 1000, 563, 1).is_rounding
    assert not Agreement("a", "add", 1000, 564, 1).is_rounding
    assert not Agreement("a", "conv", 1000, 1000, 1).is_rounding
    assert not Agreement("a", "conv", 1000, 1, 2).is_rounding


def test_a_constant_that_adds_an_axis_is_refused(tmp_path):
    proto = network()
    (gain,) = [tensor for tensor in proto.graph.initializer if tensor.name == "k"]
    gain.dims.extend([1] * 5)
    with pytest.raises(
        SystolithError, match=r"scale \(Mul\): a constant of shape \(1, 1, 1, 1, 1\)"
    ):
        read(tmp_path, proto)


def test_another_number_of_values_is_a_difference(tmp_path):
    path, model = read(tmp_path, network())
    names = {**model.names, model.graph.output: "c"}
    with pytest.raises(SystolithError, match="makes 64 values where onnxruntime has 216"):
        judge_float(path, replace(model, names=names), IMAGE)
