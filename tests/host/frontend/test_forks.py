"""Quantised tensors with several users: onnxruntime's values, or a refusal that names the node."""

import numpy as np
import pytest

from systolith_host.errors import SystolithError
from systolith_host.lab.onnx_models import (
    integer_output,
    onnx_model,
    onnx_node,
    onnxruntime_output,
    read_model,
)

RNG = np.random.default_rng(14)
X = RNG.standard_normal((2, 3, 8, 7)).astype(np.float32)
STEP = 0.05
CONSTANTS = {
    "one": np.float32(0.02),
    "zero": np.uint8(0),
    "both": np.float32(STEP),
    "none": np.int8(0),
    "w": RNG.integers(-127, 127, (4, 3, 3, 3)).astype(np.int8),
    "ws": np.float32(0.005),
}
"""Scale "one" with "zero" holds 0 to 5.1, "both" with "none" -6.4 to 6.35."""


def quantised(source, output, scale, point):
    return [
        onnx_node("QuantizeLinear", [source, scale, point], f"{output}.q"),
        onnx_node("DequantizeLinear", [f"{output}.q", scale, point], output),
    ]


def relu_range(source, output):
    return quantised(source, output, "one", "zero")


def whole_range(source, output):
    return quantised(source, output, "both", "none")


def total(first, second):
    return [onnx_node("Add", [first, second], "s"), *whole_range("s", "y")]


CONV = [
    *whole_range("x", "xd"),
    onnx_node("DequantizeLinear", ["w", "ws", "none"], "wd"),
    onnx_node("Conv", ["xd", "wd"], "c"),
]
RELU = [*CONV, onnx_node("Relu", ["c"], "r")]

WRONG: dict[str, tuple[list, str]] = {
    "a second range": (
        [*CONV, *relu_range("c", "a"), *whole_range("c", "b"), *total("a", "b")],
        r"b\.q \(QuantizeLinear\): quantises c from -6\.4 to 6\.35, .* from 0 to 5\.1; quantise",
    ),
    "a second range of the input": (
        [*relu_range("x", "a"), *whole_range("x", "b"), *total("a", "b")],
        r"b\.q \(QuantizeLinear\): quantises x from",
    ),
    "a second range under another name": (
        [
            *CONV,
            onnx_node("Identity", ["c"], "i"),
            *relu_range("i", "a"),
            *whole_range("c", "b"),
            *total("a", "b"),
        ],
        r"b\.q \(QuantizeLinear\): quantises c from",
    ),
    "a sum of the tensor itself": (
        [*CONV, *relu_range("c", "a"), *total("a", "c")],
        r"s \(Add\): takes a tensor that is quantised behind a ReLU",
    ),
    "a sum of it before its quantisation": (
        [
            *CONV,
            onnx_node("Flatten", ["c"], "f"),
            *relu_range("f", "a"),
            onnx_node("Flatten", ["c"], "g"),
            *total("a", "g"),
        ],
        r"s \(Add\): takes a tensor that is quantised behind a ReLU",
    ),
}

RIGHT: dict[str, list] = {
    "a second range within the first": [
        *CONV,
        *whole_range("c", "a"),
        *relu_range("c", "b"),
        *total("a", "b"),
    ],
    "a range behind another": [*CONV, *relu_range("c", "a"), *whole_range("a", "y")],
    "one range twice": [*CONV, *relu_range("c", "a"), *relu_range("c", "b"), *total("a", "b")],
    "one range of two": [*CONV, *relu_range("c", "a"), *total("a", "a")],
    "a ReLU in its range and as a node": [*RELU, *relu_range("r", "a"), *total("a", "r")],
    "a ReLU in two ranges": [*RELU, *relu_range("r", "a"), *relu_range("r", "b"), *total("a", "b")],
    "a ReLU of the tensor itself": [
        *CONV,
        *whole_range("c", "a"),
        onnx_node("Relu", ["c"], "r"),
        *relu_range("r", "b"),
        *total("a", "b"),
    ],
    "flattened": [*CONV, onnx_node("Flatten", ["c"], "f"), *relu_range("f", "y")],
}


@pytest.mark.parametrize("case", WRONG)
def test_tensor_that_a_quantisation_would_cut_off_for_others_is_refused(case, tmp_path):
    nodes, reason = WRONG[case]
    with pytest.raises(SystolithError, match=reason):
        read_model(onnx_model(nodes, CONSTANTS), tmp_path)


@pytest.mark.parametrize("case", RIGHT)
def test_shared_tensors_equal_onnxruntime(case, tmp_path):
    proto = onnx_model(RIGHT[case], CONSTANTS)
    found = integer_output(read_model(proto, tmp_path), X, width=24)
    steps = np.abs(found - onnxruntime_output(proto, X)) / STEP
    assert steps.max() <= 1.01
