"""Files with several outputs: each is onnxruntime's, in floats, in integers and on devices."""

import re
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import systolith as sy
from systolith_host.errors import SystolithError
from systolith_host.frontend.judge import judge
from systolith_host.frontend.onnx import read_onnx
from systolith_host.network.golden import run_golden
from systolith_host.network.store import load_qgraph, save_qgraph
from systolith_host.quantize.equalise import equalise

N = helper.make_node
RNG = np.random.default_rng(6)


def values(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


NODES = [
    N("Conv", ["x", "w"], ["c"], "conv", pads=[1] * 4),
    N("BatchNormalization", ["c", "g", "b", "m", "v"], ["n"], "norm"),
    N("Relu", ["n"], ["r"], "relu"),
    N("MaxPool", ["r"], ["p"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
    N("Conv", ["p", "u"], ["d"], "second"),
    N("GlobalAveragePool", ["d"], ["a"], "mean"),
    N("Flatten", ["a"], ["f"], "flat"),
    N("Softmax", ["f"], ["y"], "soft"),
]
CONSTANTS = {
    "w": values(6, 3, 3, 3),
    **{name: values(6) for name in "gbm"},
    "v": values(6) ** 2 + 0.5,
    "u": values(5, 6, 3, 3),
}


def write(folder, outputs):
    graph = helper.make_graph(
        NODES,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(v, n) for n, v in CONSTANTS.items()],
    )
    path = folder / "net.onnx"
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path


SETS = [
    ["y", "p"],
    ["p", "y"],
    ["c", "y"],
    ["n", "r", "p", "d"],
    ["r", "y", "f", "a"],
    ["y", "c", "n", "r", "p", "d", "a", "f"],
]


@pytest.mark.parametrize("outputs", SETS, ids="-".join)
def test_every_output_is_onnxruntimes(outputs, tmp_path):
    path = write(tmp_path, outputs)
    made = read_onnx(path)
    assert list(made.outputs) == outputs
    found = re.fullmatch(r"float network equals onnxruntime: (\S+)", judge(path, made, 16))
    assert found is not None
    assert float(found.group(1)) < 1e-5


@pytest.mark.parametrize("outputs", SETS, ids="-".join)
def test_every_output_comes_from_the_device(outputs, tmp_path):
    path = write(tmp_path, outputs)
    images = RNG.standard_normal((8, 3, 8, 8)).astype(np.float32)
    program = sy.load(path, calibrate=images).compile("tiny")
    assert list(program.outputs) == outputs
    session = onnxruntime.InferenceSession(path)
    wanted = dict(zip(outputs, session.run(None, {"x": images[:1]}), strict=True))
    if "y" in outputs:  # the host computes the softmax
        wanted["y"] = np.log(np.asarray(wanted["y"]))
    run = program.run(images[0], device="emulator", judge=True)
    for name, tensor in program.outputs.items():
        mine, theirs = run.real(tensor).ravel(), np.asarray(wanted[name]).ravel()
        if name == "y":
            mine, theirs = mine - mine.mean(), theirs - theirs.mean()
        error = np.abs(mine - theirs).max() / np.abs(theirs).max()
        assert error < 0.06, name


def test_a_wrong_output_besides_the_first_is_noticed(tmp_path):
    path = write(tmp_path, ["y", "p"])
    made = read_onnx(path)
    wrong = {**made.names, made.outputs["p"]: "r"}
    broken = replace(made, names=wrong)
    with pytest.raises(SystolithError, match=r"fault of Systolith"):
        judge(path, broken, 16)


def test_outputs_keep_their_values_when_layers_are_equalised(tmp_path):
    path = write(tmp_path, ["y", "p"])
    made = read_onnx(path)
    images = RNG.standard_normal((2, 3, 8, 8)).astype(np.float32)
    _, pairs = equalise(made.graph, made.weights, images)
    assert [pair.first for pair in pairs] == []
    _, pairs = equalise(read_onnx(write(tmp_path, ["y"])).graph, made.weights, images)
    assert [pair.first for pair in pairs] == [("conv",)]


def test_integers_of_every_output_are_kept_in_files(tmp_path):
    path = write(tmp_path, ["y", "p", "a"])
    images = RNG.standard_normal((2, 3, 8, 8)).astype(np.float32)
    qgraph = sy.load(path, calibrate=images).compile("tiny").quantised.qgraph
    save_qgraph(qgraph, tmp_path / "net.safetensors")
    again = load_qgraph(tmp_path / "net.safetensors")
    assert again.outputs == qgraph.outputs
    x = np.zeros((1, 3, 8, 8), np.uint8 if qgraph.tensors["x"].unsigned else np.int8)
    tensors, copied = run_golden(qgraph, x), run_golden(again, x)
    for name in qgraph.outputs:
        np.testing.assert_array_equal(tensors[name], copied[name])


def test_quantised_files_with_several_outputs(tmp_path):
    step = ["s", "z"]
    nodes = [
        N("QuantizeLinear", ["x", *step], ["xq"]),
        N("DequantizeLinear", ["xq", *step], ["xd"]),
        N("DequantizeLinear", ["k", "t"], ["kd"]),
        N("Conv", ["xd", "kd"], ["c"], "conv"),
        N("QuantizeLinear", ["c", *step], ["cq"]),
        N("DequantizeLinear", ["cq", *step], ["cd"]),
        N("MaxPool", ["cd"], ["p"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        N("QuantizeLinear", ["p", *step], ["pq"]),
        N("DequantizeLinear", ["pq", *step], ["y"]),
    ]
    constants = {
        "s": np.float32(0.04),
        "z": np.uint8(118),
        "t": np.float32(0.004),
        "k": RNG.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8),
    }
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("y", "cd")],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()],
    )
    path = tmp_path / "net.onnx"
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    line = judge(path, read_onnx(path), 24)
    assert re.match(r"integers equal onnxruntime's in \d+ of 180 outputs", line), line
    program = sy.load(path).compile("tiny")
    image = RNG.standard_normal((3, 8, 8)).astype(np.float32)
    run = program.run(image, device="emulator", judge=True)
    wanted = onnxruntime.InferenceSession(path).run(None, {"x": image[None]})
    for name, theirs in zip(("y", "cd"), wanted, strict=True):
        mine = run.real(program.outputs[name])
        assert np.abs(mine - np.asarray(theirs)).max() <= 0.0401, name
