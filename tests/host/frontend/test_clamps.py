"""Chains of Relu and Clip, in any order and with any limits, as onnxruntime computes them."""

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
)

RNG = np.random.default_rng(12)
X = (4 * RNG.standard_normal((2, 3, 8, 7))).clip(-6, 6).astype(np.float32)
SAME = np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1)
ANY = (None, None)


class Chain:
    """Nodes with constants, from a first tensor; a limit of None is not given."""

    def __init__(self, first):
        self.last = first
        self.nodes = []
        self.constants = {}

    def append(self, operator, *others, **attributes):
        name = f"t{len(self.nodes)}"
        self.nodes.append(onnx_node(operator, [self.last, *others], name, **attributes))
        self.last = name

    def clamp(self, clamps):
        for limits in clamps:
            if limits == "relu":
                self.append("Relu")
                continue
            names = []
            for limit in limits:
                names.append("" if limit is None else f"k{len(self.constants)}")
                if limit is not None:
                    self.constants[names[-1]] = np.float32(limit)
            self.append("Clip", *names)


CHAINS = {
    "ranges that do not meet, upwards": [(-3, 1), (2, 4)],
    "ranges that do not meet, downwards": [(2, 4), (-3, 1)],
    "a ReLU behind what is negative": [(-3, -1), "relu"],
    "what is negative behind a ReLU": ["relu", (-3, -1)],
    "limits out of order": [(3, -2)],
    "limits out of order behind others": [(-1, 1), (3, -2), "relu"],
    "limits out of order before others": [(3, -2), (-1, None)],
    "one value": [(1.5, 1.5)],
    "one value, zero": [(0, 0)],
    "one value, then away from it": [(1.5, 1.5), (2, 3), (None, 2.5)],
    "open ends": [(None, 2), (-1, None), ANY],
    "three, each within the last": [(-4, 5), (-2, 3), (-1, 1)],
    "ReLU6": ["relu", (None, 6)],
}


IMAGES = ("Conv", "MaxPool", "AveragePool", "Add", "Concat")
PLACES = [
    *((before, behind) for before in (*IMAGES, "") for behind in (*IMAGES, "Flatten")),
    ("Gemm", "Add"),
    ("Gemm", ""),
]


@pytest.mark.parametrize("clamps", CHAINS.values(), ids=CHAINS)
@pytest.mark.parametrize(("before", "behind"), PLACES)
def test_clamps_between_layers_equal_onnxruntime(clamps, before, behind, tmp_path):
    chain = Chain("x")
    place(chain, before, "first")
    chain.clamp(clamps)
    place(chain, behind, "second")
    check(chain, tmp_path)


def place(chain, operator, name):
    before = chain.last
    if operator == "Conv":
        channels = 6 if "Concat" in [node.op_type for node in chain.nodes] else 3
        chain.constants[name] = np.eye(channels, dtype=np.float32).reshape(channels, channels, 1, 1)
        chain.append("Conv", name)
    elif operator == "Gemm":
        chain.append("Flatten")
        chain.constants[name] = np.eye(3 * 8 * 7, dtype=np.float32)
        chain.append("Gemm", name)
    elif operator in ("MaxPool", "AveragePool"):
        chain.append(operator, kernel_shape=[2, 2], strides=[1, 1])
    elif operator == "Add":
        chain.append("Relu")
        chain.append("Add", before)
    elif operator == "Concat":
        chain.append("Relu")
        chain.append("Concat", before, axis=1)
    elif operator == "Flatten":
        chain.append("Flatten")


@pytest.mark.parametrize("seed", range(40))
def test_random_chains_with_forks_equal_onnxruntime(seed, tmp_path):
    rng = np.random.default_rng(seed)
    chain = Chain("x")
    for index in range(rng.integers(1, 4)):
        place(chain, rng.choice(["Conv", "MaxPool", "AveragePool", "Add", ""]), f"w{index}")
        chain.clamp(
            "relu"
            if rng.random() < 0.3
            else tuple(None if rng.random() < 0.2 else float(rng.integers(-5, 6)) for _ in "ab")
            for _ in range(rng.integers(1, 4))
        )
        pooled = any(node.op_type.endswith("Pool") for node in chain.nodes)
        if chain.nodes and not pooled and rng.random() < 0.5:
            chain.append("Add", rng.choice([node.output[0] for node in chain.nodes]))
    if not chain.nodes:
        chain.append("Relu")
    check(chain, tmp_path)


def check(chain, folder):
    proto = onnx_model(chain.nodes, chain.constants)
    wanted = onnxruntime_output(proto, X)
    model = read_model(proto, folder)
    np.testing.assert_allclose(float_output(model, X), wanted, atol=1e-5)
    found = integer_output(model, X)
    # Each layer rounds to 1/255 of its range, and there are at most 12 to 24 in it.
    assert np.abs(found - wanted).max() <= 0.05 * max(1.0, np.abs(wanted).max())


@pytest.mark.parametrize("clamps", CHAINS.values(), ids=CHAINS)
@pytest.mark.parametrize("point", [-128, -3])
def test_clamps_in_quantised_files_give_onnxruntimes_integers(clamps, point, tmp_path):
    chain = Chain("x")
    chain.constants |= {"s": np.float32(0.05), "z": np.int8(point), "q": np.float32(0.06)}
    chain.constants |= {"o": np.int8(0), "w": np.rint(50 * SAME).astype(np.int8)}
    chain.constants |= {"u": np.float32(0.02), "p": np.int8(-7)}
    chain.append("QuantizeLinear", "q", "o")
    chain.append("DequantizeLinear", "q", "o")
    weight = onnx_node("DequantizeLinear", ["w", "u", "o"], "wd")
    chain.append("Conv", "wd")
    chain.clamp(clamps)
    for step, zero in (("s", "z"), ("q", "p")):
        chain.append("QuantizeLinear", step, zero)
        chain.append("DequantizeLinear", step, zero)
        chain.clamp(clamps)
    chain.append("QuantizeLinear", "s", "z")
    chain.append("DequantizeLinear", "s", "z")
    proto = onnx_model([weight, *chain.nodes], chain.constants)
    wanted = onnxruntime_output(proto, X)
    model = read_model(proto, tmp_path)
    steps = np.abs(integer_output(model, X, width=24) - wanted) / 0.05
    assert steps.max() <= 1.01
    assert (steps > 0.01).mean() <= 0.01


def test_limits_that_are_no_numbers_are_refused(tmp_path):
    nan = onnx_node("Constant", [], "k", value_float=float("nan"))
    proto = onnx_model([nan, onnx_node("Clip", ["x", "k"], "y")])
    with pytest.raises(SystolithError, match=r"y \(Clip\): its limits must be numbers, not nan"):
        read_model(proto, tmp_path)
