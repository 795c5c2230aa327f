"""Files with several inputs, and with integers that the host's nodes read."""

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
from systolith_host.frontend.onnx import inspect_onnx, read_onnx

N = helper.make_node
F, I64, U8 = TensorProto.FLOAT, TensorProto.INT64, TensorProto.UINT8


def values(*shape):
    return (np.random.default_rng(shape).standard_normal(shape) / 4).astype(np.float32)


def model(nodes, constants, inputs, outputs=("y",)):
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info(name, kind, sides) for name, kind, sides in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def conv(source, made, weight):
    return N("Conv", [source, weight], [made], made, pads=[1] * 4)


def two_images():
    """Return two convolutions of two images of other sizes, joined."""
    nodes = [
        conv("a", "ca", "wa"),
        N("Relu", ["ca"], ["ra"]),
        N("GlobalAveragePool", ["ra"], ["ga"]),
        conv("b", "cb", "wb"),
        N("GlobalAveragePool", ["cb"], ["gb"]),
        N("Concat", ["ga", "gb"], ["j"], axis=1),
        N("Flatten", ["j"], ["f"]),
        N("Gemm", ["f", "l"], ["y"], "dense"),
    ]
    constants = {"wa": values(4, 3, 3, 3), "wb": values(4, 2, 3, 3), "l": values(8, 5)}
    return model(nodes, constants, [("a", F, ("N", 3, 8, 6)), ("b", F, ("N", 2, 5, 5))])


def detector():
    """Return a network whose boxes are scaled by the size of the image, an input of its own."""
    nodes = [
        conv("image", "c", "w"),
        N("GlobalAveragePool", ["c"], ["g"]),
        N("Flatten", ["g"], ["f"]),
        N("Gemm", ["f", "l"], ["s"], "dense"),
        N("Cast", ["size"], ["r"], to=F),
        N("Concat", ["r", "r"], ["rr"], axis=1),
        N("Mul", ["s", "rr"], ["y"]),
    ]
    constants = {"w": values(4, 3, 3, 3), "l": values(4, 4)}
    return model(nodes, constants, [("image", F, ("N", 3, 8, 6)), ("size", I64, ("N", 2))])


def tokens():
    """Return a network of words: an embedding, and linear layers."""
    nodes = [
        N("Gather", ["table", "ids"], ["e"]),
        N("ReduceMean", ["e"], ["m"], axes=[1], keepdims=0),
        N("Gemm", ["m", "l"], ["h"], "hidden"),
        N("Relu", ["h"], ["r"]),
        N("Gemm", ["r", "k"], ["y"], "dense"),
    ]
    constants = {"table": values(1000, 12), "l": values(12, 8), "k": values(8, 5)}
    return model(nodes, constants, [("ids", I64, ("N", 7))])


def conditioned():
    """Return a network of bytes, and of a vector that is added to its features."""
    nodes = [
        N("Cast", ["x"], ["s"], to=F),
        N("Div", ["s", "k"], ["d"]),
        conv("d", "c", "w"),
        N("GlobalAveragePool", ["c"], ["g"]),
        N("Flatten", ["g"], ["f"]),
        N("Gemm", ["v", "m"], ["z"], "condition"),
        N("Add", ["f", "z"], ["j"]),
        N("Relu", ["j"], ["r"]),
        N("Gemm", ["r", "l"], ["y"], "dense"),
    ]
    constants = {"k": np.float32(255), "w": values(6, 3, 3, 3), "m": values(9, 6)}
    inputs = [("x", U8, ("N", 3, 8, 6)), ("v", F, ("N", 9))]
    return model(nodes, constants | {"l": values(6, 4)}, inputs)


def odd():
    """Return a network of images with channels last, a condition, and an input of 16 bits."""
    nodes = [
        N("Transpose", ["image"], ["i"], perm=[0, 3, 1, 2]),
        conv("i", "c", "w"),
        N("GlobalAveragePool", ["c"], ["g"]),
        N("Flatten", ["g"], ["f"]),
        N("Cast", ["half"], ["h"], to=F),
        N("Add", ["f", "h"], ["a"]),
        N("Where", ["flag", "a", "f"], ["s"]),
        N("Gemm", ["s", "l"], ["y"], "dense"),
    ]
    inputs = [
        ("flag", TensorProto.BOOL, ()),
        ("half", TensorProto.FLOAT16, (1, 4)),
        ("image", F, ("N", 8, 6, 3)),
    ]
    return model(nodes, {"w": values(4, 3, 3, 3), "l": values(4, 5)}, inputs)


def drawn(proto, count):
    """Return inputs by name, for some images."""
    rng, made = np.random.default_rng(count), {}
    for value in proto.graph.input:
        sides = [d.dim_value for d in value.type.tensor_type.shape.dim][1:]
        if not value.type.tensor_type.shape.dim:
            made[value.name] = np.ones(count, bool)
            continue
        kind = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        whole = kind.kind in "iu"
        numbers = rng.integers(0, 200, (count, *sides)) if whole else rng.random((count, *sides))
        made[value.name] = numbers.astype(kind)
    return made


def one(values, index):
    """Return an image's values; one number has no side for the images."""
    return np.asarray(values[index]) if values.ndim == 1 else values[index : index + 1]


def in_onnxruntime(path, x):
    session = onnxruntime.InferenceSession(path)
    return np.concatenate(
        [np.asarray(session.run(None, {n: one(v, i) for n, v in x.items()})[0]) for i in range(3)]
    )


NETWORKS = [two_images, detector, tokens, conditioned, odd]


@pytest.mark.parametrize("network", NETWORKS)
def test_networks_are_onnxruntimes(tmp_path, network):
    path, proto = tmp_path / "net.onnx", network()
    onnx.save(proto, path)
    x = drawn(proto, 3)
    wanted = in_onnxruntime(path, x)
    read = read_onnx(path, host_nodes=True)
    assert "float network equals onnxruntime" in judge(path, read, 16)
    net = sy.load(path, calibrate=x)
    program = net.compile("tiny", batch=3)
    run = program.run(x, device="emulator", judge=True)
    assert run.report.mismatches == 0
    (output,) = run.outputs.values()
    assert output.shape == wanted.shape
    assert np.abs(output - wanted).max() < 0.04 * np.abs(wanted).max()
    program.save(tmp_path / "net.program")
    again = sy.Compiled.load(tmp_path / "net.program")
    assert read.row is not None
    row = read.row.pack(x, "x")
    np.testing.assert_array_equal(again.run(row, device="emulator").output, run.output)


class Samples(CalibrationDataReader):
    def __init__(self, x):
        self.given = iter([{n: v[i : i + 1] for n, v in x.items()} for i in range(3)])

    def get_next(self):  # pyright: ignore  # it ends with None
        return next(self.given, None)


def test_quantised_files_of_two_images(tmp_path):
    proto, path = two_images(), tmp_path / "net.onnx"
    onnx.save(proto, tmp_path / "float.onnx")
    x = drawn(proto, 3)
    quantize_static(
        tmp_path / "float.onnx",
        path,
        Samples(x),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    read = read_onnx(path, host_nodes=True)
    assert "integers equal onnxruntime's in" in judge(path, read, 16)
    output = sy.load(path).compile("tiny", batch=3).run(x, device="emulator").output
    step = read.scales[read.graph.output].scale
    assert np.abs(output - in_onnxruntime(path, x)).max() <= 1.001 * step


def command(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["systolith", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    told = capsys.readouterr()
    return ended.value.code, told.out, told.err


def test_inputs_by_option_and_by_file(tmp_path, monkeypatch, capsys):
    path, proto = tmp_path / "net.onnx", detector()
    onnx.save(proto, path)
    x = drawn(proto, 3)
    image, size, both = (tmp_path / name for name in ("i.npy", "s.npy", "both.npz"))
    np.save(image, x["image"][:1])
    np.save(size, x["size"][0])
    np.savez(both, **{name: array[:1] for name, array in x.items()})
    wanted = in_onnxruntime(path, x)[:1]
    runs = (["--image", image, "--input", f"size={size}"], ["--image", both])
    for number, words in enumerate(runs):
        out = tmp_path / f"{number}.npy"
        code, _, told = command(
            monkeypatch,
            capsys,
            *("run", path, *words, "--device", "emulator", "--config", "tiny", "--output", out),
        )
        assert code == 0, told
        assert "float network equals onnxruntime" in told
        assert np.abs(np.load(out) - wanted).max() < 0.04 * np.abs(wanted).max()
    code, shown, _ = command(monkeypatch, capsys, "check", path)
    assert code == 0
    assert "inputs image (float32, 1x3x8x6), size (int64, 1x2)" in shown
    assert "Slice" not in shown


def test_the_rtl_and_the_host_take_turns_from_the_row(tmp_path):
    path, proto = tmp_path / "net.onnx", two_images()
    onnx.save(proto, path)
    x = {name: array[:1] for name, array in drawn(proto, 3).items()}
    program = sy.load(path, calibrate=x).compile("tiny")
    run = program.run(x, "rtl", judge=True, sequential=True)
    assert run.report.mismatches == 0
    np.testing.assert_array_equal(run.output, program.run(x, "emulator").output)


def test_accuracy_with_an_input_for_all_images(tmp_path, monkeypatch, capsys):
    path, proto = tmp_path / "net.onnx", conditioned()
    onnx.save(proto, path)
    x = drawn(proto, 3)
    x["v"] = x["v"][:1].repeat(3, axis=0)
    classes = in_onnxruntime(path, x).argmax(axis=1)
    np.savez(tmp_path / "data.npz", images=x["x"], labels=(classes + np.eye(3, dtype=int)[2]) % 4)
    np.save(tmp_path / "v.npy", x["v"][0])
    code, shown, told = command(
        monkeypatch,
        capsys,
        *("evaluate", path, "--data", tmp_path / "data.npz", "--device", "emulator"),
        *("--input", f"v={tmp_path / 'v.npy'}", "--config", "tiny"),
    )
    assert code == 0, told
    assert shown.count("66.67%") >= 2
    assert "0 images whose integers on the device differ" in shown


WRONG = {
    "none of another": ((), "give size (int64, 1x2) with --input size=FILE.npy"),
    "an unknown one": (("--input", "sizes={size}"), "--input sizes: the network's inputs are"),
    "the main one": (("--input", "image={size}"), "--input image: give this one with --image"),
    "no name": (("--input", "{size}"), "--input must be NAME=FILE.npy"),
    "no numbers of its kind": (("--input", "size={half}"), "must hold whole numbers"),
    "another shape": (("--input", "size={image}"), "must hold numbers of shape (2,)"),
    "no file": (("--input", "size=none.npy"), "none.npy: not a NumPy array"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_input_gets_a_line(tmp_path, monkeypatch, capsys, name):
    words, message = WRONG[name]
    path, proto = tmp_path / "net.onnx", detector()
    onnx.save(proto, path)
    x = drawn(proto, 1)
    files = {name: tmp_path / f"{name}.npy" for name in ("image", "size", "half")}
    np.save(files["image"], x["image"])
    np.save(files["size"], x["size"])
    np.save(files["half"], x["size"] / 2 + 0.25)
    given = [word.format(**files) for word in words]
    code, _, told = command(
        monkeypatch,
        capsys,
        *("run", path, "--image", files["image"], *given, "--device", "emulator"),
    )
    assert code == 2
    assert message in " ".join(told.split())
    assert "Traceback" not in told


def test_sides_of_one_name_have_one_size(tmp_path):
    path, proto = tmp_path / "net.onnx", two_images()
    for value in proto.graph.input:
        for name, dim in zip(("h", "w"), value.type.tensor_type.shape.dim[2:], strict=True):
            dim.dim_param = name
    onnx.save(proto, path)
    with pytest.raises(SystolithError, match="input 'a' leaves its size open"):
        inspect_onnx(path, host_nodes=True)
    with pytest.raises(SystolithError, match="--shape 1x20 has another number of them"):
        inspect_onnx(path, (20,), host_nodes=True)
    read = read_onnx(path, (3, 9, 7), host_nodes=True)
    assert read.row is not None
    assert [entry.shape for entry in read.row.entries] == [(1, 3, 9, 7), (1, 2, 9, 7)]
    assert "float network equals onnxruntime" in judge(path, read, 16)


def test_what_stays_refused(tmp_path):
    path = tmp_path / "net.onnx"
    onnx.save(detector(), path)
    with pytest.raises(SystolithError, match="the host would have to take its inputs apart"):
        inspect_onnx(path)
    proto = detector()
    proto.graph.input[1].type.tensor_type.shape.dim[1].dim_param = "sides"
    onnx.save(proto, path)
    with pytest.raises(SystolithError, match="input 'size' leaves its size open"):
        inspect_onnx(path, host_nodes=True)
    proto = detector()
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4
    onnx.save(proto, path)
    with pytest.raises(SystolithError, match="input 'image' is of 4 images at once"):
        inspect_onnx(path, host_nodes=True)
    proto = detector()
    proto.graph.input[1].type.tensor_type.elem_type = TensorProto.STRING
    onnx.save(proto, path)
    with pytest.raises(SystolithError, match="integers of 8 to 64 bits, not string"):
        inspect_onnx(path, host_nodes=True)
