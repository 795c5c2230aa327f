"""`--shape` and `input_shape`: where a file leaves the input's size open, or has another."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import systolith as sy

N = helper.make_node


def network(folder, shape):
    rng = np.random.default_rng(0)
    nodes = [
        N("Conv", ["x", "w"], ["c"], "conv", pads=[1] * 4),
        N("Relu", ["c"], ["r"], "relu"),
        N("GlobalAveragePool", ["r"], ["g"], "mean"),
        N("Flatten", ["g"], ["f"], "flat"),
        N("Gemm", ["f", "v", "b"], ["y"], "dense"),
    ]
    constants = {
        "w": rng.standard_normal((8, 3, 3, 3)),
        "v": rng.standard_normal((8, 5)),
        "b": rng.standard_normal(5),
    }
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [shape[0], 5])],
        [numpy_helper.from_array(v.astype(np.float32), n) for n, v in constants.items()],
    )
    path = folder / "net.onnx"
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path


@pytest.fixture
def open_network(tmp_path):
    return network(tmp_path, ["N", 3, "height", "width"])


def test_an_open_size_is_asked_for(command, open_network):
    for arguments in (("check",), ("info",), ("estimate",), ("run", "--device", "emulator")):
        status, _, error = command(arguments[0], open_network, *arguments[1:])
        assert status == 2
        assert "leaves its size open (?x3x?x?): give one with --shape" in error
        assert "e.g. --shape 1x3x224x224" in error


@pytest.mark.parametrize("shape", [["N", 3, "height", "width"], [1, 3, 7, 7], [2, 3, "H", 9]])
def test_every_command_takes_a_shape(command, tmp_path, shape):
    path, given = network(tmp_path, shape), ("--shape", "1x3x10x12")
    status, out, _ = command("check", path, *given)
    assert status == 0
    assert "input 3x10x12" in out
    assert "float network equals onnxruntime" in out
    assert "10x12x8" in command("info", path, *given)[1]
    images = tmp_path / "x.npy"
    np.save(images, np.random.default_rng(1).standard_normal((3, 10, 12)).astype(np.float32))
    small = ("--config", "tiny")
    program = tmp_path / "net.program"
    status, out, _ = command("compile", path, *given, "--image", images, "--out", program, *small)
    assert status == 0
    status, out, error = command(
        "run", path, *given, "--image", images, "--program", program, "--device", "emulator"
    )
    assert status == 0, error
    assert "float network equals onnxruntime" in error
    status, out, _ = command("estimate", path, *given, *small)
    assert status == 0
    assert "conv" in out
    status, out, _ = command("compile", path, *given, "--explain", "conv", *small)
    assert status == 0


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("1x3x10", "--shape must be numbers with x between them"),
        ("1x3x10x", "--shape must be numbers with x between them"),
        ("1x3x0x10", "--shape must be numbers with x between them"),
        ("1x3x-1x10", "--shape must be numbers with x between them"),
        ("4x3x10x12", "--shape must be that of one image"),
        ("1x30", "has another number of sides"),
        ("1x3x70000x10", "is too large"),
    ],
)
def test_shapes_that_make_no_sense(command, open_network, text, error):
    status, _, shown = command("check", open_network, "--shape", text)
    assert status == 2
    assert error in shown


def test_a_shape_that_a_node_cannot_take_names_the_node(command, open_network):
    status, out, _ = command("check", open_network, "--shape", "1x5x10x12")
    assert status == 1
    assert "1 x Conv: weights of (8, 3, 3, 3) in 1 groups do not fit 5" in out


def test_built_in_networks_have_a_size(command):
    for arguments in (("info",), ("estimate",), ("run", "--device", "emulator")):
        status, _, error = command(arguments[0], "mini", *arguments[1:], "--shape", "1x3x8x8")
        assert status == 2
        assert "a shape is for ONNX files" in error


def test_the_interface_takes_a_shape(open_network):
    rng = np.random.default_rng(2)
    images = rng.standard_normal((2, 3, 10, 12), np.float32)
    net = sy.load(open_network, calibrate=images, input_shape=(3, 10, 12))
    assert net.input_shape == (3, 10, 12)
    program = net.compile("tiny")
    emulated, replayed = (program.run(images[0], device=name) for name in ("emulator", "model"))
    np.testing.assert_array_equal(emulated.output, replayed.output)
    assert net.estimate("tiny").layers[0].name == "conv"
    with pytest.raises(sy.SystolithError, match="leaves its size open"):
        sy.load(open_network)
    with pytest.raises(sy.SystolithError, match="input_shape must be that of one image"):
        sy.load(open_network, input_shape=(3, 0, 8))
