"""Files with channels last, wholly or in part, compute what onnxruntime computes."""

import itertools
import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from systolith_host.frontend.judge import judge
from systolith_host.frontend.layout import Layout, laid_out, vector_layout
from systolith_host.frontend.onnx import inspect_onnx, read_onnx
from systolith_host.network.forward import run_float
from systolith_host.network.golden import run_golden
from systolith_host.network.graph import AveragePool, Conv, Linear
from systolith_host.quantize.calibrate import calibrate
from systolith_host.quantize.quantize import quantize, quantize_input

N = helper.make_node
FIRST, LAST = [0, 3, 1, 2], [0, 2, 3, 1]


def values(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def model(nodes, constants, shape=("N", 7, 5, 3)):
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def judged(tmp_path, proto):
    path = tmp_path / "net.onnx"
    onnx.save(proto, path)
    made = read_onnx(path)
    line = judge(path, made, 16)
    found = re.fullmatch(r"float network equals onnxruntime: (\S+)", line)
    assert found is not None, line
    assert float(found.group(1)) < 1e-5
    return made


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
def test_layouts_and_numpy_agree(axes):
    image = values(2, 3, 4, 5)
    stored = image.transpose(0, *(1 + axis for axis in axes))
    layout = laid_out(axes)
    if layout is None:
        assert axes == (0, 1, 2)
        return
    assert layout.shape((3, 4, 5)) == stored.shape[1:]
    np.testing.assert_array_equal(layout.into(stored), image)
    vector = vector_layout(layout, (3, 4, 5))
    assert vector is not None
    flat = stored.reshape(2, -1)
    np.testing.assert_array_equal(vector.into(flat), image.reshape(2, -1))
    np.testing.assert_array_equal(image.reshape(2, -1)[:, vector.order()], flat)


def test_an_order_that_moves_only_ones_is_none():
    assert vector_layout(Layout((1, 2, 0)), (3, 1, 1)) is None
    assert vector_layout(Layout((1, 2, 0)), (1, 4, 5)) is None
    assert vector_layout(Layout((1, 2, 0)), (3, 4, 1)) is not None


def conv(source, output, weight="w", title=None):
    """Return a convolution as tf2onnx writes it: between two Transposes."""
    return [
        N("Transpose", [source], [f"{output}_i"], f"{output}_in", perm=FIRST),
        N("Conv", [f"{output}_i", weight], [f"{output}_o"], title or output, pads=[1] * 4),
        N("Transpose", [f"{output}_o"], [output], f"{output}_out", perm=LAST),
    ]


W, V = values(6, 3, 3, 3), values(6, 6, 3, 3)

CASES = {
    "bias, clamp and sum": (
        [
            *conv("x", "a"),
            N("Add", ["a", "b"], ["c"], "bias"),
            N("Relu", ["c"], ["d"]),
            *conv("d", "e", "v"),
            N("Add", ["d", "e"], ["y"], "sum"),
        ],
        {"w": W, "v": V, "b": values(6)},
    ),
    "batch normalisation in parts": (
        [
            *conv("x", "a"),
            N("Mul", ["a", "g"], ["c"]),
            N("Sub", ["c", "m"], ["d"]),
            N("Relu", ["d"], ["y"]),
        ],
        {"w": W, "g": values(1, 1, 1, 6), "m": values(1, 1, 6)},
    ),
    "normalised input": (
        [
            N("Sub", ["x", "mean"], ["s"]),
            N("Div", ["s", "std"], ["t"]),
            *conv("t", "y"),
        ],
        {"w": W, "mean": values(3), "std": np.array([1, 2, 3], np.float32)},
    ),
    "padding": (
        [
            N("Pad", ["x", "p"], ["q"], "pad"),
            N("Transpose", ["q"], ["i"], perm=FIRST),
            N("Conv", ["i", "w"], ["o"], "conv"),
            N("Transpose", ["o"], ["y"], perm=LAST),
        ],
        {"w": W, "p": np.array([0, 2, 1, 0, 0, 1, 0, 0])},
    ),
    "flattened": (
        [
            *conv("x", "a"),
            N("Flatten", ["a"], ["f"]),
            N("Gemm", ["f", "l", "b"], ["y"], "dense"),
        ],
        {"w": W, "l": values(210, 4), "b": values(4)},
    ),
    "flattened by a reshape, scaled, clamped, twice": (
        [
            *conv("x", "a"),
            N("Reshape", ["a", "s"], ["f"]),
            N("Mul", ["f", "g"], ["h"]),
            N("Add", ["h", "b"], ["i"]),
            N("Relu", ["i"], ["j"]),
            N("MatMul", ["j", "l"], ["k"], "one"),
            N("Gemm", ["j", "m"], ["n"], "other", transB=1),
            N("Add", ["k", "n"], ["y"]),
        ],
        {
            "w": W,
            "s": np.array([-1, 210]),
            "g": values(210),
            "b": values(1, 210),
            "l": values(210, 4),
            "m": values(4, 210),
        },
    ),
    "normalised vector": (
        [
            *conv("x", "a"),
            N("Flatten", ["a"], ["f"]),
            N("BatchNormalization", ["f", "g", "b", "m", "s"], ["n"]),
            N("Gemm", ["n", "l"], ["y"]),
        ],
        {
            "w": W,
            **{name: values(210, seed=i) for i, name in enumerate("gbm")},
            "s": values(210, seed=9) ** 2 + 0.5,
            "l": values(210, 4),
        },
    ),
    "mean, kept": (
        [
            *conv("x", "a"),
            N("ReduceMean", ["a"], ["m"], axes=[1, 2], keepdims=1),
            *conv("m", "y", "v"),
        ],
        {"w": W, "v": V},
    ),
    "mean, not kept": (
        [
            *conv("x", "a"),
            N("ReduceMean", ["a"], ["m"], axes=[1, -2], keepdims=0),
            N("MatMul", ["m", "l"], ["y"]),
        ],
        {"w": W, "l": values(6, 4)},
    ),
    "squeezed mean": (
        [
            *conv("x", "a"),
            N("ReduceMean", ["a"], ["m"], axes=[1, 2], keepdims=1),
            N("Squeeze", ["m", "axes"], ["q"]),
            N("MatMul", ["q", "l"], ["y"]),
        ],
        {"w": W, "axes": np.array([1, 2]), "l": values(6, 4)},
    ),
    "a vector that becomes an image again": (
        [
            *conv("x", "a"),
            N("ReduceMean", ["a"], ["m"], axes=[1, 2], keepdims=0),
            N("Reshape", ["m", "s"], ["q"]),
            *conv("q", "y", "v"),
        ],
        {"w": W, "s": np.array([-1, 1, 1, 6]), "v": V},
    ),
    "joined channels": (
        [
            *conv("x", "a"),
            *conv("x", "b"),
            N("Concat", ["a", "b", "a"], ["c"], axis=3),
            N("Concat", ["c", "a"], ["d"], axis=-1),
            N("Relu", ["d"], ["y"]),
        ],
        {"w": W},
    ),
    "dense on every pixel": (
        [
            *conv("x", "a"),
            N("MatMul", ["a", "l"], ["d"], "dense"),
            N("Add", ["d", "b"], ["e"]),
            N("Relu", ["e"], ["y"]),
        ],
        {"w": W, "l": values(6, 4), "b": values(4)},
    ),
    "casts": (
        [N("Cast", ["x"], ["c"], to=1), *conv("c", "y")],
        {"w": W},
    ),
    "softmax over the channels": (
        [*conv("x", "a"), N("Softmax", ["a"], ["y"], axis=3)],
        {"w": W},
    ),
    "a shape with channels last": (
        [
            *conv("x", "a"),
            N("Shape", ["a"], ["s"]),
            N("Gather", ["s", "zero"], ["n"], axis=0),
            N("Concat", ["n", "rest"], ["t"], axis=0),
            N("Reshape", ["a", "t"], ["f"]),
            N("MatMul", ["f", "l"], ["y"]),
        ],
        {"w": W, "zero": np.array([0]), "rest": np.array([-1]), "l": values(210, 4)},
    ),
    "other orders on the way": (
        [
            N("Transpose", ["x"], ["i"], perm=FIRST),
            N("Conv", ["i", "w"], ["a"], "conv"),
            N("Transpose", ["a"], ["b"], perm=[0, 3, 2, 1]),
            N("Relu", ["b"], ["c"]),
            N("Transpose", ["c"], ["d"], perm=[0, 2, 1, 3]),
            N("Flatten", ["d"], ["f"]),
            N("Gemm", ["f", "l"], ["y"]),
        ],
        {"w": W, "l": values(90, 4)},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_networks_with_channels_last_are_onnxruntimes(case, tmp_path):
    made = judged(tmp_path, model(*CASES[case]))
    assert made.graph.shapes[made.graph.input] == (3, 7, 5)
    assert made.channels_last
    for node in made.graph.nodes:  # no node moves values
        if isinstance(node, Conv | AveragePool):
            assert len(made.graph.shapes[node.input]) == 3


def test_images_of_one_channel_need_no_transpose(tmp_path):
    nodes = [
        N("Reshape", ["x", "s"], ["i"]),
        N("Conv", ["i", "w"], ["c"], "conv"),
        N("Transpose", ["c"], ["d"], perm=LAST),
        N("Flatten", ["d"], ["f"]),
        N("Gemm", ["f", "l"], ["y"], "dense"),
    ]
    constants = {"w": values(4, 1, 3, 3), "s": np.array([-1, 1, 7, 5]), "l": values(60, 3)}
    made = judged(tmp_path, model(nodes, constants, ("N", 7, 5, 1)))
    assert made.graph.shapes[made.graph.input] == (1, 7, 5)


def test_a_dense_network_on_coloured_images(tmp_path):
    nodes = [N("Flatten", ["x"], ["f"]), N("Gemm", ["f", "l"], ["y"], "dense")]
    made = judged(tmp_path, model(nodes, {"l": values(105, 3)}))
    assert made.graph.shapes[made.graph.input] == (3, 7, 5)
    made = judged(tmp_path, model(nodes, {"l": values(105, 3)}, ("N", 3, 7, 5)))
    assert made.graph.shapes[made.graph.input] == (3, 7, 5)
    assert isinstance(made.graph.nodes[-1], Linear)


@pytest.mark.parametrize(
    ("nodes", "name"),
    [
        (
            [
                N("Transpose", ["x"], ["a"], "turn", perm=[0, 1, 3, 2]),
                N("Conv", ["a", "w"], ["y"], "late"),
            ],
            "late",
        ),
        (
            [
                N("Conv", ["x", "w"], ["a"], pads=[1] * 4),
                N("Transpose", ["a"], ["b"], perm=[0, 2, 1, 3]),
                N("Add", ["a", "b"], ["y"], "late"),
            ],
            "late",
        ),
        ([N("Transpose", ["x"], ["y"], "late", perm=[1, 0, 2, 3])], "late"),
        (
            [
                N("Transpose", ["x"], ["a"], perm=[0, 2, 3, 1]),
                N("MaxPool", ["a"], ["y"], "late", kernel_shape=[2, 2]),
            ],
            "late",
        ),
        (
            [
                N("Transpose", ["x"], ["a"], perm=[0, 2, 1, 3]),
                N("BatchNormalization", ["a", "g", "g", "g", "g"], ["y"], "late"),
            ],
            "late",
        ),
        (
            [
                N("Flatten", ["x"], ["a"]),
                N("Transpose", ["x"], ["b"], perm=[0, 2, 3, 1]),
                N("Flatten", ["b"], ["c"]),
                N("Concat", ["a", "c"], ["y"], "late", axis=1),
            ],
            "late",
        ),
    ],
)
def test_what_would_move_values_is_refused(nodes, name, tmp_path):
    constants = {"w": values(3, 3, 3, 3), "g": np.ones(3, np.float32)}
    onnx.save(model(nodes, constants, (1, 3, 3, 3)), tmp_path / "net.onnx")
    made, problems = inspect_onnx(tmp_path / "net.onnx")
    assert made is None
    assert [problem.name for problem in problems] == [name]


def test_integers_with_channels_last_are_onnxruntimes(tmp_path):
    step = ["s", "z"]
    nodes = [
        N("QuantizeLinear", ["x", *step], ["xq"]),
        N("DequantizeLinear", ["xq", *step], ["xd"]),
        N("DequantizeLinear", ["k", "t", "i"], ["kd"], axis=0),
        N("Transpose", ["xd"], ["a"], perm=FIRST),
        N("Conv", ["a", "kd"], ["b"], "conv"),
        N("Transpose", ["b"], ["c"], perm=LAST),
        N("QuantizeLinear", ["c", *step], ["cq"]),
        N("DequantizeLinear", ["cq", *step], ["cd"]),
        N("Reshape", ["cd", "shape"], ["f"]),
        N("DequantizeLinear", ["l", "u", "o"], ["ld"], axis=1),
        N("MatMul", ["f", "ld"], ["m"], "dense"),
        N("QuantizeLinear", ["m", *step], ["mq"]),
        N("DequantizeLinear", ["mq", *step], ["y"]),
    ]
    rng = np.random.default_rng(4)
    constants = {
        "s": np.float32(0.03),
        "z": np.uint8(120),
        "t": np.full(4, 0.01, np.float32),
        "i": np.zeros(4, np.int8),
        "k": rng.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8),
        "shape": np.array([-1, 60]),
        "u": np.array([0.002, 0.001], np.float32),
        "o": np.zeros(2, np.int8),
        "l": rng.integers(-127, 128, (60, 2)).astype(np.int8),
    }
    path = tmp_path / "net.onnx"
    onnx.save(model(nodes, constants), path)
    made = read_onnx(path)
    assert made.scales
    assert judge(path, made, 24) == "integers equal onnxruntime's in 2 of 2 outputs"


def test_a_flattened_image_that_becomes_one_pixel_is_a_vector(tmp_path):
    nodes = [
        N("Relu", ["x"], ["r"], "r"),
        N("Flatten", ["r"], ["v"], "v"),
        N("Unsqueeze", ["v", "sides"], ["p"], "p"),
        N("Transpose", ["p"], ["q"], "q", perm=LAST),
        N("MatMul", ["q", "w"], ["m"], "m"),
        N("Transpose", ["m"], ["t"], "t", perm=FIRST),
        N("Flatten", ["t"], ["y"], "y"),
    ]
    constants = {"sides": np.array([2, 3]), "w": values(105, 4)}
    made = judged(tmp_path, model(nodes, constants, ("N", 3, 7, 5)))
    assert [type(node) for node in made.graph.nodes if isinstance(node, Conv | Linear)] == [Linear]
    images = values(4, 3, 7, 5)
    qgraph = quantize(made.graph, made.weights, calibrate(made.graph, made.weights, images), 16)
    integers = run_golden(qgraph, quantize_input(qgraph, images))[qgraph.output]
    floats = list(run_float(made.graph, made.weights, images))[-1][1]
    target = qgraph.tensors[qgraph.output]
    real = (integers.reshape(4, 4).astype(float) - target.zero_point) * target.scale
    assert np.abs(real - floats.reshape(4, 4)).max() < 0.03 * np.abs(floats).max()
