"""What the host makes behind the last layers: every output of a file is there, as onnxruntime's."""

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
from systolith_host.program.part import HostEnd

N = helper.make_node
RNG = np.random.default_rng(8)
IMAGES = RNG.standard_normal((8, 3, 8, 8)).astype(np.float32)


def values(*shape):
    return (RNG.standard_normal(shape) * 0.4).astype(np.float32)


HEAD = [
    N("Conv", ["x", "w"], ["c"], "conv", pads=[1] * 4),
    N("Relu", ["c"], ["r"], "relu"),
    N("Conv", ["r", "u"], ["d"], "second"),
]
CLASSES = [N("GlobalAveragePool", ["d"], ["a"], "mean"), N("Flatten", ["a"], ["f"], "flat")]
CONSTANTS = {
    "w": values(6, 3, 3, 3),
    "u": values(8, 6, 3, 3),
    "rows": np.array([1, 8, 36]),
    "sides": np.array([2, 3]),
    "few": np.array([5]),
    "close": np.float32(0.3),
    "two": np.array([2]),
    "halves": np.array([4, 4]),
    "four": values(8, 4),
    "one": values(4, 1),
}

ENDS = {
    "softmax": ([*CLASSES, N("Softmax", ["f"], ["y"], axis=1)], ["y"]),
    "argmax": ([*CLASSES, N("ArgMax", ["f"], ["y"], axis=1, keepdims=0)], ["y"]),
    "both": (
        [*CLASSES, N("Softmax", ["f"], ["p"], axis=1), N("ArgMax", ["p"], ["i"], axis=1)],
        ["i", "p", "f"],
    ),
    "best": (
        [*CLASSES, N("Softmax", ["f"], ["p"]), N("TopK", ["p", "two"], ["v", "i"])],
        ["v", "i"],
    ),
    "segments": (
        [
            N("Resize", ["d", "", "scales"], ["big"], mode="linear"),
            N("Transpose", ["big"], ["t"], perm=[0, 2, 3, 1]),
            N("ArgMax", ["t"], ["y"], axis=3, keepdims=0),
        ],
        ["t", "y"],
    ),
    "sides of 1 that onnx does not infer": (
        [
            N("Flatten", ["d"], ["f"], "flat"),
            N("Unsqueeze", ["f", "sides"], ["tall"]),
            N("Shape", ["tall"], ["shape"]),
            N("Reshape", ["tall", "shape"], ["same"]),
            N("Sum", ["same", "tall"], ["twice"]),
            N("Concat", ["twice"], ["joined"], axis=1),
            N("LogSoftmax", ["joined"], ["y"], axis=1),
        ],
        ["y"],
    ),
    "one value behind another output": (
        [
            *CLASSES,
            N("MatMul", ["f", "four"], ["m"], "product"),
            N("MatMul", ["m", "one"], ["n"], "second product"),
            N("Sigmoid", ["n"], ["y"]),
        ],
        ["y", "n", "m"],
    ),
    "boxes": (
        [
            N("Reshape", ["d", "rows"], ["all"]),
            N("Split", ["all", "halves"], ["where", "what"], axis=1),
            N("Transpose", ["where"], ["places"], perm=[0, 2, 1]),
            N("Sigmoid", ["what"], ["scores"]),
            N("NonMaxSuppression", ["places", "scores", "few", "close"], ["kept"]),
        ],
        ["kept", "scores", "d"],
    ),
}
"""Nodes behind the head, and the file's outputs."""


def model(name):
    nodes, outputs = ENDS[name]
    constants = CONSTANTS | {"scales": np.array([1, 1, 2, 2], np.float32)}
    used = {source for node in (*HEAD, *nodes) for source in node.input}
    graph = helper.make_graph(
        [*HEAD, *nodes],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_empty_tensor_value_info(output) for output in outputs],
        [numpy_helper.from_array(v, n) for n, v in constants.items() if n in used],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def by_onnxruntime(proto, feed):
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    return [np.asarray(values) for values in session.run(None, feed)]


def shape_of(proto, tensor):
    """Return the shape that a tensor has in the file, by onnxruntime."""
    with_it = onnx.ModelProto()
    with_it.CopyFrom(proto)
    if tensor not in {output.name for output in proto.graph.output}:
        with_it.graph.output.append(helper.make_empty_tensor_value_info(tensor))
    outputs = [output.name for output in with_it.graph.output]
    return by_onnxruntime(with_it, {"x": IMAGES[:1]})[outputs.index(tensor)].shape


def behind(proto, end):
    """Return the part of a file behind the tensors from which an end starts."""
    made = onnx.ModelProto()
    made.CopyFrom(proto)
    del made.graph.node[:]
    needed = set(end.outputs)
    for node in reversed(proto.graph.node):
        if needed.intersection(node.output) - set(end.inputs):
            made.graph.node.insert(0, node)
            needed.update(node.input)
    del made.graph.input[:]
    for name in end.inputs:
        made.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    del made.graph.output[:]
    made.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in end.outputs)
    constants = [tensor for tensor in made.graph.initializer if tensor.name in needed]
    del made.graph.initializer[:]
    made.graph.initializer.extend(constants)
    return made


@pytest.mark.parametrize("host_nodes", [True, False])
@pytest.mark.parametrize("name", ENDS)
def test_every_output_of_the_file_is_made(name, host_nodes, tmp_path):
    path = tmp_path / "net.onnx"
    onnx.save(proto := model(name), path)
    if name in ("segments", "boxes") and not host_nodes:
        with pytest.raises(SystolithError, match=r"Resize|Reshape"):
            read_onnx(path)
        return
    made = read_onnx(path, host_nodes=host_nodes)
    assert list(made.files) == ENDS[name][1]
    assert made.end is not None
    assert judge(path, made, 16).startswith("float network equals onnxruntime: ")
    program = sy.load(path, calibrate=IMAGES, host_nodes=host_nodes).compile("tiny")
    run = program.run(IMAGES[:1], "emulator", judge=True)
    assert run.report.mismatches == 0
    outputs = run.outputs
    assert list(outputs) == ENDS[name][1]
    floats = dict(zip(outputs, by_onnxruntime(proto, {"x": IMAGES[:1]}), strict=True))
    feed = {
        tensor: run.real(run_name).reshape(shape_of(proto, tensor))
        for tensor, run_name in zip(made.end.inputs, program_names(program, made), strict=True)
    }
    exact = by_onnxruntime(behind(proto, made.end), feed)
    for output, wanted in zip(made.end.outputs, exact, strict=True):
        assert outputs[output].dtype == wanted.dtype == floats[output].dtype
        np.testing.assert_allclose(outputs[output], wanted, rtol=1e-5, atol=1e-6)
    for output, wanted in floats.items():
        if output != "kept":  # boxes may come and go
            assert outputs[output].shape == wanted.shape
        if wanted.dtype == np.float32:
            assert np.abs(outputs[output] - wanted).max() < 0.1 * max(1, np.abs(wanted).max())
    run.save(tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as kept:
        assert {n: kept[n].tolist() for n in kept} == {n: v.tolist() for n, v in outputs.items()}


def program_names(program, made):
    """Return the program's names of the tensors from which the end starts."""
    names = dict(zip(made.graph.outputs, program.quantised.qgraph.outputs, strict=True))
    return [names[name] for name in made.end.inputs]


class Images(CalibrationDataReader):
    """The images, one after the other."""

    def __init__(self):
        self._left = list(IMAGES)

    def get_next(self):  # pyright: ignore  # it ends with None
        return {"x": self._left.pop()[None]} if self._left else None


@pytest.mark.parametrize("form", [QuantFormat.QDQ, QuantFormat.QOperator])
@pytest.mark.parametrize("name", ["softmax", "both", "segments", "boxes"])
def test_the_end_of_a_quantised_file_is_onnxruntimes(name, form, tmp_path):
    onnx.save(model(name), tmp_path / "float.onnx")
    path = tmp_path / "net.onnx"
    layers = ["Conv", "Relu", "GlobalAveragePool"]
    quantize_static(
        tmp_path / "float.onnx",
        path,
        Images(),
        quant_format=form,
        activation_type=QuantType.QUInt8,
        op_types_to_quantize=layers,
    )
    made = read_onnx(path, host_nodes=True)
    assert made.scales
    assert judge(path, made, 24).startswith("integers equal onnxruntime's in ")
    run = sy.load(path).compile("tiny").run(IMAGES[:1], "emulator", judge=True)
    assert run.report.mismatches == 0
    wanted = dict(zip(made.files, by_onnxruntime(onnx.load(path), {"x": IMAGES[:1]}), strict=True))
    assert list(run.outputs) == list(wanted)
    for output, theirs in wanted.items():
        ours = run.outputs[output]
        if theirs.dtype == np.float32:
            assert ours.shape == theirs.shape
            assert np.abs(ours - theirs).max() < 0.05 * max(1, np.abs(theirs).max())


def test_the_command_writes_the_files_outputs(monkeypatch, capsys, tmp_path):
    onnx.save(model("softmax"), path := tmp_path / "net.onnx")
    np.save(tmp_path / "x.npy", IMAGES[:2])
    for image in range(2):
        np.save(tmp_path / f"x{image}.npy", IMAGES[image : image + 1])
    given = [text for i in range(2) for text in ("--image", tmp_path / f"x{i}.npy")]
    out = tmp_path / "out.npy"
    options = ["--batch", 2, "--config", "tiny", "--device", "emulator"]
    options += ["--calibrate", tmp_path / "x.npy", "--output", out]
    monkeypatch.setattr(sys, "argv", list(map(str, ["systolith", "run", path, *given, *options])))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0, capsys.readouterr().err
    found = np.load(out)
    assert found.shape == (2, 8)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    wanted = np.concatenate([by_onnxruntime(model("softmax"), {"x": x[None]})[0] for x in IMAGES])
    assert np.abs(found - wanted[:2]).max() < 0.02


def test_an_output_without_a_side_for_images_takes_one_at_a_time(tmp_path):
    onnx.save(model("boxes"), path := tmp_path / "net.onnx")
    run = sy.load(path, calibrate=IMAGES).compile("tiny", batch=2).run(IMAGES[:2], "emulator")
    with pytest.raises(SystolithError, match="output kept has no side for the images"):
        _ = run.outputs


def test_an_end_that_differs_is_the_files_or_ours(monkeypatch, tmp_path):
    onnx.save(model("softmax"), path := tmp_path / "net.onnx")
    made = read_onnx(path, host_nodes=True)
    right = HostEnd.run
    monkeypatch.setattr(
        HostEnd, "run", lambda self, x: {n: y * 1.001 for n, y in right(self, x).items()}
    )
    with pytest.raises(SystolithError, match="output y of the host's end is another"):
        judge(path, made, 16)


def test_a_final_sigmoid_stays_in_the_end_on_an_accelerator_with_tables(tmp_path):
    nodes = [N("GlobalAveragePool", ["x"], ["g"]), N("Sigmoid", ["g"], ["s"])]
    nodes += [N("Mul", ["x", "s"], ["y"]), N("Conv", ["x", "w"], ["c"], "conv")]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_empty_tensor_value_info(name) for name in ("c", "y")],
        [numpy_helper.from_array(CONSTANTS["w"], "w")],
    )
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    model = read_onnx(path, host_nodes=True, functions=True)
    assert judge(path, model, 16).startswith("float network equals onnxruntime")
    assert model.end is not None
    assert model.end.part.operators == ("Sigmoid", "Mul")
