"""Slice, Split and channel shuffles: what becomes of them, and the errors of what cannot."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from systolith_host.frontend.judge import judge_float
from systolith_host.frontend.onnx import inspect_onnx
from systolith_host.network.graph import Take
from systolith_host.quantize.calibrate import calibrate
from systolith_host.quantize.quantize import quantize

N = helper.make_node
CONSTANTS = {
    "w": np.random.default_rng(0).standard_normal((8, 3, 3, 3)).astype(np.float32),
    "k": np.random.default_rng(2).standard_normal((4, 8, 1, 1)).astype(np.float32),
    "zero": [0],
    "one": [1],
    "two": [2],
    "four": [4],
    "seven": [7],
    "minus": [-1],
    "end": [1 << 40],
    "start": [-(1 << 40)],
    "corner": [1, 2],
    "far": [5, 6],
    "grid": [2, 2],
    "pixels": [2, 3],
    "apart": [1, 2, 4, 6, 7],
    "whole": [-1, 8, 6, 7],
    "rows": [1, 8, 7, 6],
}


def model(*nodes, outputs=("y",)):
    """Return x, 3x8x9, behind a convolution to 8x6x7, with nodes behind it."""
    constants = [
        numpy_helper.from_array(values if isinstance(values, np.ndarray) else np.array(values), key)
        for key, values in CONSTANTS.items()
    ]
    graph = helper.make_graph(
        [N("Conv", ["x", "w"], ["c"], "c"), *nodes],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 9])],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def shuffle(perm=(0, 2, 1, 3, 4), apart="apart", whole="whole"):
    return [
        N("Reshape", ["c", apart], ["a"], "a"),
        N("Transpose", ["a"], ["t"], "t", perm=perm),
        N("Reshape", ["t", whole], ["y"], "y"),
    ]


def sliced(starts, ends, axes, steps="one", source="c", output="y"):
    return N("Slice", [source, starts, ends, axes, steps], [output], output)


LAST = [
    N("Transpose", ["c"], ["l"], "l", perm=[0, 2, 3, 1]),
    sliced("two", "seven", "minus", source="l", output="s"),
    N("Transpose", ["s"], ["y"], "y", perm=[0, 3, 1, 2]),
]

RUN = {
    "channels": ([sliced("two", "seven", "one")], 1),
    "backwards": ([sliced("minus", "start", "one", "minus")], 1),
    "corner": ([sliced("corner", "far", "pixels", "grid")], 1),
    "all of it": ([sliced("zero", "end", "one"), N("Relu", ["y"], ["z"], "z")], 0),
    "halves": (
        [
            N("Split", ["c"], ["a", "b"], "s", axis=1, num_outputs=2),
            N("Concat", ["b", "a"], ["y"], "y", axis=1),
        ],
        2,
    ),
    "parts of rows": (
        [
            N("Split", ["c"], ["a", "b"], "s", axis=-2, num_outputs=2),
            N("Add", ["a", "b"], ["y"], "y"),
        ],
        2,
    ),
    "shuffle": (shuffle(), 1),
    "halves of a shuffle": (
        [
            *shuffle(),
            N("Split", ["y"], ["f", "g"], "s", axis=1, num_outputs=2),
            sliced("zero", "end", "two", "two", source="f", output="d"),
            sliced("one", "end", "two", "two", source="g", output="e"),
            N("Concat", ["d", "e"], ["z"], "z", axis=1),
        ],
        2,
    ),
    "channels last": (LAST, 1),
}


def read(proto, tmp_path, **options):
    path = tmp_path / "net.onnx"
    onnx.save(proto, path)
    return path, *inspect_onnx(path, **options)


@pytest.mark.parametrize("name", RUN)
def test_parts_of_tensors_are_onnxruntimes(name, tmp_path):
    nodes, parts = RUN[name]
    path, made, problems = read(model(*nodes, outputs=(nodes[-1].output[0],)), tmp_path)
    assert made is not None, problems
    assert sum(isinstance(node, Take) for node in made.graph.nodes) == parts
    x = np.random.default_rng(1).standard_normal((1, 3, 8, 9)).astype(np.float32)
    assert "equals onnxruntime" in judge_float(path, made, x).line
    qgraph = quantize(made.graph, made.weights, calibrate(made.graph, made.weights, x), 16)
    for node in made.graph.nodes:
        if isinstance(node, Take):  # a part keeps the scale of the whole
            assert qgraph.tensors[node.name].scale == qgraph.tensors[node.input].scale


REFUSED = {
    "upside down": ([sliced("minus", "start", "two", "minus")], "y", "turns an image round"),
    "nothing": ([sliced("four", "four", "one")], "y", "its output would be empty"),
    "pixels between channels": (shuffle((0, 3, 2, 1, 4)), "t", "mixes channels with images"),
    "another image": (shuffle(whole="rows"), "y", "must put the channels of Nx"),
    "a flattened image": (
        [N("Flatten", ["c"], ["f"], "f"), sliced("two", "seven", "one", source="f")],
        "y",
        "takes a part of a flattened image",
    ),
    "a flattened image behind a clamp": (
        [
            N("Flatten", ["c"], ["f"], "f"),
            N("Relu", ["f"], ["r"], "r"),
            sliced("two", "seven", "one", source="r"),
        ],
        "y",
        "takes a part of a flattened image",
    ),
    "channels left apart": (
        [N("Reshape", ["c", "apart"], ["a"], "a"), N("Relu", ["a"], ["y"], "y")],
        "y",
        "takes channels in several axes",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_moves_are_refused_by_name(name, tmp_path):
    nodes, node, reason = REFUSED[name]
    _, made, problems = read(model(*nodes), tmp_path)
    assert made is None
    assert problems[0].name == node
    assert reason in problems[0].reason


def test_channels_in_several_axes_are_no_output(tmp_path):
    _, made, problems = read(model(N("Reshape", ["c", "apart"], ["y"], "y")), tmp_path)
    assert made is None
    assert problems[0].reason == "has channels in several axes; reshape them to an image again"


def test_the_host_computes_the_others(tmp_path):
    nodes = shuffle((0, 3, 2, 1, 4))
    layer = N("Conv", ["y", "k"], ["o"], "o")
    path, made, problems = read(model(*nodes, layer, outputs=("o",)), tmp_path, host_nodes=True)
    assert made is not None, problems
    x = np.random.default_rng(1).standard_normal((1, 3, 8, 9)).astype(np.float32)
    assert "equals onnxruntime" in judge_float(path, made, x).line


def test_a_file_without_a_layer_is_refused(tmp_path):
    _, made, (problem,) = read(model(N("Identity", ["x"], ["y"], "y")), tmp_path)
    assert made is None
    assert str(problem) == "y (output): is the input as it is: there is no layer"
