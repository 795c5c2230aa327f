"""Layers of zeros, dead ReLUs and branches, and tensors of tiny range: as onnxruntime's."""

import numpy as np
import pytest

from systolith_host.lab.onnx_models import (
    onnx_model,
    onnx_node,
    onnxruntime_output,
    read_model,
    signal_to_noise,
)
from systolith_host.network.golden import run_golden
from systolith_host.quantize.calibrate import METHODS, calibrate
from systolith_host.quantize.correct import correct
from systolith_host.quantize.equalise import equalise
from systolith_host.quantize.noise import layer_noise
from systolith_host.quantize.quantize import quantize, quantize_input

RNG = np.random.default_rng(13)
X = RNG.standard_normal((3, 3, 8, 7)).astype(np.float32)


def some(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def conv(source, weight, output, bias="", **more):
    return onnx_node("Conv", [source, weight, bias], output, pads=[1, 1, 1, 1], **more)


def relu(source, output):
    return onnx_node("Relu", [source], output)


def two(operator, first, second, output):
    return onnx_node(operator, [first, second], output)


FIRST = [conv("x", "w", "a"), relu("a", "h")]
W = {"w": some(8, 3, 3, 3), "u": some(8, 8, 3, 3), "k": some(8), "o": some(4, 8, 3, 3)}
ZERO = {"z": np.zeros((8, 8, 3, 3), np.float32)}
LOW = {"low": np.full(8, -1e3, np.float32)}
SOME_DEAD = W["u"] * (np.arange(8) % 3 > 0).astype(np.float32).reshape(-1, 1, 1, 1)
MIXED = W["u"] * np.geomspace(1e-30, 1e3, 8, dtype=np.float32).reshape(-1, 1, 1, 1)
NORM = {name: np.zeros(8, np.float32) for name in "gbm"} | {"v": np.ones(8, np.float32)}
DEAD = [*FIRST, conv("h", "u", "c", "low"), relu("c", "d")]

CASES: dict[str, tuple[list, dict]] = {
    "a gain of 0 at the end of a block": (
        [
            *FIRST,
            conv("h", "u", "c"),
            onnx_node("BatchNormalization", ["c", "g", "b", "m", "v"], "n"),
            two("Add", "h", "n", "e"),
            relu("e", "y"),
        ],
        W | NORM,
    ),
    "weights of 0": ([*FIRST, conv("h", "z", "y")], W | ZERO),
    "weights of 0 with a bias": ([*FIRST, conv("h", "z", "y", "k")], W | ZERO),
    "weights of 0, then a layer": ([*FIRST, conv("h", "z", "c"), conv("c", "o", "y")], W | ZERO),
    "weights of 0, then a layer with a bias": (
        [*FIRST, conv("h", "z", "c"), conv("c", "u", "y", "k")],
        W | ZERO,
    ),
    "weights of 0, then a layer with a tiny bias": (
        [*FIRST, conv("h", "z", "c"), conv("c", "u", "y", "t")],
        W | ZERO | {"t": W["k"] * np.float32(1e-12)},
    ),
    "a bias of 0, then a layer with a bias": (
        [*FIRST, conv("h", "z", "c", "n"), relu("c", "d"), conv("d", "u", "y", "k")],
        W | ZERO | {"n": np.zeros(8, np.float32)},
    ),
    "some channels of 0": ([*FIRST, conv("h", "s", "y", "k")], W | {"s": SOME_DEAD}),
    "some channels of 0 without a bias": ([*FIRST, conv("h", "s", "y")], W | {"s": SOME_DEAD}),
    "channels of all sizes": ([*FIRST, conv("h", "s", "y", "k")], W | {"s": MIXED}),
    "a depthwise layer of 0": (
        [*FIRST, conv("h", "s", "c", "k", group=8), conv("c", "o", "y")],
        W | {"s": np.zeros((8, 1, 3, 3), np.float32)},
    ),
    "some depthwise channels of 0": (
        [*FIRST, conv("h", "s", "c", group=8), conv("c", "o", "y")],
        W | {"s": SOME_DEAD[:, :1]},
    ),
    "a linear layer of 0": (
        [*FIRST, onnx_node("Flatten", ["h"], "f"), onnx_node("Gemm", ["f", "s"], "y")],
        W | {"s": np.zeros((448, 5), np.float32)},
    ),
    "linear layers of 0, one with a bias": (
        [
            *FIRST,
            onnx_node("Flatten", ["h"], "f"),
            onnx_node("Gemm", ["f", "s"], "p"),
            onnx_node("Gemm", ["p", "t", "b"], "q"),
            onnx_node("Gemm", ["q", "t"], "y"),
        ],
        W | {"s": np.zeros((448, 5), np.float32), "t": some(5, 5), "b": some(5)},
    ),
    "a dead ReLU": (DEAD, W | LOW),
    "a dead ReLU, then a layer": ([*DEAD, conv("d", "o", "y")], W | LOW),
    "a dead ReLU, then a layer with a bias": ([*DEAD, conv("d", "u", "y", "k")], W | LOW),
    "a dead ReLU, then a mean": (
        [*DEAD, onnx_node("GlobalAveragePool", ["d"], "y")],
        W | LOW,
    ),
    "a dead branch in a sum": ([*DEAD, two("Add", "h", "d", "y")], W | LOW),
    "a dead branch with layers in a sum": (
        [
            *DEAD,
            conv("d", "u", "e"),
            relu("e", "f"),
            conv("f", "u", "g"),
            two("Add", "g", "h", "y"),
        ],
        W | LOW,
    ),
    "two dead branches in a sum": (
        [*DEAD, conv("d", "u", "e"), two("Add", "d", "e", "f"), two("Add", "f", "h", "y")],
        W | LOW,
    ),
    "a dead branch in a concatenation": (
        [*DEAD, onnx_node("Concat", ["d", "h"], "j", axis=1), conv("j", "q", "y")],
        W | LOW | {"q": some(4, 16, 3, 3)},
    ),
    "two dead branches in a concatenation": (
        [*DEAD, relu("d", "e"), onnx_node("Concat", ["d", "e"], "y", axis=1)],
        W | LOW,
    ),
    "a dead branch behind a pool": (
        [*DEAD, onnx_node("MaxPool", ["d"], "p", kernel_shape=[2, 2]), conv("p", "u", "y", "k")],
        W | LOW,
    ),
    "a clamp to 0": (
        [*FIRST, onnx_node("Clip", ["h", "", "n"], "c"), two("Add", "c", "h", "y")],
        W | {"n": np.float32(0)},
    ),
    "a clamp to almost nothing": (
        [*FIRST, onnx_node("Clip", ["h", "", "n"], "y")],
        W | {"n": np.float32(1e-9)},
    ),
    "what cancels": (
        [*FIRST, two("Mul", "h", "n", "c"), two("Add", "h", "c", "y")],
        W | {"n": np.float32(-1)},
    ),
    "tiny weights": ([*FIRST, conv("h", "s", "y")], W | {"s": W["u"] * np.float32(1e-12)}),
    "tiny weights and a bias": (
        [*FIRST, conv("h", "s", "y", "t")],
        W | {"s": W["u"] * np.float32(1e-12), "t": W["k"] * np.float32(1e-12)},
    ),
    "tiny weights, then huge ones": (
        [*FIRST, conv("h", "s", "c"), relu("c", "d"), conv("d", "t", "y", "k")],
        W | {"s": W["u"] * np.float32(1e-12), "t": W["u"] * np.float32(1e12)},
    ),
    "a tiny and a large tensor in a sum": (
        [*FIRST, conv("h", "s", "c"), two("Add", "c", "h", "y")],
        W | {"s": W["u"] * np.float32(1e-12)},
    ),
    "a tiny and a large tensor in a concatenation": (
        [*FIRST, conv("h", "s", "c"), onnx_node("Concat", ["c", "h"], "y", axis=1)],
        W | {"s": W["u"] * np.float32(1e-12)},
    ),
    "two tiny tensors in a sum": (
        [*FIRST, conv("h", "s", "c"), conv("c", "u", "d"), two("Add", "c", "d", "y")],
        W | {"s": W["u"] * np.float32(1e-15)},
    ),
    "a tiny tensor in pools": (
        [
            *FIRST,
            conv("h", "s", "c"),
            onnx_node("MaxPool", ["c"], "p", kernel_shape=[2, 2]),
            onnx_node("AveragePool", ["p"], "y", kernel_shape=[3, 3]),
        ],
        W | {"s": W["u"] * np.float32(1e-20)},
    ),
    "values below what float32 keeps": (
        [*FIRST, conv("h", "s", "c"), two("Add", "c", "h", "y")],
        W | {"s": W["u"] * np.float32(1e-40)},
    ),
}


def compute(model, x, *, method="minmax", helped=False, width=16):
    """Return the real values of the integers, and each layer's noise."""
    weights = model.weights
    if helped:
        weights, _ = equalise(model.graph, weights, x)
    found = calibrate(model.graph, weights, x, method=method)
    qgraph = quantize(model.graph, weights, found, width)
    if helped:
        qgraph, _ = correct(model.graph, weights, qgraph, x)
    tensors = run_golden(qgraph, quantize_input(qgraph, x))
    noise = layer_noise(model.graph, weights, qgraph, tensors, x)
    tensor = qgraph.tensors[qgraph.output]
    return (tensors[qgraph.output].astype(float) - tensor.zero_point) * tensor.scale, noise


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    ("method", "helped", "width"),
    [
        ("minmax", False, 16),
        ("minmax", False, 24),
        ("minmax", False, 9),
        ("minmax", True, 16),
        ("percentile", False, 16),
        ("mse", True, 16),
    ],
)
def test_values_are_onnxruntimes(case, method, helped, width, tmp_path):
    nodes, constants = CASES[case]
    proto = onnx_model(nodes, constants)
    wanted = onnxruntime_output(proto, X)
    found, noise = compute(
        read_model(proto, tmp_path), X, method=method, helped=helped, width=width
    )
    if np.abs(wanted).max() < 1e-30:
        assert np.abs(found).max() < 1e-29
    else:
        assert signal_to_noise(found, wanted) > 20
    assert not any(np.isnan(value) or value == -np.inf for value in noise.values())


def test_large_tensor_of_a_sum_keeps_its_precision(tmp_path):
    nodes, constants = CASES["a tiny and a large tensor in a sum"]
    proto = onnx_model(nodes, constants)
    alone = onnx_model([*FIRST[:-1], relu("a", "y")], W)
    both = [
        signal_to_noise(compute(read_model(made, tmp_path), X)[0], onnxruntime_output(made, X))
        for made in (proto, alone)
    ]
    assert both[0] > both[1] - 1


@pytest.mark.parametrize("case", ["weights of 0, then a layer with a bias", "a dead ReLU"])
def test_an_input_of_zeros_gives_the_constant_outputs(case, tmp_path):
    nodes, constants = CASES[case]
    proto = onnx_model(nodes, constants)
    zeros = np.zeros_like(X)
    wanted = onnxruntime_output(proto, zeros)
    found, _ = compute(read_model(proto, tmp_path), zeros)
    assert np.abs(found - wanted).max() <= np.abs(wanted).max() / 100


@pytest.mark.parametrize("method", METHODS)
def test_nearly_constant_tensors_are_calibrated(method, tmp_path):
    """Values that float32 can hardly tell apart have no histogram."""
    nodes = [*FIRST, conv("h", "s", "c", "k"), relu("c", "y")]
    constants = W | {"s": W["u"] * np.float32(1e-8), "k": np.ones(8, np.float32)}
    model = read_model(onnx_model(nodes, constants), tmp_path)
    found = calibrate(model.graph, model.weights, X, method=method)
    low, high = found.ranges[model.graph.output]
    assert 0.99 < low <= 1 <= high < 1.01
