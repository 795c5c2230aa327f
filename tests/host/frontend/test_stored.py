"""Large tensors stay in their files: the right values, damaged files named, little memory."""

import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from systolith_host.errors import SystolithError
from systolith_host.frontend.judge import judge
from systolith_host.frontend.onnx import read_onnx
from systolith_host.frontend.stored import LARGE, Maps, read_skeleton

N = helper.make_node
FEATURES = 400
"""So that a matrix of FEATURES rows and columns is large."""


def network(tensor):
    graph = helper.make_graph(
        [N("Gemm", ["x", "w", "b"], ["y"], "dense")],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", tensor.dims[0]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [tensor, numpy_helper.from_array(np.arange(tensor.dims[1], dtype=np.float32), "b")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def matrix(dtype=np.float32, size=FEATURES):
    values = np.random.default_rng(3).standard_normal((size, size))
    return (values * 0.05).astype(dtype)


def packed(values):
    """Return a tensor whose values stand in a field of floats instead of bytes."""
    return helper.make_tensor("w", TensorProto.FLOAT, values.shape, values.ravel().tolist())


FORMS = {
    "bytes": lambda v: numpy_helper.from_array(v, "w"),
    "floats": packed,
    "half": lambda v: numpy_helper.from_array(v.astype(np.float16), "w"),
    "double": lambda v: numpy_helper.from_array(v.astype(np.float64), "w"),
}


@pytest.mark.parametrize("form", FORMS)
def test_values_are_views_of_the_file(form, tmp_path):
    path, values = tmp_path / "net.onnx", matrix()
    onnx.save(network(FORMS[form](values)), path)
    skeleton = read_skeleton(path)
    assert skeleton.ByteSize() < 2000
    whole = onnx.load(str(path))
    assert sorted(t.name for t in skeleton.graph.initializer) == ["b", "w"]
    (tensor,) = [t for t in skeleton.graph.initializer if t.name == "w"]
    maps = Maps(tmp_path)
    found = maps.tensor(tensor)
    (wanted,) = [numpy_helper.to_array(t) for t in whole.graph.initializer if t.name == "w"]
    assert found is not None
    assert found.dtype == wanted.dtype
    assert not found.flags.owndata
    np.testing.assert_array_equal(found, wanted)
    maps.forget()
    np.testing.assert_array_equal(found, wanted)
    assert skeleton.graph.node == whole.graph.node


@pytest.mark.parametrize("form", ["bytes", "floats"])
@pytest.mark.parametrize("shift", range(4))
def test_onnxruntime_reads_the_same_values_at_any_address(form, shift, tmp_path):
    proto = network(FORMS[form](matrix()))
    proto.doc_string = "i" * (1 + shift)
    path = tmp_path / "net.onnx"
    onnx.save(proto, path)
    assert judge(path, read_onnx(path), 16).startswith("float network equals onnxruntime")


def test_external_values_are_views_of_their_file(tmp_path):
    path, values = tmp_path / "net.onnx", matrix()
    proto = network(numpy_helper.from_array(values, "w"))
    onnx.save(proto, path, save_as_external_data=True, location="values", size_threshold=0)
    model = read_onnx(path)
    weight = model.weights["dense"].weight
    assert not weight.flags.owndata
    np.testing.assert_array_equal(weight, values.T)
    assert judge(path, model, 16).startswith("float network equals onnxruntime")


def test_values_in_two_pieces_are_those_of_the_last(tmp_path):
    # Protobuf lets a field occur twice.
    tensor = numpy_helper.from_array(matrix(), "w")
    other = TensorProto(raw_data=(2 * matrix()).tobytes()).SerializeToString()
    proto = network(tensor)
    data = TensorProto(name="w", dims=tensor.dims, data_type=1).SerializeToString()
    twice = data + TensorProto(raw_data=tensor.raw_data).SerializeToString() + other
    del proto.graph.initializer[:]
    body = proto.graph.SerializeToString() + _field(5, twice)
    body += onnx.GraphProto(
        initializer=[numpy_helper.from_array(matrix()[0], "b")]
    ).SerializeToString()
    rest = onnx.ModelProto(ir_version=8, opset_import=proto.opset_import).SerializeToString()
    path = tmp_path / "net.onnx"
    path.write_bytes(rest + _field(7, body))
    np.testing.assert_array_equal(read_onnx(path).weights["dense"].weight, 2 * matrix().T)


def _field(number, content):
    size, digits = len(content), []
    while size > 127:
        digits.append(size & 127 | 128)
        size >>= 7
    return bytes([number << 3 | 2, *digits, size]) + content


def test_every_truncation_is_named(tmp_path):
    whole, path = tmp_path / "whole.onnx", tmp_path / "net.onnx"
    onnx.save(network(numpy_helper.from_array(matrix(), "w")), whole)
    data = whole.read_bytes()
    ends = [*range(4 * LARGE, len(data), 8191), *range(len(data) - 40, len(data))]
    for end in ends:
        path.write_bytes(data[:end])
        with pytest.raises(SystolithError, match=r"net.onnx: (not an ONNX model|names no version)"):
            read_onnx(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.dims.append(2),
        lambda t: t.dims.__setitem__(0, -1),
        lambda t: t.dims.__setitem__(0, 1 << 40),
        lambda t: t.ClearField("dims"),
    ],
)
def test_values_that_do_not_fit_their_shape_are_named(change, tmp_path):
    proto = network(numpy_helper.from_array(matrix(), "w"))
    change(proto.graph.initializer[0])
    onnx.save(proto, tmp_path / "net.onnx")
    with pytest.raises(SystolithError, match=r"'w' cannot be read: 640000 bytes do not make"):
        read_onnx(tmp_path / "net.onnx")


def external(folder, **entries):
    tensor = TensorProto(name="w", dims=[FEATURES] * 2, data_type=TensorProto.FLOAT)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=str(value))
    onnx.save(network(tensor), folder / "net.onnx")
    with pytest.raises(SystolithError, match="external data of 'w' cannot be read") as error:
        read_onnx(folder / "net.onnx")
    return str(error.value)


def test_external_values_outside_of_the_folder_are_refused(tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "values").write_bytes(matrix().tobytes())
    assert "outside of the model's folder" in external(inner, location="../values")
    assert "outside of the model's folder" in external(inner, location=tmp_path / "values")
    (inner / "link").symlink_to(tmp_path / "values")
    assert "outside of the model's folder" in external(inner, location="link")


def test_external_values_that_are_too_short_are_named(tmp_path):
    (tmp_path / "values").write_bytes(matrix().tobytes())
    size = 4 * FEATURES * FEATURES
    assert "too short" in external(tmp_path, location="values", offset=4, length=size)
    assert "do not make" in external(tmp_path, location="values", offset=4)
    assert "non-negative" in external(tmp_path, location="values", offset=-4, length=size)


MEMORY = """
import sys
from pathlib import Path
from systolith_host.frontend.judge import judge
from systolith_host.frontend.onnx import read_onnx
path = Path(sys.argv[1])
print(judge(path, read_onnx(path), 16))
(peak,) = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(peak)
"""


def test_reading_and_judging_take_no_more_than_twice_the_file(tmp_path):
    def memory(size):
        path = tmp_path / "net.onnx"
        onnx.save(network(numpy_helper.from_array(matrix(size=size), "w")), path)
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, str(path)], check=True, capture_output=True, text=True
        )
        line, peak = done.stdout.splitlines()
        assert line.startswith("float network equals onnxruntime")
        return 1024 * int(peak), path.stat().st_size

    base, _ = memory(10)
    peak, size = memory(6000)
    assert size > 140e6
    assert peak - base <= 2 * size
