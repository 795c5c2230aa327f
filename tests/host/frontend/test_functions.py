"""Functions of one number: as onnxruntime in floats and integers, on the accelerator as tables."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from systolith_host.compiler import compile_network
from systolith_host.errors import SystolithError
from systolith_host.frontend.judge import agreements, judge, judge_float
from systolith_host.frontend.onnx import inspect_onnx, read_onnx
from systolith_host.lab.fuzz.networks import run_program
from systolith_host.network.fold import fold
from systolith_host.network.forward import run_float
from systolith_host.network.golden import run_golden
from systolith_host.network.graph import Function
from systolith_host.network.qgraph import QConv
from systolith_host.quantize.calibrate import calibrate
from systolith_host.quantize.noise import decibels
from systolith_host.quantize.quantize import quantize, quantize_input, quantize_scaled
from systolith_sim.emulator.device import Emulator
from systolith_sim.testing.configs import small_config

CONFIG = small_config(4, 4, act_depth=1024, weight_depth=512, param_depth=32, functions=1)


class Net:
    """A model while nodes are added to it."""

    def __init__(self, seed=0):
        self.rng = np.random.default_rng(seed)
        self.nodes, self.constants, self.count = [], [], 0

    def value(self, values, kind: Any = np.float32):
        name = f"k{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    def node(self, operator, *inputs, domain="", **attributes):
        self.count += 1
        name = f"{operator.lower()}{self.count}"
        made = helper.make_node(operator, list(inputs), [name], name, domain=domain, **attributes)
        self.nodes.append(made)
        return name

    def conv(self, x, inputs, outputs, side=3):
        shape = (outputs, inputs, side, side)
        weight = self.value(self.rng.standard_normal(shape) / np.sqrt(inputs * side * side / 6))
        bias = self.value(self.rng.standard_normal(outputs))
        return self.node("Conv", x, weight, bias, pads=[side // 2] * 4)

    def save(self, path, *outputs, shape=(1, 3, 8, 8), opset=20):
        made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
        graph = helper.make_graph(self.nodes, "net", [x], made, self.constants)
        versions = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(graph, opset_imports=versions, ir_version=9)
        onnx.save(model, path)
        return path


def silu(net, x):
    return net.node("Mul", x, net.node("Sigmoid", x))


def hard_swish_in_parts(net, x):
    clipped = net.node("Clip", net.node("Add", x, net.value(3)), net.value(0), net.value(6))
    return net.node("Div", net.node("Mul", x, clipped), net.value(6))


def gelu_in_parts(net, x):
    inner = net.node("Erf", net.node("Div", x, net.value(np.sqrt(2))))
    one = net.node("Add", inner, net.value(1))
    return net.node("Mul", net.node("Mul", x, one), net.value(0.5))


def mish_in_parts(net, x):
    return net.node("Mul", x, net.node("Tanh", net.node("Softplus", x)))


def hard_swish_by_hard_sigmoid(net, x):
    return net.node("Mul", net.node("HardSigmoid", x, alpha=1 / 6, beta=0.5), x)


FUNCTIONS = {
    "leaky_relu": lambda net, x: net.node("LeakyRelu", x, alpha=0.2),
    "prelu": lambda net, x: net.node("PRelu", x, net.value([[[0.25]]])),
    "sigmoid": lambda net, x: net.node("Sigmoid", x),
    "tanh": lambda net, x: net.node("Tanh", x),
    "elu": lambda net, x: net.node("Elu", x, alpha=0.7),
    "selu": lambda net, x: net.node("Selu", x),
    "celu": lambda net, x: net.node("Celu", x, alpha=0.8),
    "abs": lambda net, x: net.node("Abs", x),
    "thresholded_relu": lambda net, x: net.node("ThresholdedRelu", x, alpha=0.5),
    "softplus": lambda net, x: net.node("Softplus", x),
    "softsign": lambda net, x: net.node("Softsign", x),
    "hard_sigmoid": lambda net, x: net.node("HardSigmoid", x),
    "hard_swish": lambda net, x: net.node("HardSwish", x),
    "hard_swish in parts": hard_swish_in_parts,
    "hard_swish by hard_sigmoid": hard_swish_by_hard_sigmoid,
    "silu": silu,
    "mish": lambda net, x: net.node("Mish", x),
    "mish in parts": mish_in_parts,
    "gelu": lambda net, x: net.node("Gelu", x),
    "gelu by tanh": lambda net, x: net.node("Gelu", x, approximate="tanh"),
    "gelu in parts": gelu_in_parts,
}


def emulated(qgraph, images):
    """Return all tensors that have a place, by the strict emulator."""
    program = compile_network(qgraph, CONFIG, len(images))
    memory = np.full(program.memory_size, 0x5A, np.uint8)
    return run_program(program, Emulator(CONFIG, memory, strict=True), images)


def check_exact(qgraph, images):
    golden = run_golden(qgraph, images)
    for name, values in emulated(qgraph, images).items():
        np.testing.assert_array_equal(values, golden[name], err_msg=name)
    return golden


@pytest.mark.parametrize("name", FUNCTIONS)
def test_it_is_one_table_behind_a_layer_and_equals_onnxruntime(name, tmp_path):
    net = Net()
    y = FUNCTIONS[name](net, net.conv("x", 3, 8))
    y = net.node("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2])
    path = net.save(tmp_path / "net.onnx", net.conv(y, 8, 4))
    model = read_onnx(path, functions=True)
    assert sum(isinstance(node, Function) for node in model.graph.nodes) == 1
    assert len(fold(model.graph)) == 3
    x = net.rng.standard_normal((4, 3, 8, 8)).astype(np.float32)
    assert judge_float(path, model, x[:1]).line.startswith("float network equals onnxruntime")
    qgraph = quantize(model.graph, model.weights, calibrate(model.graph, model.weights, x), 16)
    golden = check_exact(qgraph, quantize_input(qgraph, x))
    first = qgraph.layers[0]
    assert isinstance(first, QConv)
    assert first.table is not None
    target = qgraph.tensors[qgraph.output]
    real = (golden[target.name].astype(float) - target.zero_point) * target.scale
    wanted = dict(run_float(model.graph, model.weights, x))[model.graph.output]
    assert decibels(wanted, real) > 25


@pytest.mark.parametrize("end", ["MaxPool", "Concat", "fork", "AveragePool"])
def test_behind_anything_else_it_is_a_layer_of_its_own(end, tmp_path):
    net = Net(1)
    a = net.conv("x", 3, 8)
    if end == "MaxPool":
        y = net.node("MaxPool", a, kernel_shape=[2, 2], strides=[1, 1])
    elif end == "Concat":
        y = net.node("Concat", a, net.conv("x", 3, 4), axis=1)
    elif end == "AveragePool":
        y = net.node("AveragePool", a, kernel_shape=[2, 2], strides=[1, 1])
    else:
        y = a
    z = silu(net, y)
    outputs = [net.conv(z, 12 if end == "Concat" else 8, 4)]
    if end == "fork":
        outputs = [net.node("Add", outputs[0], net.conv(y, 8, 4))]
    path = net.save(tmp_path / "net.onnx", *outputs)
    model = read_onnx(path, functions=True)
    own = [layer for layer in fold(model.graph) if isinstance(layer.node, Function)]
    assert len(own) == (0 if end == "AveragePool" else 1)
    x = net.rng.standard_normal((2, 3, 8, 8)).astype(np.float32)
    assert judge_float(path, model, x[:1]).line.startswith("float network equals onnxruntime")
    qgraph = quantize(model.graph, model.weights, calibrate(model.graph, model.weights, x), 16)
    check_exact(qgraph, quantize_input(qgraph, x))


def test_a_sum_of_layers_has_a_function_too_and_clamps_join_it(tmp_path):
    net = Net(2)
    a, b = net.conv("x", 3, 8), net.conv("x", 3, 8)
    y = net.node("LeakyRelu", net.node("Add", silu(net, a), b))
    y = net.node("Clip", net.node("Tanh", y), net.value(-0.3), net.value(0.9))
    path = net.save(tmp_path / "net.onnx", net.conv(y, 8, 4))
    model = read_onnx(path, functions=True)
    layers = fold(model.graph)
    assert [type(layer.node).__name__ for layer in layers] == ["Conv", "Conv", "Add", "Conv"]
    x = net.rng.standard_normal((2, 3, 8, 8)).astype(np.float32)
    assert judge_float(path, model, x[:1]).line.startswith("float network equals onnxruntime")
    qgraph = quantize(model.graph, model.weights, calibrate(model.graph, model.weights, x), 16)
    check_exact(qgraph, quantize_input(qgraph, x))


def quantised(net, x, scale, zero_point, kind):
    """Append a pair of QuantizeLinear and DequantizeLinear."""
    numbers = net.value(scale), net.value(zero_point, kind)
    return net.node("DequantizeLinear", net.node("QuantizeLinear", x, *numbers), *numbers)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("kind", [np.int8, np.uint8])
def test_in_a_quantised_file_the_integers_are_within_one_of_onnxruntimes(
    name, inside, kind, tmp_path
):
    net = Net(3)
    middle = 0 if kind is np.int8 else 128

    def rounded(x, scale):
        return quantised(net, x, scale, middle, kind)

    weight = net.rng.integers(-127, 128, (8, 3, 3, 3)).astype(np.int8)
    kernel = net.node("DequantizeLinear", net.value(weight, np.int8), net.value(0.004))
    a = net.node("Conv", rounded("x", 0.03), kernel, pads=[1] * 4)
    a = rounded(a, 0.05)
    if inside and name == "silu":  # as onnxruntime quantises it: each product's factors, too
        y = net.node("Mul", a, rounded(net.node("Sigmoid", a), 1 / 127))
    elif inside:
        y = rounded(FUNCTIONS[name](net, a), 0.04)
        y = net.node("Tanh", y)
    else:
        y = FUNCTIONS[name](net, a)
    y = rounded(y, 0.03)
    path = net.save(tmp_path / "net.onnx", y)
    model = read_onnx(path, functions=True)
    assert len(fold(model.graph, model.scales)) == 1
    line = judge(path, model, 24)
    assert line.startswith("integers equal onnxruntime's in")
    qgraph = quantize_scaled(model.graph, model.weights, model.scales, 24)
    x = net.rng.uniform(-4, 4, (1, 3, 8, 8)).astype(np.float32)
    golden = check_exact(
        quantize_scaled(model.graph, model.weights, model.scales, 16), quantize_input(qgraph, x)
    )
    assert golden
    for row in agreements(path, model, qgraph, x):
        assert row.largest <= 1
        assert row.different <= 0.02 * row.values


def test_without_tables_it_is_refused_by_name(tmp_path):
    net = Net()
    y = net.node("HardSwish", net.conv("x", 3, 8))
    y = net.conv(silu(net, net.conv(y, 8, 8)), 8, 4)
    path = net.save(tmp_path / "net.onnx", y)
    model, problems = inspect_onnx(path)
    assert model is None
    assert "HardSwish" in [problem.operator for problem in problems]
    assert "functions 1" in next(p.reason for p in problems if p.operator == "HardSwish")
    model = read_onnx(path, functions=True)
    x = np.zeros((1, 3, 8, 8), np.float32)
    made = quantize(model.graph, model.weights, calibrate(model.graph, model.weights, x), 16)
    plain = small_config(4, 4, act_depth=1024, weight_depth=512, param_depth=32)
    with pytest.raises(SystolithError, match=r"its hard_swish needs .*build with functions 1$"):
        compile_network(made, plain)


def test_a_product_of_two_tensors_is_refused_by_name(tmp_path):
    net = Net()
    a = net.conv("x", 3, 8)
    y = net.node("Mul", a, net.node("Sigmoid", net.conv("x", 3, 8)))
    path = net.save(tmp_path / "net.onnx", net.conv(y, 8, 4))
    model, problems = inspect_onnx(path, functions=True)
    assert model is None
    assert [(problem.name, problem.operator) for problem in problems] == [(y, "Mul")]
    model, problems = inspect_onnx(path, functions=True, host_nodes=True)
    assert model is not None
    assert y in [problem.name for problem in model.hosted]


def test_a_sigmoid_at_the_very_end_is_the_hosts(tmp_path):
    net = Net()
    y = net.node("Sigmoid", net.conv(silu(net, net.conv("x", 3, 8)), 8, 4))
    model = read_onnx(net.save(tmp_path / "net.onnx", y), functions=True)
    assert model.epilogue == ("Sigmoid",)
    assert len(fold(model.graph)) == 2


def test_a_slope_for_each_channel_is_refused(tmp_path):
    net = Net()
    slopes = net.value(net.rng.uniform(0, 1, (8, 1, 1)))
    path = net.save(tmp_path / "net.onnx", net.node("PRelu", net.conv("x", 3, 8), slopes))
    model, (problem,) = inspect_onnx(path, functions=True)
    assert model is None
    assert "slope for each channel" in problem.reason
