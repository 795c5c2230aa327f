"""Files of older opsets: they compute what onnxruntime computes of the file as it is."""

import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from systolith_host.frontend.judge import judge
from systolith_host.frontend.onnx import inspect_onnx, read_onnx
from systolith_host.frontend.opsets import OLDEST, READ

N = helper.make_node
OPSETS = range(OLDEST, READ)


def values(*shape):
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def model(nodes, constants, opset, *, listed=False, shape=("N", 3, 8, 8)):
    """Return a model; ir_version 3 lists the initialisers among the inputs."""
    tensors = [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    if listed:
        inputs += [helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in tensors]
    graph = helper.make_graph(
        nodes,
        "net",
        inputs,
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)],
        tensors,
    )
    version = 3 if listed else 4
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=version
    )


def judged(tmp_path, proto):
    """Return a network that equals onnxruntime's."""
    path = tmp_path / "net.onnx"
    onnx.save(proto, path)
    made = read_onnx(path)
    line = judge(path, made, 16)
    found = re.fullmatch(r"float network equals onnxruntime: (\S+)", line)
    assert found is not None, line
    assert float(found.group(1)) < 1e-5
    return made


def classifier(opset):
    """Return a network of every operator whose form has changed since opset 7."""
    amounts = [0, 0, 1, 2, 0, 0, 0, 1]
    pad = N("Pad", ["x"], ["o"], "pad", pads=amounts, mode="constant", value=0.0)
    clip = N("Clip", ["n"], ["r"], "clip", min=-0.5, max=1.5)
    drop = N("Dropout", ["p"], ["d"], "drop")
    if opset < 12:
        drop.attribute.append(helper.make_attribute("ratio", 0.3))
    if opset > 10:
        pad = N("Pad", ["x", "pads"], ["o"], "pad")
        clip = N("Clip", ["n", "low", "high"], ["r"], "clip")
    nodes = [
        pad,
        N("Conv", ["o", "w", "k"], ["c"], "conv"),
        N("BatchNormalization", ["c", "g", "h", "m", "v"], ["n"], "norm", epsilon=1e-3),
        clip,
        N("MaxPool", ["r"], ["p"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        drop,
        N("Sub", ["d", "h1"], ["s"], "sub"),
        N("ReduceMean", ["s"], ["a"], "mean", axes=[2, 3], keepdims=1),
        N("Shape", ["a"], ["i"], "shape"),
        N("Gather", ["i", "zero"], ["j"], "gather", axis=0),
        N("Concat", ["j", "rest"], ["t"], "join", axis=0),
        N("Reshape", ["a", "t"], ["b"], "reshape"),
        N("Unsqueeze", ["b"], ["u"], "unsqueeze", axes=[2, 3]),
        N("Squeeze", ["u"], ["q"], "squeeze", axes=[2, 3]),
        N("Gemm", ["q", "l", "z"], ["f"], "dense", transB=1, alpha=0.5),
        N("Softmax", ["f"], ["y"], "softmax"),
    ]
    constants = {
        "w": values(6, 3, 3, 3),
        "k": values(6),
        "g": values(6),
        "h": values(6, 1)[:, 0],
        "m": values(1, 6)[0],
        "v": values(6) ** 2 + 0.5,
        "h1": values(6, 1, 1),
        "pads": np.array(amounts),
        "low": np.float32(-0.5),
        "high": np.float32(1.5),
        "zero": np.array([0]),
        "rest": np.array([-1]),
        "l": values(5, 6),
        "z": values(5),
    }
    return model(nodes, constants, opset, listed=opset < 9)


@pytest.mark.parametrize("opset", OPSETS)
def test_networks_of_older_opsets_are_onnxruntimes(opset, tmp_path):
    made = judged(tmp_path, classifier(opset))
    assert "Softmax" in made.epilogue
    assert made.graph.output == "f"
    # onnxruntime knows only the names of the file itself.
    own = {"x", *(name for node in classifier(opset).graph.node for name in node.output)}
    assert set(made.names.values()) <= own


def test_large_weights_need_not_be_read_to_be_converted(tmp_path):
    nodes = [
        N("Flatten", ["x"], ["v"], "flatten"),
        N("Gemm", ["v", "w", "b"], ["d"], "dense"),
        N("Clip", ["d"], ["y"], "clip", min=0.0),
    ]
    made = judged(tmp_path, model(nodes, {"w": values(192, 500), "b": values(500)}, 9))
    assert not made.weights["dense"].weight.flags.owndata


def test_other_domains_and_unknown_operators_survive_the_conversion(tmp_path):
    nodes = [
        N("Clip", ["x"], ["c"], "clip", min=0.0),
        N("Rotate", ["c"], ["r"], "rotate"),
        N("Warp", ["c"], ["s"], "warp", domain="com.example"),
        N("Add", ["r", "s"], ["y"], "add"),
    ]
    proto = model(nodes, {}, 9)
    proto.opset_import.append(helper.make_opsetid("com.example", 1))
    onnx.save(proto, tmp_path / "net.onnx")
    found, problems = inspect_onnx(tmp_path / "net.onnx")
    assert found is None
    assert [(p.name, p.operator) for p in problems] == [("rotate", "Rotate"), ("warp", "Warp")]
    assert "com.example" in problems[1].reason


def test_the_softmax_of_old_is_over_all_that_follows_its_axis(tmp_path):
    nodes = [N("Conv", ["x", "w"], ["c"], "conv"), N("Softmax", ["c"], ["y"], "softmax", axis=1)]
    made = judged(tmp_path, model(nodes, {"w": values(4, 3, 3, 3)}, 11))
    assert made.graph.shapes[made.graph.output] == (4 * 6 * 6,)
    assert "Softmax" in made.epilogue


def test_branches_without_an_output_are_left_out(tmp_path):
    nodes = [
        N("Conv", ["x", "w"], ["y"], "conv"),
        N("Rotate", ["x"], ["r"], "rotate"),
        N("Add", ["r", "other"], ["s"], "sum"),
    ]
    proto = model(nodes, {"w": values(4, 3, 3, 3)}, 17)
    proto.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, [1]))
    proto.graph.output[0].name = "y"
    onnx.save(proto, tmp_path / "net.onnx")
    found, problems = inspect_onnx(tmp_path / "net.onnx")
    assert not problems
    assert found is not None
    assert [node.name for node in found.graph.nodes] == ["conv"]
