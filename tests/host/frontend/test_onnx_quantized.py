"""Quantised ONNX files: their integers are kept, and the golden model's are onnxruntime's."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from systolith_host.errors import SystolithError
from systolith_host.frontend.judge import judge
from systolith_host.frontend.onnx import read_onnx
from systolith_host.network.forward import run_float
from systolith_host.network.golden import run_golden
from systolith_host.network.qgraph import QConv
from systolith_host.quantize.noise import layer_noise
from systolith_host.quantize.quantize import quantize_input, quantize_scaled

TOOL = Path(__file__).parents[3] / "tools" / "agreement.py"
WEIGHT: np.ndarray = np.array([[3, -5, 100], [127, -127, 0]], np.int8)


@pytest.fixture(scope="module")
def agreement():
    spec = importlib.util.spec_from_file_location("agreement", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["agreement"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1"])
@pytest.mark.filterwarnings("ignore")  # onnxruntime's quantiser has several of its own
def test_layers_agree_with_onnxruntime(name, form, agreement, tmp_path):
    path = agreement.quantized_model(name, tmp_path, form=form, seed=5, size=64)
    x = np.random.default_rng(6).standard_normal((1, 3, 64, 64), np.float32)
    rows = list(agreement.compare(path, x, 24))
    assert len(rows) >= 30
    assert max(row.largest for row in rows) <= 1
    for row in rows:
        assert row.different <= max(1, row.values // 1000), row
    rows = list(agreement.compare(path, x, 16))
    assert max(row.largest for row in rows) <= 1
    assert sum(row.different for row in rows) <= sum(row.values for row in rows) // 1000


def linear(weight=WEIGHT, zero=None, output_scale=0.5, relu_scale=None):
    """Return x -> Q -> DQ -> Gemm -> Q -> DQ (-> Relu -> Q -> DQ)."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["xq"], "xq"),
        helper.make_node("DequantizeLinear", ["xq", "xs", "xz"], ["xd"], "xd"),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wd"], "wd", axis=0),
        helper.make_node("DequantizeLinear", ["b", "bs"], ["bd"], "bd"),
        helper.make_node("Gemm", ["xd", "wd", "bd"], ["g"], "gemm", transB=1),
        helper.make_node("QuantizeLinear", ["g", "ys", "yz"], ["gq"], "gq"),
        helper.make_node("DequantizeLinear", ["gq", "ys", "yz"], ["y"], "yd"),
    ]
    ws = np.array([0.01, 0.02], np.float32)
    constants = {
        "xs": np.float32(0.1),
        "xz": np.uint8(128),
        "w": weight,
        "ws": ws,
        "wz": np.zeros(2, weight.dtype) if zero is None else zero,
        "b": np.array([1000, -(1 << 20)], np.int32),
        "bs": np.float32(0.1) * ws,
        "ys": np.float32(output_scale),
        "yz": np.int8(-3),
    }
    if relu_scale is not None:
        nodes += [
            helper.make_node("Relu", ["y"], ["r"], "relu"),
            helper.make_node("QuantizeLinear", ["r", "rs", "rz"], ["rq"], "rq"),
            helper.make_node("DequantizeLinear", ["rq", "rs", "rz"], ["rd"], "rd"),
        ]
        constants |= {"rs": np.float32(relu_scale), "rz": np.int8(-3)}
    output = nodes[-1].output[0]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def read(tmp_path, proto):
    path = tmp_path / "net.onnx"
    path.write_bytes(proto.SerializeToString())
    return read_onnx(path)


def layers(model):
    found = quantize_scaled(model.graph, model.weights, model.scales, 16).layers
    return [layer for layer in found if isinstance(layer, QConv)]


def test_integers_scales_and_zero_points_are_kept(tmp_path):
    model = read(tmp_path, linear())
    (layer,) = layers(model)
    np.testing.assert_array_equal(layer.weight.reshape(2, 3), WEIGHT)
    np.testing.assert_array_equal(layer.bias, [1000, -(1 << 20)])
    qgraph = quantize_scaled(model.graph, model.weights, model.scales, 16)
    source, target = qgraph.tensors[qgraph.input], qgraph.tensors[qgraph.output]
    assert (source.unsigned, source.zero_point) == (True, 128)
    assert (target.unsigned, target.zero_point, target.scale) == (False, -3, 0.5)
    x = quantize_input(qgraph, np.array([1.0, -2.0, 3.0], np.float32).reshape(1, 3, 1, 1))
    y = run_golden(qgraph, x)[qgraph.output].ravel()
    sums = WEIGHT @ np.array([10, -20, 30]) + [1000, -(1 << 20)]
    wanted = np.clip(np.rint(sums * [0.001, 0.002] / 0.5) - 3, -128, 127)
    np.testing.assert_array_equal(y, wanted)


def test_a_relu_with_the_same_scale_is_the_clamp_of_its_layer(tmp_path):
    (layer,) = layers(read(tmp_path, linear(relu_scale=0.5)))
    assert layer.low == -3


def test_a_relu_with_another_scale_rounds_again(tmp_path):
    first, second = layers(read(tmp_path, linear(relu_scale=0.25)))
    assert first.low == -128
    assert (second.kind, second.low) == ("pool", -3)


def test_unsigned_weights_around_128_are_signed_ones(tmp_path):
    weight = (WEIGHT.astype(np.int16) + 128).astype(np.uint8)
    model = read(tmp_path, linear(weight, np.full(2, 128, np.uint8)))
    np.testing.assert_array_equal(layers(model)[0].weight.reshape(2, 3), WEIGHT)


def test_other_unsigned_weights_are_shared_among_copies(tmp_path):
    weight = np.array([[255, 0, 1], [2, 3, 4]], np.uint8)
    model = read(tmp_path, linear(weight, np.full(2, 3, np.uint8)))
    copies, shared = layers(model)[:2]
    np.testing.assert_array_equal(copies.weight.reshape(6, 3), np.repeat(np.eye(3), 2, axis=0))
    parts = shared.weight.astype(int).reshape(2, 3, 2)
    np.testing.assert_array_equal(parts.sum(axis=2), weight.astype(int) - 3)


def test_half_quantised_networks_are_refused(tmp_path):
    proto = linear()
    for name in ("gq", "yd"):
        proto.graph.node.remove(next(n for n in proto.graph.node if n.name == name))
    proto.graph.output[0].name = "g"
    with pytest.raises(SystolithError, match=r"gemm \(Linear\): is not quantised while other"):
        read(tmp_path, proto)


def padded(nodes, own=(0, 0, 0, 0), fill=7):
    """Return x -> Q, these nodes from "xq" to "z" (integers), and a QLinearConv behind them."""
    constants = {
        "s": np.float32(0.1),
        "z0": np.uint8(7),
        "p": np.array([0, 0, 1, 0, 0, 0, 2, 3]),
        "fill": np.uint8(fill),
        "zero": np.float32(0),
        "t": np.float32(0.2),
        "w": np.ones((2, 1, 3, 3), np.int8),
        "i": np.int8(0),
    }
    conv = ["z", "s", "z0", "w", "s", "i", "s", "z0"]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z0"], ["xq"], "xq"),
        *nodes,
        helper.make_node("QLinearConv", conv, ["c"], "c", pads=own),
        helper.make_node("DequantizeLinear", ["c", "s", "z0"], ["y"], "y"),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 6, 7])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


INTEGERS = [helper.make_node("Pad", ["xq", "p", "fill"], ["z"], "pad")]
FLOATS = [
    helper.make_node("DequantizeLinear", ["xq", "s", "z0"], ["xd"], "xd"),
    helper.make_node("Pad", ["xd", "p", "zero"], ["q"], "pad"),
    helper.make_node("QuantizeLinear", ["q", "s", "z0"], ["z"], "q"),
]


@pytest.mark.parametrize("nodes", [INTEGERS, FLOATS])
def test_padding_with_the_zero_point_is_the_convolutions_own(nodes, tmp_path):
    proto = padded(nodes)
    model = read(tmp_path, proto)
    same = read(
        tmp_path,
        padded([helper.make_node("Identity", ["xq"], ["z"], "z")], own=(1, 0, 2, 3)),
    )
    assert model.graph.nodes == same.graph.nodes
    x = np.random.default_rng(0).standard_normal((1, 1, 6, 7)).astype(np.float32)
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    wanted = np.asarray(session.run(None, {"x": x})[0])
    qgraph = quantize_scaled(model.graph, model.weights, model.scales, 24)
    target = qgraph.tensors[qgraph.output]
    found = run_golden(qgraph, quantize_input(qgraph, x))[qgraph.output]
    real = (found.astype(float) - target.zero_point) * target.scale
    np.testing.assert_allclose(real, wanted, atol=1e-5)


def test_padding_with_another_integer_is_refused(tmp_path):
    with pytest.raises(
        SystolithError, match=r"pad \(Pad\): must fill with the zero point 7, not 0"
    ):
        read(tmp_path, padded(INTEGERS, fill=0))


def test_padding_does_not_go_through_another_scale(tmp_path):
    nodes = [*FLOATS[:2], helper.make_node("QuantizeLinear", ["q", "t", "z0"], ["z"], "q")]
    with pytest.raises(SystolithError, match=r"q \(QuantizeLinear\): takes the output of pad"):
        read(tmp_path, padded(nodes))


class Samples(CalibrationDataReader):
    """Four random images."""

    def __init__(self):
        rng = np.random.default_rng(1)
        self.images = iter(rng.standard_normal((4, 1, 3, 8, 8)).astype(np.float32))

    def get_next(self):  # pyright: ignore  # it ends with None
        image = next(self.images, None)
        return None if image is None else {"x": image}


@pytest.mark.parametrize("kind", ["QUInt8", "QInt8"])
@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
@pytest.mark.filterwarnings("ignore")  # onnxruntime's quantiser has several of its own
def test_the_float_network_saturates_where_a_relu_became_the_end_of_a_range(form, kind, tmp_path):
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], "first"),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("Conv", ["r", "v"], ["d"], "second"),
        helper.make_node("Flatten", ["d"], ["y"], "flatten"),
    ]
    shapes = {"w": (8, 3, 3, 3), "b": (8,), "v": (4, 8, 3, 3)}
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 64])],
        [
            numpy_helper.from_array(rng.normal(size=shape).astype(np.float32) * 0.3, name)
            for name, shape in shapes.items()
        ],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "q.onnx"
    quantize_static(
        proto,
        path,
        Samples(),
        quant_format=QuantFormat[form],
        activation_type=QuantType[kind],
        weight_type=QuantType.QInt8,
    )
    assert "Relu" not in [node.op_type for node in onnx.load(path).graph.node]
    model = read_onnx(path)
    # A third of the pixels lies outside of what the input's integers can hold.
    x = np.random.default_rng(2).standard_normal((2, 3, 8, 8)).astype(np.float32) * 3
    session = onnxruntime.InferenceSession(path)
    wanted = np.concatenate([np.asarray(session.run(None, {"x": image[None]})[0]) for image in x])
    output = dict(run_float(model.graph, model.weights, x, scales=model.scales))[model.graph.output]
    qgraph = quantize_scaled(model.graph, model.weights, model.scales, 16)
    assert np.abs(output - wanted).max() < 4 * qgraph.tensors[qgraph.output].scale
    tensors = run_golden(qgraph, quantize_input(qgraph, x))
    noise = layer_noise(model.graph, model.weights, qgraph, tensors, x, model.scales)
    assert min(noise.values()) > 30


def gemm(bias, weight):
    """Return a QGemm of 4 inputs and 2 outputs, and its input's and output's quantisation."""
    fields = {
        "scale": np.float32(0.1),
        "zero": np.uint8(0),
        "weight": np.array(weight, np.int8).reshape(4, 2),
        "weight_zero": np.int8(0),
        "bias": np.array(bias, np.int32),
    }
    names = ["q", "scale", "zero", "weight", "scale", "weight_zero", "bias", "scale", "zero"]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("QGemm", names, ["made"], domain="com.microsoft", name="fc"),
        helper.make_node("DequantizeLinear", ["made", "scale", "zero"], ["y"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "gemm",
        [value("x", TensorProto.FLOAT, ["N", 4])],
        [value("y", TensorProto.FLOAT, ["N", 2])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in fields.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def test_sums_beyond_32_bits_are_refused_by_name(tmp_path):
    with pytest.raises(
        SystolithError, match=r"fc.*: the bias of output 1, -2147483648, and its pr"
    ):
        read(tmp_path, gemm([5, -(2**31)], [[1, 1]] * 4))


def test_a_bias_of_all_32_bits_without_weights_is_taken(tmp_path):
    model = read(tmp_path, gemm([5, -(2**31)], [[1, 0]] * 4))
    assert type(model.graph.nodes[0]).__name__ == "Linear"


@pytest.mark.parametrize("between", ["Identity", "Transpose"])
def test_integers_stay_integers_under_another_name_and_up_to_the_end(between, tmp_path):
    rng = np.random.default_rng(3)
    same = helper.make_node(between, ["c"], ["same"])
    if between == "Transpose":
        same.attribute.append(helper.make_attribute("perm", [0, 1, 2, 3]))
    conv = ["xq", "xs", "zero", "w", "ws", "wz", "ys", "zero"]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "xs", "zero"], ["xq"], "xq"),
        helper.make_node("QLinearConv", conv, ["c"], "conv"),
        same,
        helper.make_node("MaxPool", ["same"], ["m"], "pool", kernel_shape=[2, 2]),
        helper.make_node("Identity", ["m"], ["last"]),
        helper.make_node("ArgMax", ["last"], ["y"], "best", axis=1),
    ]
    constants = {
        "xs": np.float32(0.02),
        "zero": np.uint8(128),
        "w": rng.integers(-99, 100, (6, 3, 3, 3), np.int8),
        "ws": np.float32(0.01),
        "wz": np.int8(0),
        "ys": np.float32(0.05),
    }
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 9, 9])],
        [helper.make_tensor_value_info("y", TensorProto.INT64, None)],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    model = read(tmp_path, proto)
    line = judge(tmp_path / "net.onnx", model, 16)
    assert line == "integers equal onnxruntime's in 216 of 216 outputs"
