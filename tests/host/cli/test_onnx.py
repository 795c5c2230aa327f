"""The command line with ONNX files: check, export, run, and what is refused."""

import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from systolith_host.cli import app as cli
from systolith_host.frontend.onnx import HANDLERS
from systolith_host.frontend.zoo import ZOO
from systolith_host.lab.onnx_models import onnx_model, onnx_node, onnxruntime_output
from systolith_host.network.graph import Add


@pytest.fixture
def model(tmp_path):
    """A network with a sum and a concatenation, for images of 1x10x12."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], "a", pads=[1] * 4),
        helper.make_node("Conv", ["x", "v"], ["b"], "b", pads=[1] * 4),
        helper.make_node("Add", ["a", "b"], ["s"], "sum"),
        helper.make_node("Concat", ["a", "s"], ["j"], "join", axis=1),
        helper.make_node("GlobalAveragePool", ["j"], ["m"], "mean"),
        helper.make_node("Flatten", ["m"], ["f"], "flat"),
        helper.make_node("Softmax", ["f"], ["y"], "soft"),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 10, 12])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(rng.standard_normal((8, 1, 3, 3)).astype(np.float32), name)
            for name in "wv"
        ],
    )
    path = tmp_path / "net.onnx"
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path


EMULATOR = ("--config", "tiny", "--device", "emulator")


def test_check_says_what_a_network_is(command, model):
    status, out, _ = command("check", model)
    assert status == 0
    assert "can run: input 1x10x12" in out
    assert "the host ends with Softmax" in out
    assert "the host computes" not in out
    assert re.search(r"float network equals onnxruntime: \d(\.\d)?(e-\d\d)?\n", out)


@pytest.mark.parametrize("arguments", [("check",), ("run", *EMULATOR)])
def test_what_is_read_otherwise_than_by_onnxruntime_is_an_error(
    command, model, monkeypatch, arguments
):
    def wrong(reader, proto, name):
        """Read a sum as twice its first input."""
        first = reader.source(proto)
        reader.add(proto, Add(name, (first, first), proto.output[0]), reader.shapes[first])

    monkeypatch.setitem(HANDLERS, "Add", wrong)
    name, *options = arguments
    status, out, err = command(name, model, *options)
    assert status == 2
    assert "sum (Add) computes something else than onnxruntime" in err
    assert "can run" not in out


def test_check_lists_what_stands_in_the_way(command, model):
    proto = onnx.load(model)
    proto.graph.node[2].op_type = "Mul"
    proto.graph.node[4].op_type = "GlobalMaxPool"
    onnx.save(proto, model)
    status, out, _ = command("check", model, "--no-host-nodes")
    assert status == 1
    assert [line.split(":")[0] for line in out.splitlines() if line[0].isdigit()] == [
        "1 x Mul",
        "1 x GlobalMaxPool",
    ]
    assert "    nodes: sum\n" in out
    assert "    would take: in the model, a MaxPool whose kernel is its input's size\n" in out
    assert out.endswith("cannot run: 2 nodes are not supported for 2 reasons\n")
    status, _, err = command("run", model, *EMULATOR, "--no-host-nodes")
    assert status == 2
    assert "2 of its nodes cannot run" in err


def test_check_lists_what_the_host_computes(command, model):
    proto = onnx.load(model)
    proto.graph.node[2].op_type = "Mul"
    onnx.save(proto, model)
    status, out, _ = command("check", model)
    assert status == 0
    assert out.startswith("1 x Mul: of two tensors is not supported; only their sum is\n")
    assert "    nodes: sum\n" in out
    assert "Concat: joins what the host has, and no layer follows\n" in out
    assert "the host computes 3 nodes; --no-host-nodes refuses them\n" in out
    assert "float network equals onnxruntime: " in out
    status, out, _ = command("run", model, *EMULATOR)
    assert status == 0
    assert "0 mismatches" in out


@pytest.mark.parametrize("options", [(), ("--sequential",), ("--calibration", "mse", "--noise")])
def test_a_network_runs_on_photographs(command, model, tmp_path, options):
    folder = tmp_path / "photographs"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for number in range(2):
        pixels = rng.integers(0, 256, (20, 30, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    arguments = ("--calibrate", folder, "--image", folder / "0.png", *options)
    status, out, _ = command("run", model, *EMULATOR, *arguments)
    assert status == 0
    assert "0 mismatches" in out
    assert "top 5 outputs (by index)" in out
    assert ("signal/noise" in out) == ("--noise" in options)


@pytest.fixture
def photograph(tmp_path):
    path = tmp_path / "photograph.png"
    pixels = np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize(
    ("options", "stages"),
    [
        ((), (True, True, True)),
        (("--calibrate",), (True, True, True)),
        (("--calibrate", "--no-equalise"), (False, True, True)),
        (("--no-correct-bias",), (True, False, True)),
        (("--round-nearest",), (True, True, False)),
        (("--no-equalise", "--no-correct-bias", "--round-nearest"), (False, False, False)),
    ],
)
def test_a_files_network_is_quantised_with_care_but_for_what_is_turned_off(
    command, model, photograph, monkeypatch, options, stages
):
    seen = []
    monkeypatch.setattr(cli.ProgressLog, "stage", lambda log, name: seen.append(name))
    arguments = []
    for option in options:
        arguments += [option, photograph] if option == "--calibrate" else [option]
    status, out, _ = command("run", model, *EMULATOR, "--image", photograph, *arguments)
    assert status == 0
    assert "0 mismatches" in out
    steps = ("equalisation", "bias correction", "rounding")
    assert tuple(any(step in name for name in seen) for step in steps) == stages


def test_a_quantised_network_is_neither_equalised_nor_corrected(command, tmp_path, photograph):
    scale, zero = np.float32(0.1), np.uint8(0)
    constants = {"s": scale, "z": zero, "w": np.ones((2, 1, 3, 3), np.int8), "i": np.int8(0)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        helper.make_node("QLinearConv", ["xq", "s", "z", "w", "s", "i", "s", "z"], ["yq"], "conv"),
        helper.make_node("DequantizeLinear", ["yq", "s", "z"], ["y"]),
    ]
    kind = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", kind, [1, 1, 12, 12])],
        [helper.make_tensor_value_info("y", kind, None)],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
    )
    path = tmp_path / "quantised.onnx"
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    arguments = ("run", path, *EMULATOR, "--image", photograph)
    assert command(*arguments)[0] == 0
    for option in ("--equalise", "--correct-bias"):
        status, _, err = command(*arguments, option)
        assert status == 2
        assert f"{option}: {path} is quantised, with scales of its own" in err


def test_equalised_layers_are_named(command, photograph, tmp_path):
    rng = np.random.default_rng(0)
    scale = 2.0 ** rng.integers(-6, 7, 16).reshape(-1, 1, 1, 1)
    weights = {
        "w": rng.standard_normal((16, 1, 3, 3)) * scale,
        "v": rng.standard_normal((4, 16, 3, 3)) / scale.reshape(1, -1, 1, 1),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], "first"),
        helper.make_node("Relu", ["a"], ["b"], "relu"),
        helper.make_node("Conv", ["b", "v"], ["y"], "second"),
    ]
    kind = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", kind, [1, 1, 12, 12])],
        [helper.make_tensor_value_info("y", kind, None)],
        [numpy_helper.from_array(v.astype(np.float32), name) for name, v in weights.items()],
    )
    path = tmp_path / "scaled.onnx"
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    status, out, err = command(
        "run", path, *EMULATOR, "--image", photograph, "--calibrate", photograph
    )
    assert status == 0
    assert "0 mismatches" in out
    assert "equalised 1 of 1 groups: first and second" in err


def test_a_network_runs_on_numbers(command, model, tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(2).standard_normal((3, 1, 10, 12)))
    status, out, _ = command(
        "run", model, *EMULATOR, "--image", tmp_path / "x.npy", "--batch", 3, "--sequential"
    )
    assert status == 0
    assert "0 mismatches" in out
    np.save(tmp_path / "y.npy", np.zeros((2, 10, 12)))
    status, _, err = command("run", model, *EMULATOR, "--image", tmp_path / "y.npy")
    assert status == 2
    assert "must hold numbers of shape (1, 10, 12)" in err


def test_programs_of_files_are_kept(command, model, tmp_path):
    program = tmp_path / "net.program"
    assert command("compile", model, "--config", "tiny", "--out", program)[0] == 0
    status, out, _ = command("run", model, "--device", "emulator", "--program", program)
    assert status == 0
    assert "0 mismatches" in out
    assert command("info", model)[0] == 0


def test_the_help_names_every_network_that_can_be_exported(command):
    status, out, _ = command("export", "--help")
    assert status == 0
    assert [name for name in ZOO if name not in out] == []


def test_exported_networks_run(command, tmp_path):
    path = tmp_path / "squeezenet.onnx"
    assert command("export", "squeezenet1_1", "--out", path, "--size", 64)[0] == 0
    status, out, _ = command("run", path, "--device", "emulator", "--sequential")
    assert status == 0
    assert "30 layers, 0 mismatches" in out
    status, _, err = command("export", "lenet", "--out", path)
    assert status == 2
    assert "network must be one of alexnet" in err


def test_weights_of_a_file_are_its_own(command, model, tmp_path):
    status, _, err = command("run", model, "--weights", tmp_path / "w.safetensors")
    assert status == 2
    assert "has its own weights" in err


def test_wide_and_transparent_pictures_are_taken_and_transparency_is_said(command, model, tmp_path):
    pixels = np.arange(120, dtype=np.uint16).reshape(10, 12) * 2
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "narrow.png")
    Image.fromarray(257 * pixels).save(tmp_path / "wide.png")
    Image.fromarray(pixels.astype(np.uint8)).convert("LA").save(tmp_path / "opaque.png")
    Image.new("LA", (12, 10), (30, 128)).save(tmp_path / "clear.png")
    found = {}
    for name in ("narrow", "wide", "opaque", "clear"):
        path = tmp_path / f"{name}.png"
        status, out, err = command("run", model, *EMULATOR, "--image", path)
        assert status == 0
        assert ("transparent pixels are laid over white" in err) == (name == "clear")
        found[name] = next(line for line in out.splitlines() if line.startswith("top 5"))
    assert found["narrow"] == found["wide"] == found["opaque"] != found["clear"]


def test_a_picture_in_floats_outside_of_0_to_1_is_refused_with_one_line(command, model, tmp_path):
    path = tmp_path / "image.tiff"
    Image.fromarray(np.full((10, 12), 255, np.float32)).save(path)
    status, _, err = command("run", model, *EMULATOR, "--image", path)
    assert status == 2
    (line,) = (line for line in err.replace("\n", " ").split("error: ")[1:])
    assert "values from 255 to 255" in line


@pytest.fixture
def perceptron(tmp_path):
    """Linear layers of vectors of 20, one with its bias in an Add, and a normalisation."""
    rng = np.random.default_rng(1)
    nodes = [
        onnx_node("MatMul", ["x", "a"], "h"),
        onnx_node("Add", ["h", "c"], "i"),
        onnx_node("Relu", ["i"], "r"),
        onnx_node("BatchNormalization", ["r", "g", "c", "c", "v"], "n"),
        onnx_node("Gemm", ["n", "b"], "y"),
    ]
    sizes = {"a": (20, 33), "c": (33,), "g": (33,), "v": (33,), "b": (33, 7)}
    constants = {name: rng.standard_normal(size) for name, size in sizes.items()}
    path = tmp_path / "mlp.onnx"
    onnx.save(onnx_model(nodes, constants | {"v": constants["v"] ** 2 + 0.5}, ("N", 20)), path)
    return path


@pytest.mark.parametrize("shape", [(20,), (1, 20), (5, 20)])
@pytest.mark.parametrize("batch", [1, 2])
def test_networks_of_vectors_run(shape, batch, command, perceptron, tmp_path):
    x = np.random.default_rng(2).standard_normal(shape).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    options = ("--image", tmp_path / "x.npy", "--batch", batch, "--noise")
    for more in ((), ("--calibrate", tmp_path / "x.npy", "--calibration", "mse")):
        status, out, err = command("run", perceptron, *EMULATOR, *options, *more)
        assert (status, "0 mismatches" in out) == (0, True), err
        wanted = onnxruntime_output(onnx.load(perceptron), x.reshape(-1, 20))[0]
        assert f"float network's top 5: {', '.join(map(str, np.argsort(-wanted)[:5]))}" in out
        assert ("and shifted" in out) == (x.size < 20 * batch)


@pytest.mark.rtl
def test_network_of_vectors_runs_in_the_rtl(command, perceptron, tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(3).standard_normal((2, 20), np.float32))
    image = ("--image", tmp_path / "x.npy", "--batch", 2)
    status, out, err = command("run", perceptron, "--config", "tiny", *image)
    assert (status, "2 layers, 0 mismatches" in out) == (0, True), err


def test_network_of_vectors_needs_an_array(command, perceptron, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2, 21), np.float32))
    for image, reason in (((), "no photograph gives"), (("--image", tmp_path / "x.npy"), "(20,)")):
        status, _, err = command("run", perceptron, *EMULATOR, *image)
        assert status == 2
        assert reason in err
        assert len(err.splitlines()) == 1


@pytest.fixture
def idle(tmp_path):
    """Layers of zeros, a dead ReLU, a tiny tensor, and sums of these with others."""
    rng = np.random.default_rng(4)
    nodes = [
        onnx_node("Conv", ["x", "w", "low"], "c"),
        onnx_node("Relu", ["c"], "dead"),
        onnx_node("Conv", ["x", "w", "k"], "h"),
        onnx_node("Conv", ["h", "zero"], "z"),
        onnx_node("Conv", ["h", "small"], "tiny"),
        onnx_node("Conv", ["dead", "one", "k"], "d", group=6),
        onnx_node("Add", ["h", "z"], "p"),
        onnx_node("Add", ["p", "tiny"], "q"),
        onnx_node("Add", ["dead", "dead"], "r"),
        onnx_node("Concat", ["q", "r", "d"], "j", axis=1),
        onnx_node("GlobalAveragePool", ["j"], "m"),
        onnx_node("Flatten", ["m"], "f"),
        onnx_node("Gemm", ["f", "g"], "y"),
    ]
    square = rng.standard_normal((6, 6, 1, 1)).astype(np.float32)
    constants = {
        "w": rng.standard_normal((6, 2, 3, 3)),
        "low": np.full(6, -1e3),
        "k": rng.standard_normal(6),
        "zero": 0 * square,
        "small": 1e-12 * square,
        "one": square[:, :1],
        "g": rng.standard_normal((18, 5)) * (np.arange(5) != 2),
    }
    path = tmp_path / "idle.onnx"
    onnx.save(onnx_model(nodes, constants, ("N", 2, 7, 9)), path)
    np.save(tmp_path / "x.npy", rng.standard_normal((2, 2, 7, 9), np.float32))
    return path


@pytest.mark.parametrize(
    "more",
    [
        ("--device", "emulator"),
        ("--device", "emulator", "--equalise", "--correct-bias"),
        pytest.param((), marks=pytest.mark.rtl),
    ],
)
def test_networks_with_idle_layers_run(more, command, idle):
    image = ("--image", idle.parent / "x.npy", "--noise")
    status, out, err = command("run", idle, "--config", "tiny", *image, *more)
    assert (status, " 0 mismatches" in out) == (0, True), err
    wanted = onnxruntime_output(onnx.load(idle), np.load(idle.parent / "x.npy"))[0]
    assert f"float network's top 5: {', '.join(map(str, np.argsort(-wanted)[:5]))}" in out
    assert " 2 (0.00)" in out
