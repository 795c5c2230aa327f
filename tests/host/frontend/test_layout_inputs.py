"""Inputs of files with channels last: arrays as the file has them, and photographs."""

import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import systolith as sy
from systolith_host.cli import app as cli
from systolith_host.errors import SystolithError

N = helper.make_node


def values(*shape):
    return np.random.default_rng(shape).standard_normal(shape).astype(np.float32)


def flattened(size=(7, 5)):
    """Return a network that takes (height, width, 3) and flattens in that order."""
    nodes = [
        N("Transpose", ["x"], ["i"], perm=[0, 3, 1, 2]),
        N("Conv", ["i", "w"], ["c"], "conv", pads=[1] * 4),
        N("Transpose", ["c"], ["a"], perm=[0, 2, 3, 1]),
        N("Flatten", ["a"], ["f"]),
        N("Gemm", ["f", "l", "b"], ["y"], "dense"),
    ]
    constants = {"w": values(6, 3, 3, 3), "l": values(6 * size[0] * size[1], 4), "b": values(4)}
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("N", *size, 3))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(v, n) for n, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_arrays_come_as_the_file_has_them(tmp_path, monkeypatch, capsys):
    path = tmp_path / "net.onnx"
    onnx.save(flattened(), path)
    images = values(2, 7, 5, 3)
    wanted = np.asarray(onnxruntime.InferenceSession(path).run(None, {"x": images})[0])
    net = sy.load(path, calibrate=images)
    np.testing.assert_allclose(net.forward(images), wanted, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(net.forward([images[0], images[1]]), wanted, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        net.forward(np.moveaxis(images, -1, 1)), wanted, rtol=1e-4, atol=1e-4
    )
    with pytest.raises(SystolithError, match=r"must hold numbers of shape \(7, 5, 3\)"):
        net.forward(images[:, :, :, :2])
    file = tmp_path / "x.npy"
    np.save(file, images[0])
    command = ["systolith", "run", str(path), "--image", str(file), "--device", "emulator"]
    monkeypatch.setattr(sys, "argv", [*command, "--config", "tiny"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert "float network equals onnxruntime" in capsys.readouterr().err


def test_photographs_of_files_with_channels_last(tmp_path):
    from PIL import Image

    path = tmp_path / "net.onnx"
    onnx.save(flattened((16, 12)), path)
    picture = tmp_path / "p.png"
    pixels = np.random.default_rng(1).integers(0, 256, (40, 30, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(picture)
    assert sy.load(path, calibrate=picture).input_shape == (3, 16, 12)
