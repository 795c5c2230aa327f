"""The example of gathered layers: its network is trained up to fc6, its table right by hand."""

import importlib
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import systolith as sy

FOLDER = Path(__file__).parents[2] / "examples" / "vgg16-trained"
SIZES = {"fc6": (2 * 3 * 3, 6), "fc7": (6, 5), "fc8": (5, 4)}


@pytest.fixture
def example(monkeypatch):
    """The module of the example, with layers of a few inputs and outputs."""
    monkeypatch.syspath_prepend(FOLDER)
    for name in ("gathered", "prepare"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    module = importlib.import_module("gathered")
    monkeypatch.setattr(module, "FC", SIZES)
    monkeypatch.setattr(module, "SIDE", 6)
    yield module
    for name in ("gathered", "prepare"):
        sys.modules.pop(name, None)


def trained(path):
    """Write a network as TensorFlow's are: channels last, a convolution, and a layer behind it."""
    rng = np.random.default_rng(1)
    weight, bias = rng.standard_normal((2, 3, 3, 3)), rng.standard_normal(2)
    values = {"w": weight, "b": bias, "d": rng.standard_normal((18, 4))}
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], "t", perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["t", "w", "b"], ["c"], "some/conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("MaxPool", ["r"], ["p"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"], "flatten"),
        helper.make_node("MatMul", ["f", "d"], ["m"], "dense"),
        helper.make_node("Relu", ["m"], ["y"], "last"),
    ]
    graph = helper.make_graph(
        nodes,
        "own",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 6, 6, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in values.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), path)
    return weight, bias


def test_its_network_has_the_trained_convolutions_and_random_layers_behind(example, tmp_path):
    weight, bias = trained(tmp_path / "trained.onnx")
    example.build(tmp_path / "trained.onnx", tmp_path / "made.onnx")
    x = np.random.default_rng(2).standard_normal((2, 3, 6, 6)).astype(np.float32)
    net = sy.load(tmp_path / "made.onnx", calibrate=x)
    assert [node.name for node in net.graph.weighted] == ["conv1", *SIZES]
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
    y = np.einsum("ncpqrs,kcrs->nkpq", windows, weight) + bias[:, None, None]
    y = np.maximum(y, 0).reshape(2, 2, 3, 2, 3, 2).max(axis=(3, 5)).reshape(2, -1)
    made = onnx.load(tmp_path / "made.onnx").graph
    constants = {one.name: numpy_helper.to_array(one) for one in made.initializer}
    for name, (inputs, outputs) in SIZES.items():
        layer = constants[f"{name}.weight"]
        assert layer.shape == (outputs, inputs)
        y = y @ layer.T if name == "fc8" else np.maximum(y @ layer.T, 0)
    np.testing.assert_allclose(net.forward(x), y, rtol=1e-4, atol=1e-5)


def test_it_runs_a_photograph_and_ends_with_the_table(example, tmp_path, monkeypatch, capfd):
    trained(tmp_path / "vgg16.onnx")
    (tmp_path / "LICENCES").write_text("")
    (tmp_path / "photographs").mkdir()
    pixels = np.random.default_rng(3).integers(0, 256, (6, 6, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photographs" / "camera.png")
    monkeypatch.setattr(sys, "argv", ["gathered.py", "--out", str(tmp_path)])
    example.main()
    out = capfd.readouterr().out
    assert "0 mismatches" in out
    lines = out.splitlines()[-5:]
    assert [line.split()[0] for line in lines] == ["layer", *SIZES, "all"]
    assert lines[1].split()[2:4] == ["of", "18"]


@pytest.mark.parametrize(("bits", "width"), [({}, 8), ({"fc": 4}, 4)])
def test_the_ideal_reads_the_weights_of_inputs_that_are_not_zero(example, bits, width):
    layers = [{"name": "conv1", "skipped_bytes": 0, "bytes_read": 9, "cycles": 9}]
    for name, zeros in {"fc6": 8, "fc7": 0, "fc8": 3}.items():
        skipped = zeros * SIZES[name][1] * width // 8
        layers.append({"name": name, "skipped_bytes": skipped, "bytes_read": 96, "cycles": 60})
    memory = {"bytes_per_cycle": 4.0}
    report = {"config": {"cols": 2, "bus_bytes": 4}, "memory": memory, "layers": layers}
    head, fc6, fc7, fc8, together = example.table(report, bits).splitlines()
    least = 10 * 6 * width // 8
    assert fc6.split() == f"fc6 10 of 18 96 {least} {96 / least:.3f} 60 30 2.000".split()
    assert fc7.split()[1:4] == ["6", "of", "6"]
    assert fc8.split()[1:4] == ["2", "of", "5"]
    least = (60 + 30 + 8) * width / 8
    assert (
        together.split()[1:] == f"288 {least:.0f} {288 / least:.3f} 180 49 {180 / 49:.3f}".split()
    )
    memory["bytes_per_cycle"] = 0.5  # memory binds
    assert example.table(report, bits).splitlines()[1].split()[8] == str(60 * width // 4)
    assert head.split()[0] == "layer"
