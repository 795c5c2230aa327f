"""ONNX files: their meaning, checked against onnx's own reference, and refusals."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from systolith_host.errors import SystolithError
from systolith_host.frontend.onnx import inspect_onnx, read_onnx
from systolith_host.frontend.vgg import build_network
from systolith_host.frontend.zoo import ZOO, build_onnx
from systolith_host.network.forward import run_float
from systolith_host.network.golden import run_golden
from systolith_host.network.graph import AveragePool, Concat, Conv
from systolith_host.quantize.calibrate import calibrate
from systolith_host.quantize.quantize import quantize, quantize_input

RNG = np.random.default_rng(3)


def node(operator, inputs, output, **attributes):
    return helper.make_node(operator, inputs, [output], output, **attributes)


def values(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def model(nodes, constants=None, shape=("N", 3, 9, 8), output=None, opset=17):
    tensors = [
        numpy_helper.from_array(np.asarray(array), name)
        for name, array in (constants or {}).items()
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(output or nodes[-1].output[0], TensorProto.FLOAT, None)],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def read(tmp_path, proto):
    path = tmp_path / "net.onnx"
    path.write_bytes(proto.SerializeToString())
    return read_onnx(path)


def agrees(tmp_path, proto):
    """Check that the network computes the same as onnx's reference; return the network."""
    made = read(tmp_path, proto)
    x = values(2, *made.graph.shapes[made.graph.input])
    wanted = np.asarray(next(iter(ReferenceEvaluator(proto).run(None, {"x": x}))))
    found = dict(run_float(made.graph, made.weights, x))[made.graph.output]
    np.testing.assert_allclose(found.reshape(wanted.shape), wanted, rtol=1e-4, atol=1e-4)
    return made


CASES = {
    "stride and padding": (
        [node("Conv", ["x", "w", "b"], "y", pads=[1, 0, 2, 1], strides=[2, 1])],
        {"w": values(4, 3, 3, 2), "b": values(4)},
    ),
    "same upper": (
        [node("Conv", ["x", "w"], "y", auto_pad="SAME_UPPER", strides=[2, 2])],
        {"w": values(4, 3, 3, 3)},
    ),
    "same lower": (
        [node("Conv", ["x", "w"], "y", auto_pad="SAME_LOWER", strides=[2, 2])],
        {"w": values(4, 3, 2, 3)},
    ),
    "dilation": ([node("Conv", ["x", "w"], "y", dilations=[2, 3])], {"w": values(4, 3, 3, 2)}),
    "groups": ([node("Conv", ["x", "w"], "y", group=3)], {"w": values(6, 1, 3, 3)}),
    "max-pool with ceil_mode": (
        [node("MaxPool", ["x"], "y", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)],
        {},
    ),
    "average with padding": (
        [
            node(
                "AveragePool",
                ["x"],
                "y",
                kernel_shape=[3, 2],
                strides=[2, 2],
                pads=[1, 1, 1, 0],
                count_include_pad=1,
            )
        ],
        {},
    ),
    "average whose padding no window reaches": (
        [
            node("AveragePool", ["x"], "y", kernel_shape=[2, 2], strides=[3, 3], pads=[0, 0, 1, 1]),
        ],
        {},
    ),
    "zeros before a convolution": (
        [
            node("Pad", ["x", "p"], "q"),
            node("Conv", ["q", "w"], "y", pads=[1, 0, 0, 2], strides=[2, 1]),
        ],
        {"p": np.array([0, 0, 2, 1, 0, 0, 0, 3]), "w": values(4, 3, 3, 2)},
    ),
    "zeros before a convolution that pads by itself": (
        [
            node("Pad", ["x", "p", "zero"], "q", mode="constant"),
            node("Conv", ["q", "w"], "y", auto_pad="SAME_UPPER", strides=[2, 2], group=3),
        ],
        {
            "p": np.array([0, 0, 1, 0, 0, 0, 0, 0]),
            "w": values(6, 1, 3, 3),
            "zero": np.float32(0),
        },
    ),
    "zeros twice, before a mean": (
        [
            node("Pad", ["x", "p"], "q"),
            node("Pad", ["q", "p"], "r"),
            node("AveragePool", ["r"], "y", kernel_shape=[3, 4], strides=[2, 3]),
        ],
        {"p": np.array([0, 0, 1, 0, 0, 0, 0, 1])},
    ),
    "zeros before a max-pool behind a clamp": (
        [
            node("Relu", ["x"], "r"),
            node("Pad", ["r", "p"], "q"),
            node("MaxPool", ["q"], "y", kernel_shape=[3, 3], strides=[2, 2]),
        ],
        {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1])},
    ),
    "no zeros at all": (
        [node("Pad", ["x", "p"], "q"), node("Relu", ["q"], "y")],
        {"p": np.zeros(8, np.int64)},
    ),
    "mean": ([node("GlobalAveragePool", ["x"], "m"), node("Flatten", ["m"], "y")], {}),
    "mean by reduction": ([node("ReduceMean", ["x"], "y", axes=[2, 3], keepdims=0)], {}),
    "normalisation behind a convolution": (
        [
            node("Conv", ["x", "w"], "c"),
            node("BatchNormalization", ["c", *"gomv"], "n"),
            node("Relu", ["n"], "y"),
        ],
        {
            "w": values(4, 3, 3, 3),
            "g": values(4),
            "o": values(4),
            "m": values(4),
            "v": values(4) ** 2,
        },
    ),
    "normalisation of the input": (
        [node("BatchNormalization", ["x", *"gomv"], "y")],
        {"g": values(3), "o": values(3), "m": values(3), "v": values(3) ** 2},
    ),
    "constants": (
        [
            node("Conv", ["x", "w"], "c"),
            node("Mul", ["two", "c"], "d"),
            node("Add", ["d", "b"], "e"),
            node("Div", ["e", "two"], "f"),
            node("Sub", ["f", "b"], "y"),
        ],
        {"w": values(4, 3, 1, 1), "two": np.float32(2.0), "b": values(4, 1, 1)},
    ),
    "residual": (
        [
            node("Conv", ["x", "w"], "c", pads=[1, 1, 1, 1]),
            node("Add", ["c", "x"], "s"),
            node("Relu", ["s"], "y"),
        ],
        {"w": values(3, 3, 3, 3)},
    ),
    "concatenation": (
        [
            node("Conv", ["x", "w"], "c"),
            node("Conv", ["x", "v"], "d"),
            node("Concat", ["c", "d", "c"], "y", axis=1),
        ],
        {"w": values(3, 3, 1, 1), "v": values(5, 3, 1, 1)},
    ),
    "clip": (
        [node("Clip", ["x", "low", "high"], "y")],
        {"low": np.float32(-0.5), "high": np.float32(1.0)},
    ),
    "linear layers": (
        [
            node("Reshape", ["x", "shape"], "v"),
            node("Gemm", ["v", "w", "b"], "g", alpha=0.5, beta=2.0),
            node("Dropout", ["g"], "h"),
            node("MatMul", ["h", "m"], "i"),
            node("Add", ["i", "c"], "y"),
        ],
        {
            "shape": np.array([0, -1]),
            "w": values(216, 7),
            "b": values(7),
            "m": values(7, 5),
            "c": values(5),
        },
    ),
    "shape computed": (
        [
            node("Shape", ["x"], "s"),
            node("Gather", ["s", "zero"], "n"),
            node("Unsqueeze", ["n", "axis"], "u"),
            node("Concat", ["u", "minus"], "r", axis=0),
            node("Reshape", ["x", "r"], "z"),
            node("Relu", ["z"], "y"),
        ],
        {"zero": np.array(0), "axis": np.array([0]), "minus": np.array([-1])},
    ),
    "matrix without bias": (
        [node("Flatten", ["x"], "f"), node("Gemm", ["f", "w"], "y")],
        {"w": values(216, 4)},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_operators_mean_what_onnx_says(name, tmp_path):
    nodes, constants = CASES[name]
    agrees(tmp_path, model(nodes, constants))


def test_batch_normalisation_disappears_in_the_convolution(tmp_path):
    nodes, constants = CASES["normalisation behind a convolution"]
    made = read(tmp_path, model(nodes, constants))
    assert [type(n).__name__ for n in made.graph.nodes] == ["Conv", "Relu"]


def test_softmax_and_argmax_are_left_to_the_host(tmp_path):
    nodes = [
        node("Flatten", ["x"], "f"),
        node("Gemm", ["f", "w"], "g"),
        node("Softmax", ["g"], "p"),
        node("ArgMax", ["p"], "y", axis=1),
    ]
    made = read(tmp_path, model(nodes, {"w": values(216, 4)}))
    assert made.epilogue == ("Softmax", "ArgMax")
    assert made.graph.output == "g"


def test_images_with_channels_last_are_taken_as_any_others(tmp_path):
    nodes = [node("Transpose", ["x"], "t", perm=[0, 3, 1, 2]), node("Conv", ["t", "w"], "y")]
    made = read(tmp_path, model(nodes, {"w": values(4, 3, 1, 1)}, shape=("N", 9, 8, 3)))
    assert made.graph.shapes[made.graph.input] == (3, 9, 8)


def test_external_data_is_read(tmp_path):
    weight = values(40, 3, 3, 3)
    proto = model([node("Conv", ["x", "w"], "y")], {"w": weight})
    path = tmp_path / "net.onnx"
    onnx.save(proto, path, save_as_external_data=True, location="net.data", size_threshold=0)
    np.testing.assert_array_equal(read_onnx(path).weights["y"].weight, weight)
    (tmp_path / "net.data").write_bytes(b"short")
    with pytest.raises(SystolithError, match="external data of 'w' cannot be read"):
        read_onnx(path)
    (tmp_path / "net.data").unlink()
    with pytest.raises(SystolithError, match="external data of 'w' cannot be read"):
        read_onnx(path)


@pytest.mark.parametrize("name", sorted(set(ZOO) - {"alexnet", "vgg11_bn", "vgg16"}))
def test_well_known_networks(name, tmp_path):
    proto = build_onnx(name, size=64, classes=10)
    onnx.checker.check_model(proto)
    path = tmp_path / "net.onnx"
    path.write_bytes(proto.SerializeToString())
    made = read_onnx(path)
    x = values(1, 3, 64, 64)
    calibration = calibrate(made.graph, made.weights, x)
    wanted = np.asarray(next(iter(ReferenceEvaluator(proto).run(None, {"input": x}))))
    np.testing.assert_allclose(calibration.output.reshape(1, 10), wanted, rtol=1e-3, atol=1e-4)
    qgraph = quantize(made.graph, made.weights, calibration, 16)
    tensors = run_golden(qgraph, quantize_input(qgraph, x))
    target = qgraph.tensors[qgraph.output]
    real = (tensors[qgraph.output].reshape(1, 10).astype(float) - target.zero_point) * target.scale
    assert np.corrcoef(real.ravel(), wanted.ravel())[0, 1] > 0.99


def test_vgg16_as_a_file_is_the_built_in_one(tmp_path):
    path = tmp_path / "vgg16.onnx"
    path.write_bytes(build_onnx("vgg16", size=64).SerializeToString())
    made, built_in = read_onnx(path).graph, build_network("vgg16")
    assert made.shapes[made.output] == built_in.shapes[built_in.output]
    for found, wanted in zip(made.nodes, built_in.nodes, strict=True):
        assert type(found) is type(wanted)
        numbers = {
            name: value
            for name, value in wanted.__dict__.items()
            if name not in ("inputs", "output")
        }
        assert {name: found.__dict__[name] for name in numbers} == numbers


def test_zeros_along_named_axes(tmp_path):
    nodes = [
        node("Pad", ["x", "p", "", "axes"], "q"),
        node("Conv", ["q", "w"], "y"),
    ]
    constants = {"p": np.array([1, 2, 0, 3]), "axes": np.array([3, -2]), "w": values(4, 3, 3, 3)}
    made = agrees(tmp_path, model(nodes, constants, opset=18))
    (conv,) = made.graph.nodes
    assert isinstance(conv, Conv)
    assert conv.padding == (2, 3, 1, 0)


ZEROS = np.array([0, 0, 1, 1, 0, 0, 1, 1])
CONV = node("Conv", ["q", "w"], "y")


@pytest.mark.parametrize(
    ("nodes", "amounts", "reason"),
    [
        ([node("Pad", ["x", "p"], "q", mode="reflect"), CONV], ZEROS, r"q \(Pad\): only zeros"),
        ([node("Pad", ["x", "p", "one"], "q"), CONV], ZEROS, r"q \(Pad\): must fill with 0, not 1"),
        ([node("Pad", ["x", "p"], "q"), CONV], -ZEROS, r"q \(Pad\): cuts pixels off"),
        ([node("Pad", ["x", "p"], "q"), CONV], np.arange(8), r"q \(Pad\): adds images or chann"),
        ([node("Pad", ["x", "p"], "q"), CONV], ZEROS[:6], "Pad"),
        ([node("Pad", ["x", "p"], "q"), CONV], ZEROS * 70000, r"q \(Pad\): makes an image of more"),
        (
            [node("Pad", ["x", "p"], "q"), node("Relu", ["q"], "r"), node("Conv", ["r", "w"], "y")],
            ZEROS,
            r"r \(Relu\): takes the output of q; only a convolution or a pool",
        ),
        (
            [node("Pad", ["x", "p"], "q"), node("MaxPool", ["q"], "y", kernel_shape=[3, 3])],
            ZEROS,
            r"y \(MaxPool\): takes the zeros of q, which never win only where nothing is below 0",
        ),
        ([node("Pad", ["x", "p"], "y")], ZEROS, r"y \(output\): is padded by y"),
    ],
)
def test_padding_that_no_layer_can_take_in_is_refused(tmp_path, nodes, amounts, reason):
    constants = {"p": amounts, "one": np.float32(1), "w": values(4, 3, 3, 3)}
    with pytest.raises(SystolithError, match=reason):
        read(tmp_path, model(nodes, constants))


def test_all_that_stands_in_the_way_is_listed_at_once(tmp_path):
    nodes = [
        node("LeakyRelu", ["x"], "a"),
        node("Conv", ["a", "w"], "b"),
        node("Sin", ["b"], "c"),
        node("Conv", ["c", "w"], "d", pads=[-1, 0, 0, 0]),
        node("AveragePool", ["c"], "e", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Pad", ["c", "p"], "h", mode="edge"),
        node("Pad", ["c", "p"], "i"),
        node("Relu", ["i"], "j"),
        node("Mul", ["e", "c"], "f"),
        node("Softmax", ["f"], "g"),
        node("Conv", ["g", "w"], "k"),
        node("Sum", ["d", "h", "j", "k"], "y"),
    ]
    path = tmp_path / "net.onnx"
    constants = {"w": values(3, 3, 1, 1), "p": np.array([0, 0, 1, 1, 0, 0, 1, 1])}
    path.write_bytes(model(nodes, constants).SerializeToString())
    found, problems = inspect_onnx(path)
    assert found is None
    assert [(problem.name, problem.operator) for problem in problems] == [
        ("a", "LeakyRelu"),
        ("c", "Sin"),
        ("d", "Conv"),
        ("e", "AveragePool"),
        ("h", "Pad"),
        ("j", "Relu"),
        ("f", "Mul"),
        ("k", "Conv"),
    ]
    assert "functions 1 in the configuration" in problems[0].reason
    with pytest.raises(SystolithError, match=r"8 of its nodes cannot run: a \(LeakyRelu\)"):
        read_onnx(path)


def test_kinds_of_nodes(tmp_path):
    made = read(tmp_path, model(*CASES["concatenation"]))
    assert [type(n) for n in made.graph.nodes] == [Conv, Conv, Concat]
    made = read(tmp_path, model(*CASES["mean"]))
    assert isinstance(made.graph.nodes[0], AveragePool)
