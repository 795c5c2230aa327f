"""Scales and shifts in layers, and only where nothing else uses the value: as onnxruntime's."""

import numpy as np
import pytest

from systolith_host.errors import SystolithError
from systolith_host.lab.onnx_models import (
    float_output,
    integer_output,
    onnx_model,
    onnx_node,
    onnxruntime_output,
    read_model,
    signal_to_noise,
)
from systolith_host.network.graph import Conv, Linear

RNG = np.random.default_rng(11)


def some(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


CONV = onnx_node("Conv", ["x", "w"], "c", pads=[1, 1, 1, 1])
W = {"w": some(8, 3, 3, 3)}
BN = {"g": some(8), "b": some(8), "m": some(8), "v": np.abs(some(8)) + 0.5}
GEMM = onnx_node("Gemm", ["x", "w"], "c")
VECTOR = {"w": some(12, 8)}


def norm(source, output):
    return onnx_node("BatchNormalization", [source, "g", "b", "m", "v"], output)


def two(operator, first, second, output):
    return onnx_node(operator, [first, second], output)


FORKS: dict[str, tuple[list, dict]] = {
    "a concatenated ReLU of both signs": (
        [
            CONV,
            norm("c", "d"),
            onnx_node("Relu", ["d"], "p"),
            two("Mul", "d", "k", "e"),
            onnx_node("Relu", ["e"], "q"),
            onnx_node("Concat", ["p", "q"], "y", axis=1),
        ],
        W | BN | {"k": some(1)},
    ),
    "a dropout": (
        [CONV, onnx_node("Dropout", ["c"], "d"), norm("d", "e"), two("Add", "d", "e", "y")],
        W | BN,
    ),
    "a dropout before the fork": (
        [CONV, onnx_node("Dropout", ["c"], "d"), norm("c", "e"), two("Add", "d", "e", "y")],
        W | BN,
    ),
    "identities on both sides": (
        [
            CONV,
            onnx_node("Identity", ["c"], "d"),
            onnx_node("Identity", ["d"], "f"),
            two("Mul", "f", "k", "e"),
            onnx_node("Identity", ["d"], "h"),
            two("Add", "e", "h", "y"),
        ],
        W | {"k": some(8, 1, 1)},
    ),
    "a bias that two use": (
        [CONV, two("Add", "c", "k", "d"), two("Mul", "d", "h", "e"), two("Add", "d", "e", "y")],
        W | {"k": some(8, 1, 1), "h": some(1)},
    ),
    "a scale used once in a chain": (
        [
            CONV,
            two("Mul", "c", "k", "d"),
            two("Sub", "d", "h", "e"),
            onnx_node("Relu", ["e"], "f"),
            two("Add", "f", "e", "y"),
        ],
        W | {"k": some(8, 1, 1), "h": some(1)},
    ),
    "a reshape to the same shape": (
        [
            CONV,
            onnx_node("Reshape", ["c", "s"], "r"),
            norm("r", "e"),
            onnx_node("Reshape", ["c", "s"], "t"),
            two("Add", "e", "t", "y"),
        ],
        W | BN | {"s": np.array([0, 8, 8, 7], np.int64)},
    ),
    "the same tensor twice": (
        [CONV, two("Mul", "c", "k", "d"), two("Add", "d", "d", "y")],
        W | {"k": some(8, 1, 1)},
    ),
    "scales of the input in two branches": (
        [
            two("Mul", "x", "k", "d"),
            two("Add", "d", "h", "e"),
            onnx_node("Conv", ["d", "w"], "c", pads=[1, 1, 1, 1]),
            onnx_node("Conv", ["e", "w"], "f", pads=[1, 1, 1, 1]),
            two("Add", "c", "f", "y"),
        ],
        W | {"k": some(3, 1, 1), "h": some(3, 1, 1)},
    ),
    "a scale of the input next to the input": (
        [
            two("Mul", "x", "k", "d"),
            onnx_node("Conv", ["d", "w"], "c"),
            onnx_node("Conv", ["x", "w"], "f"),
            two("Add", "c", "f", "y"),
        ],
        W | {"k": some(3, 1, 1)},
    ),
    "a branch that nothing uses": (
        [CONV, onnx_node("Relu", ["c"], "unused"), two("Mul", "c", "k", "y")],
        W | {"k": some(8, 1, 1)},
    ),
}

VECTORS: dict[str, tuple[list, dict]] = {
    "a bias that two use": (
        [GEMM, two("Add", "c", "k", "d"), two("Mul", "d", "h", "e"), two("Add", "d", "e", "y")],
        VECTOR | {"k": some(8), "h": some(1)},
    ),
    "a dropout": (
        [GEMM, onnx_node("Dropout", ["c"], "d"), norm("d", "e"), two("Add", "d", "e", "y")],
        VECTOR | BN,
    ),
    "a normalisation behind a ReLU": (
        [GEMM, onnx_node("Relu", ["c"], "r"), norm("r", "n"), onnx_node("Gemm", ["n", "u"], "y")],
        VECTOR | BN | {"u": some(8, 5)},
    ),
    "a normalisation that two linear layers use": (
        [
            GEMM,
            onnx_node("Relu", ["c"], "r"),
            norm("r", "n"),
            onnx_node("Gemm", ["n", "u", "t"], "p", transB=1, alpha=0.5),
            onnx_node("MatMul", ["n", "o"], "q"),
            two("Add", "p", "q", "y"),
        ],
        VECTOR | BN | {"u": some(5, 8), "t": some(5), "o": some(8, 5)},
    ),
    "a normalisation that others use as well": (
        [
            GEMM,
            onnx_node("Relu", ["c"], "r"),
            norm("r", "n"),
            onnx_node("Gemm", ["n", "u"], "p"),
            two("Add", "n", "p", "y"),
        ],
        VECTOR | BN | {"u": some(8, 8)},
    ),
    "a normalisation at the end": (
        [GEMM, onnx_node("Relu", ["c"], "r"), norm("r", "y")],
        VECTOR | BN,
    ),
    "scales of the input": (
        [two("Mul", "x", "k", "d"), two("Sub", "d", "h", "e"), onnx_node("Gemm", ["e", "w"], "y")],
        VECTOR | {"k": some(12), "h": some(1, 12)},
    ),
    "scales of the input in two branches": (
        [
            two("Mul", "x", "k", "d"),
            onnx_node("Gemm", ["d", "w"], "p"),
            onnx_node("Gemm", ["x", "w"], "q"),
            two("Add", "p", "q", "y"),
        ],
        VECTOR | {"k": some(12)},
    ),
}


def check(nodes, constants, shape, folder, least=20):
    proto = onnx_model(nodes, constants, ("N", *shape))
    x = some(2, *shape)
    wanted = onnxruntime_output(proto, x)
    model = read_model(proto, folder)
    assert signal_to_noise(float_output(model, x), wanted) > 110
    assert signal_to_noise(integer_output(model, x), wanted) > least
    return model


@pytest.mark.parametrize("case", FORKS)
def test_fork_of_images_equals_onnxruntime(case, tmp_path):
    check(*FORKS[case], (3, 8, 7), tmp_path)


@pytest.mark.parametrize("case", VECTORS)
def test_fork_of_vectors_equals_onnxruntime(case, tmp_path):
    check(*VECTORS[case], (12,), tmp_path)


@pytest.mark.parametrize(
    ("case", "kinds"),
    [
        ("a concatenated ReLU of both signs", [Conv, Conv]),
        ("a bias that two use", [Conv, Conv]),
        ("a scale used once in a chain", [Conv]),
        ("a branch that nothing uses", [Conv]),
    ],
)
def test_what_only_one_node_uses_costs_no_layer(case, kinds, tmp_path):
    model = read_model(onnx_model(*FORKS[case]), tmp_path)
    assert [type(node) for node in model.graph.weighted] == kinds


@pytest.mark.parametrize(
    ("case", "layers"),
    [
        ("a normalisation behind a ReLU", 2),
        ("a normalisation that two linear layers use", 3),
        ("a normalisation that others use as well", 3),
        ("a normalisation at the end", 2),
        ("scales of the input", 1),
        ("scales of the input in two branches", 2),
    ],
)
def test_vectors_are_scaled_in_the_linear_layers_that_use_them(case, layers, tmp_path):
    model = read_model(onnx_model(*VECTORS[case], ("N", 12)), tmp_path)
    assert [type(node) for node in model.graph.weighted] == [Linear] * layers


def test_scale_of_a_long_vector_between_other_nodes_is_refused(tmp_path):
    nodes = [onnx_node("Relu", ["x"], "r"), two("Mul", "r", "k", "y")]
    proto = onnx_model(nodes, {"k": some(5000)}, ("N", 5000))
    with pytest.raises(SystolithError, match=r"y \(scale\): scales 5000 features"):
        read_model(proto, tmp_path)


@pytest.mark.parametrize("alias", ["Identity", "Dropout"])
def test_layout_of_an_input_that_others_use_is_not_changed(alias, tmp_path):
    """A transposition of the input is dropped only if no other node sees the input."""
    nodes = [
        onnx_node(alias, ["x"], "i"),
        onnx_node("Transpose", ["i"], "t", perm=[0, 3, 1, 2]),
        onnx_node("Conv", ["t", "w"], "c"),
        onnx_node("Conv", ["i", "w"], "d"),
        two("Add", "c", "d", "y"),
    ]
    proto = onnx_model(nodes, {"w": some(4, 3, 1, 1)}, ("N", 3, 3, 3))
    with pytest.raises(SystolithError, match=r"c \(Conv\): takes width, channels, height"):
        read_model(proto, tmp_path)
    del nodes[3:]
    nodes[2].output[0] = "y"
    proto = onnx_model(nodes, {"w": some(4, 3, 1, 1)}, ("N", 3, 5, 3))
    x = some(2, 3, 5, 3)
    found = float_output(read_model(proto, tmp_path), x.transpose(0, 3, 1, 2))
    np.testing.assert_allclose(found, onnxruntime_output(proto, x), atol=1e-5)
