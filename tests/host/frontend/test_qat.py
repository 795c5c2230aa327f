"""Quantised files in forms other than those of onnxruntime's static quantiser."""

import re
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from systolith_host.compiler import compile_network
from systolith_host.errors import SystolithError
from systolith_host.frontend.judge import agreements, judge
from systolith_host.frontend.onnx import inspect_onnx, read_onnx
from systolith_host.lab.fuzz.networks import run_program
from systolith_host.network.golden import run_golden
from systolith_host.network.graph import Concat
from systolith_host.network.qgraph import QConv
from systolith_host.program.instructions import weight_bits
from systolith_host.quantize.quantize import quantize_scaled
from systolith_hw.spec.presets import PRESETS
from systolith_sim.emulator.device import Emulator

N = helper.make_node
STEP = ["s", "z"]
RNG = np.random.default_rng(5)


def model(nodes, constants, shape=("N", 3, 8, 8), opset=21, output=TensorProto.FLOAT):
    tensors = [
        v if isinstance(v, TensorProto) else numpy_helper.from_array(np.asarray(v), n)
        for n, v in constants.items()
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(nodes[-1].output[0], output, None)],
        tensors,
    )
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


def around(name, inner):
    """Return a tensor's way through integers and back."""
    return [
        N("QuantizeLinear", [inner, *STEP], [f"{name}_q"]),
        N("DequantizeLinear", [f"{name}_q", *STEP], [name]),
    ]


def integers(*shape, low=-127, high=127, dtype: str = "int8"):
    return RNG.integers(low, high, shape, endpoint=True).astype(dtype)


def judged(tmp_path, proto, width=24):
    """Return a network whose integers are onnxruntime's."""
    path = tmp_path / "net.onnx"
    onnx.save(proto, path)
    made = read_onnx(path)
    assert made.scales
    line = judge(path, made, width)
    found = re.match(r"integers equal onnxruntime's in ([\d,]+) of ([\d,]+) outputs", line)
    assert found is not None, line
    equal, count = (int(text.replace(",", "")) for text in found.groups())
    assert equal >= 0.9 * count - 1, line
    qgraph = quantize_scaled(made.graph, made.weights, made.scales, width)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, *made.graph.shapes[made.graph.input]), np.float32)
    for row in agreements(path, made, qgraph, x):
        assert row.largest <= 1, row
        assert row.different <= 2 + row.values // 20, row
    return made


COMMON = {"s": np.float32(0.04), "z": np.uint8(118)}
FLOATS = {"w": (0.3 * RNG.standard_normal((6, 3, 3, 3))).astype(np.float32)}


def test_float_weights_behind_integers(tmp_path):
    # As exports of quantisation-aware training have them: nothing is stored in integers.
    nodes = [
        *around("a", "x"),
        N("QuantizeLinear", ["w", "ws", "wz"], ["wq"], axis=0),
        N("DequantizeLinear", ["wq", "ws", "wz"], ["wd"], axis=0),
        N("Conv", ["a", "wd", "b"], ["c"], "conv"),
        N("Relu", ["c"], ["r"]),
        *around("d", "r"),
        N("Flatten", ["d"], ["f"]),
        N("QuantizeLinear", ["v", "vs", "vz"], ["vq"]),
        N("DequantizeLinear", ["vq", "vs", "vz"], ["vd"]),
        N("Transpose", ["vd"], ["vt"]),
        N("MatMul", ["f", "vt"], ["m"], "dense"),
        N("Add", ["m", "e"], ["n"], "bias"),
        *around("y", "n"),
    ]
    constants = {
        **COMMON,
        **FLOATS,
        "ws": RNG.uniform(0.004, 0.01, 6).astype(np.float32),
        "wz": np.zeros(6, np.int8),
        "b": RNG.standard_normal(6).astype(np.float32),
        "v": (0.1 * RNG.standard_normal((5, 216))).astype(np.float32),
        "vs": np.float32(0.002),
        "vz": np.int8(0),
        "e": RNG.standard_normal(5).astype(np.float32),
    }
    made = judged(tmp_path, model(nodes, constants))
    assert all(layer.scale is not None for layer in made.weights.values())


def test_zeros_between_integers(tmp_path):
    # The padded tensor has integers of its own, more than the tensor before it.
    nodes = [
        *around("a", "x"),
        N("Mul", ["a", "k"], ["m"], "scale"),
        *around("n", "m"),
        N("Pad", ["n", "p"], ["o"], "pad"),
        *around("q", "o"),
        N("DequantizeLinear", ["w", "ws"], ["wd"]),
        N("Conv", ["q", "wd"], ["c"], "conv"),
        *around("y", "c"),
    ]
    constants = {
        **COMMON,
        "k": np.float32(1.37),
        "p": np.array([0, 0, 1, 2, 0, 0, 0, 1]),
        "w": integers(6, 3, 3, 3),
        "ws": np.float32(0.003),
    }
    judged(tmp_path, model(nodes, constants))


@pytest.mark.parametrize("signs", [[1, 1, 1, 1, 1, 1], [1, -1, 2, -0.5, 0, 1]])
def test_batch_normalisation_behind_quantised_weights(signs, tmp_path):
    nodes = [
        *around("a", "x"),
        N("DequantizeLinear", ["w", "ws"], ["wd"], axis=0),
        N("Conv", ["a", "wd"], ["c"], "conv"),
        N("BatchNormalization", ["c", "g", "b", "m", "v"], ["n"], "norm"),
        *around("y", "n"),
    ]
    constants = {
        **COMMON,
        "w": integers(6, 3, 3, 3, low=-127),
        "ws": RNG.uniform(0.001, 0.004, 6).astype(np.float32),
        "g": np.array(signs, np.float32),
        "b": RNG.standard_normal(6).astype(np.float32),
        "m": RNG.standard_normal(6).astype(np.float32),
        "v": RNG.uniform(0.5, 2, 6).astype(np.float32),
    }
    made = judged(tmp_path, model(nodes, constants))
    assert list(made.weights) == ["conv"]


@pytest.mark.parametrize("low", [-127, -128])
def test_a_negative_factor_behind_the_least_weight(low, tmp_path):
    weight = integers(6, 3, 3, 3)
    weight[2, 1, 1, 1] = low
    nodes = [
        *around("a", "x"),
        N("DequantizeLinear", ["w", "ws"], ["wd"]),
        N("Conv", ["a", "wd"], ["c"], "conv"),
        N("Neg", ["one"], ["minus"]),
        N("Mul", ["c", "minus"], ["n"], "negative"),
        *around("y", "n"),
    ]
    constants = {**COMMON, "w": weight, "ws": np.float32(0.003), "one": np.float32(1)}
    path = tmp_path / "net.onnx"
    proto = model(nodes, constants)
    if low == -127:
        assert list(judged(tmp_path, proto).weights) == ["conv"]
        return
    onnx.save(proto, path)
    made, problems = inspect_onnx(path)  # 128 is no int8: the layer before it has no scale
    assert made is None
    assert [problem.name for problem in problems] == ["conv"]


@pytest.mark.parametrize("kind", ["uint8", "int8"])
@pytest.mark.parametrize("form", [(5,), (1, 5)])
def test_a_bias_behind_a_quantised_product(kind, form, tmp_path):
    nodes = [
        *around("a", "x"),
        N("DequantizeLinear", ["w", "ws", "wz"], ["wd"]),
        N("MatMul", ["a", "wd"], ["m"], "dense"),
        *around("n", "m"),
        N("DequantizeLinear", ["b", "bs", "bz"], ["bd"]),
        N("Add", ["n", "bd"], ["o"], "bias"),
        *around("y", "o"),
    ]
    unsigned = kind == "uint8"
    low, high = (0, 255) if unsigned else (-128, 127)
    constants = {
        **COMMON,
        "w": integers(20, 5),
        "ws": np.float32(0.004),
        "wz": np.int8(0),
        "b": integers(*form, low=low, high=high, dtype=kind),
        "bs": np.float32(0.0213),
        "bz": np.zeros((), kind) + (3 if unsigned else -5),
    }
    judged(tmp_path, model(nodes, constants, ("N", 20)))


@pytest.mark.parametrize("operator", ["QLinearAdd", "QLinearMul"])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("form", [(), (1, 6, 1, 1)])
def test_integer_arithmetic_with_a_constant(operator, first, form, tmp_path):
    tensor, constant = ["c", *STEP], ["b", "bs", "bz"]
    inputs = [*constant, *tensor] if first else [*tensor, *constant]
    nodes = [
        N("QuantizeLinear", ["x", *STEP], ["a"]),
        N("QLinearConv", ["a", *STEP, "w", "ws", "wz", *STEP], ["c"], "conv"),
        N(operator, [*inputs, *STEP], ["d"], "constant", domain="com.microsoft"),
        N("DequantizeLinear", ["d", *STEP], ["y"]),
    ]
    constants = {
        **COMMON,
        "w": integers(6, 3, 3, 3),
        "ws": np.float32(0.003),
        "wz": np.int8(0),
        "b": integers(*form, low=0, high=255, dtype="uint8"),
        "bs": np.float32(0.0153),
        "bz": np.uint8(90),
    }
    judged(tmp_path, model(nodes, constants, opset=17))


ZEROS = [0, 1, 77, 128, 140, 255]


@pytest.mark.parametrize("zero", ZEROS)
@pytest.mark.parametrize("group", [1, 3])
def test_unsigned_weights_with_any_zero_point(zero, group, tmp_path):
    weight = integers(6, 3 // group, 3, 3, low=0, high=255, dtype="uint8")
    weight.flat[:2] = 0, 255
    nodes = [
        *around("a", "x"),
        N("DequantizeLinear", ["w", "ws", "wz"], ["wd"]),
        N("Conv", ["a", "wd"], ["c"], "conv", group=group, pads=[1] * 4, strides=[2, 1]),
        *around("y", "c"),
    ]
    constants = {**COMMON, "w": weight, "ws": np.float32(0.001), "wz": np.uint8(zero)}
    made = judged(tmp_path, model(nodes, constants))
    assert [node.name for node in made.graph.nodes] == ["conv.copies"] * (zero != 128) + ["conv"]
    assert not any(isinstance(node, Concat) for node in made.graph.nodes)
    qgraph = quantize_scaled(made.graph, made.weights, made.scales, 16)
    for layer in qgraph.layers:
        assert isinstance(layer, QConv)
        assert layer.weight.dtype == np.int8


@pytest.mark.parametrize("zero", ZEROS)
@pytest.mark.parametrize("vector", [False, True])
def test_unsigned_matrices_with_any_zero_point(zero, vector, tmp_path):
    weight = integers(48, 5, low=0, high=255, dtype="uint8")
    weight.flat[:2] = 0, 255
    nodes = [
        *around("a", "x"),
        N("Flatten", ["a"], ["f"]),
        N("DequantizeLinear", ["w", "ws", "wz"], ["wd"], axis=1),
        N("Gemm", ["f", "wd"], ["c"], "dense"),
        *around("y", "c"),
    ]
    points = np.full(5, zero, np.uint8)
    points[1:3] = 128, 100
    constants = {
        **COMMON,
        "w": weight,
        "ws": RNG.uniform(0.0005, 0.001, 5).astype(np.float32),
        "wz": points,
    }
    judged(tmp_path, model(nodes, constants, ("N", 48) if vector else ("N", 3, 4, 4)))


def test_a_vector_too_long_to_be_copied_is_named(tmp_path):
    nodes = [
        *around("a", "x"),
        N("DequantizeLinear", ["w", "ws", "wz"], ["wd"]),
        N("MatMul", ["a", "wd"], ["c"], "dense"),
        *around("y", "c"),
    ]
    weight = integers(5000, 2, low=0, high=255, dtype="uint8")
    weight.flat[:2] = 0, 255
    constants = {**COMMON, "w": weight, "ws": np.float32(0.001), "wz": np.uint8(9)}
    onnx.save(model(nodes, constants, ("N", 5000)), tmp_path / "net.onnx")
    made, problems = inspect_onnx(tmp_path / "net.onnx")
    assert made is None
    assert [problem.name for problem in problems] == ["dense"]
    assert "beyond int8 on a vector of 5000" in problems[0].reason


@pytest.mark.parametrize("kind", [TensorProto.INT4, TensorProto.UINT4])
@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize("centred", [False, True])
def test_weights_of_four_bits_stay_so_in_memory(kind, each, centred, tmp_path):
    low = -8 if kind == TensorProto.INT4 else 0
    nodes, constants, wanted = [*around("a", "x")], dict(COMMON), {}
    for name, shape, axis in (("conv", (6, 3, 3, 3), 0), ("dense", (6, 5), 1)):
        form = [shape[axis]] if each else []
        values = RNG.integers(low, low + 15, shape, endpoint=True)
        point = RNG.integers(low, low + 15, shape[axis] if each else 1, endpoint=True)
        point = np.full_like(point, low + 8) if centred else point
        constants |= {
            name: helper.make_tensor(name, kind, shape, values.ravel()),
            f"{name}z": helper.make_tensor(f"{name}z", kind, form, point),
            f"{name}s": RNG.uniform(0.02, 0.05, form).astype(np.float32),
        }
        nodes.append(N("DequantizeLinear", [name, f"{name}s", f"{name}z"], [f"{name}d"], axis=axis))
        distances = np.moveaxis(values, axis, -1) - point
        wanted[name] = 4 if -8 <= distances.min() and distances.max() <= 7 else 8
    nodes += [
        N("Conv", ["a", "convd"], ["c"], "conv"),
        *around("p", "c"),
        N("GlobalAveragePool", ["p"], ["m"], "mean"),
        *around("q", "m"),
        N("Flatten", ["q"], ["f"]),
        N("MatMul", ["f", "densed"], ["d"], "dense"),
        *around("y", "d"),
    ]
    made = judged(tmp_path, model(nodes, constants))
    config = replace(PRESETS["tiny"], nibbles=1)
    qgraph = quantize_scaled(made.graph, made.weights, made.scales, config.multiplier_width)
    program = compile_network(qgraph, config)
    bits = {layer.name: weight_bits(program, layer) for layer in program.layers}
    assert {name: bits[name] for name in wanted} == wanted
    images = RNG.integers(0, 255, (1, 3, 8, 8)).astype(np.uint8)
    emulator = Emulator(config, program.memory_size, strict=True)
    found = run_program(program, emulator, images)[program.output]
    np.testing.assert_array_equal(found, run_golden(qgraph, images)[qgraph.output])


def test_scales_of_blocks_are_refused_by_name(tmp_path):
    values = RNG.integers(-8, 7, (64, 4), endpoint=True)
    nodes = [
        *around("a", "x"),
        N("DequantizeLinear", ["w", "ws"], ["wd"], "blocks", axis=0, block_size=16),
        N("MatMul", ["a", "wd"], ["c"], "dense"),
        *around("y", "c"),
    ]
    constants = {
        **COMMON,
        "w": helper.make_tensor("w", TensorProto.INT4, values.shape, values.ravel()),
        "ws": np.full((4, 4), 0.02, np.float32),
    }
    onnx.save(model(nodes, constants, ("N", 64)), tmp_path / "net.onnx")
    made, problems = inspect_onnx(tmp_path / "net.onnx")
    assert made is None
    assert problems[0].name == "blocks"
    assert "a scale for each block of 16 weights" in problems[0].reason


def test_a_bias_in_floats_far_below_the_steps_of_its_layer(tmp_path):
    nodes = [
        *around("a", "x"),
        N("DequantizeLinear", ["w", "ws"], ["wd"]),
        N("Conv", ["a", "wd", "b"], ["c"], "conv"),
        N("QuantizeLinear", ["c", "cs", "cz"], ["cq"]),
        N("DequantizeLinear", ["cq", "cs", "cz"], ["y"]),
    ]
    constants = {
        **COMMON,
        "w": np.zeros((2, 3, 3, 3), np.int8),
        "ws": np.float32(1),
        "b": np.array([8e-8, -3e-8], np.float32),
        "cs": np.float32(3e-10),
        "cz": np.uint8(128),
    }
    judged(tmp_path, model(nodes, constants))


@pytest.mark.parametrize(("step", "fits"), [(0.02, True), (0.0007, False)])
def test_a_constant_that_the_steps_of_its_input_would_move_is_refused(step, fits, tmp_path):
    # 0.18 is 23.3 steps of 1/127, the finest that a scale of 1 leaves.
    nodes = [
        N("QuantizeLinear", ["x", "one", "zero"], ["xi"], "xq"),
        N("DequantizeLinear", ["xi", "one", "zero"], ["xr"], "xd"),
        N("Sub", ["xr", "k"], ["s"], "less"),
        N("QuantizeLinear", ["s", "step", "zero"], ["si"], "sq"),
        N("DequantizeLinear", ["si", "step", "zero"], ["y"], "sd"),
    ]
    constants = {
        "one": np.float32(1),
        "zero": np.uint8(0),
        "k": np.float32(-0.1833933),
        "step": np.float32(step),
    }
    if fits:
        assert judged(tmp_path, model(nodes, constants))
    else:
        with pytest.raises(SystolithError, match=r"less: its bias in floats would be off by 3\.\d"):
            judged(tmp_path, model(nodes, constants))
