"""Files whose input is of integers: bytes of an image, or a quantised tensor."""

import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

import systolith as sy
from systolith_host.cli import app as cli
from systolith_host.errors import SystolithError
from systolith_host.frontend.judge import judge
from systolith_host.frontend.onnx import read_onnx

N = helper.make_node


def values(*shape):
    return (np.random.default_rng(shape).standard_normal(shape) / 4).astype(np.float32)


def model(nodes, constants, shape, kind):
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", kind, ("N", *shape))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def layers(source):
    """Return a convolution, a pool and a linear layer, and their weights."""
    nodes = [
        N("Conv", [source, "w", "v"], ["c"], "conv", pads=[1] * 4),
        N("Relu", ["c"], ["r"]),
        N("GlobalAveragePool", ["r"], ["g"]),
        N("Flatten", ["g"], ["f"]),
        N("Gemm", ["f", "l", "b"], ["y"], "dense"),
    ]
    return nodes, {"w": values(6, 3, 3, 3), "v": values(6), "l": values(6, 4), "b": values(4)}


def with_bytes(kind=TensorProto.UINT8):
    """Return a network that takes the bytes of (height, width, 3), and scales them itself."""
    nodes, constants = layers("d")
    front = [
        N("Transpose", ["x"], ["i"], perm=[0, 3, 1, 2]),
        N("Cast", ["i"], ["s"], to=TensorProto.FLOAT),
        N("Div", ["s", "k"], ["d"]),
    ]
    return model([*front, *nodes], constants | {"k": np.float32(255)}, (8, 6, 3), kind)


class Samples(CalibrationDataReader):
    def __init__(self):
        rng = np.random.default_rng(0)
        self.given = iter([{"x": rng.random((1, 3, 8, 6), np.float32) * 2 - 1} for _ in range(4)])

    def get_next(self):  # pyright: ignore  # it ends with None
        return next(self.given, None)


def quantised(folder, form, kind=QuantType.QUInt8):
    """Return a file of onnxruntime's quantiser whose QuantizeLinear at the input is taken away."""
    nodes, constants = layers("x")
    onnx.save(model(nodes, constants, (3, 8, 6), TensorProto.FLOAT), folder / "float.onnx")
    quantize_static(
        folder / "float.onnx",
        folder / "whole.onnx",
        Samples(),
        quant_format=form,
        activation_type=kind,
        weight_type=QuantType.QInt8,
    )
    proto = onnx.load(folder / "whole.onnx")
    (first,) = [n for n in proto.graph.node if n.op_type == "QuantizeLinear" and n.input[0] == "x"]
    proto.graph.node.remove(first)
    for node in proto.graph.node:
        for index, name in enumerate(node.input):
            if name == first.output[0]:
                node.input[index] = "x"
    unsigned = kind == QuantType.QUInt8
    proto.graph.input[0].type.tensor_type.elem_type = (
        TensorProto.UINT8 if unsigned else TensorProto.INT8
    )
    path = folder / "net.onnx"
    onnx.save(proto, path)
    return path


def in_onnxruntime(path, x):
    return np.asarray(onnxruntime.InferenceSession(path).run(None, {"x": x})[0])


@pytest.mark.parametrize("kind", ["FLOAT8E5M2", "UINT4", "BFLOAT16"])
def test_other_types_that_are_cast_are_refused(tmp_path, kind):
    onnx.save(with_bytes(getattr(TensorProto, kind)), tmp_path / "net.onnx")
    with pytest.raises(SystolithError, match=rf"integers of 8 to 64 bits, not {kind.lower()}"):
        read_onnx(tmp_path / "net.onnx")


@pytest.mark.parametrize("kind", ["uint8", "int8", "int32", "int64", "bool"])
def test_integers_that_are_cast(tmp_path, kind):
    path = tmp_path / "net.onnx"
    onnx.save(with_bytes(getattr(TensorProto, kind.upper())), path)
    low, high = {"int8": (-128, 128), "bool": (0, 2)}.get(kind, (0, 256))
    x = np.random.default_rng(1).integers(low, high, (3, 8, 6, 3)).astype(kind)
    net = sy.load(path, calibrate=x)
    np.testing.assert_allclose(net.forward(x), in_onnxruntime(path, x), rtol=1e-4, atol=1e-5)
    program = net.compile("tiny", batch=3)
    run = program.run(x, device="emulator")
    wanted = in_onnxruntime(path, x)
    assert np.abs(run.output - wanted).max() < 0.05 * np.abs(wanted).max()
    assert "float network equals onnxruntime" in judge(path, read_onnx(path), 16)


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        (QuantFormat.QDQ, QuantType.QUInt8),
        (QuantFormat.QDQ, QuantType.QInt8),
        (QuantFormat.QOperator, QuantType.QUInt8),
    ],
)
def test_quantised_files_that_take_integers(tmp_path, form, kind):
    path = quantised(tmp_path, form, kind)
    model = read_onnx(path)
    assert "integers equal onnxruntime's in" in judge(path, model, 16)
    low, dtype = (0, np.uint8) if kind == QuantType.QUInt8 else (-128, np.int8)
    x = np.random.default_rng(2).integers(low, low + 256, (2, 3, 8, 6)).astype(dtype)
    net = sy.load(path)
    run = net.compile("tiny", batch=2).run(x, device="emulator")
    wanted = in_onnxruntime(path, x)
    scale = model.scales[model.graph.output]
    assert np.abs(run.output - wanted).max() <= 1.001 * scale.scale


def test_quantised_images_with_channels_last(tmp_path):
    path = quantised(tmp_path, QuantFormat.QDQ)
    proto = onnx.load(path)
    for node in proto.graph.node:
        for index, name in enumerate(node.input):
            if name == "x":
                node.input[index] = "i"
    proto.graph.node.insert(0, N("Transpose", ["x"], ["i"], perm=[0, 3, 1, 2]))
    kind = helper.make_tensor_value_info("x", TensorProto.UINT8, ("N", 8, 6, 3))
    proto.graph.input[0].CopyFrom(kind)
    onnx.save(proto, path)
    model = read_onnx(path)
    assert model.graph.shapes[model.graph.input] == (3, 8, 6)
    assert "integers equal onnxruntime's in" in judge(path, model, 16)
    x = np.random.default_rng(3).integers(0, 256, (2, 8, 6, 3)).astype(np.uint8)
    output = sy.load(path).compile("tiny", batch=2).run(x, device="emulator").output
    difference = np.abs(output - in_onnxruntime(path, x)).max()
    assert difference <= 1.001 * model.scales[model.graph.output].scale


def test_accuracy_of_a_network_that_takes_bytes(tmp_path):
    path = tmp_path / "net.onnx"
    onnx.save(with_bytes(), path)
    x = np.random.default_rng(4).integers(0, 256, (12, 8, 6, 3)).astype(np.uint8)
    labels = in_onnxruntime(path, x).argmax(axis=1)
    program = sy.load(path, calibrate=x).compile("tiny", batch=4)
    found = program.evaluate((x, labels), device="emulator")
    np.testing.assert_array_equal(found.classes["float"], labels)


def test_photographs_become_bytes(tmp_path, monkeypatch, capsys):
    from PIL import Image

    path, picture = tmp_path / "net.onnx", tmp_path / "p.png"
    onnx.save(with_bytes(), path)
    pixels = np.random.default_rng(1).integers(0, 256, (8, 6, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(picture)
    command = ["systolith", "run", str(path), "--image", str(picture), "--device", "emulator"]
    monkeypatch.setattr(sys, "argv", [*command, "--config", "tiny"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    told = capsys.readouterr().err
    assert "photographs as the type of its input tells: 0 to 255" in told
    assert "float network equals onnxruntime" in told


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.full((8, 6, 3), 0.5), "whole numbers from 0 to 255, as the network's file takes uint8"),
        (np.full((8, 6, 3), 256), "takes uint8, not 256"),
        (np.full((8, 6, 3), np.nan), "takes uint8, not nan"),
    ],
)
def test_other_numbers_are_refused(tmp_path, x, message):
    path = tmp_path / "net.onnx"
    onnx.save(with_bytes(), path)
    with pytest.raises(SystolithError, match=message):
        sy.load(path, calibrate=x)
