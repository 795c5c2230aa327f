"""Quantised files with nodes for the host between their layers: integers are onnxruntime's."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

import systolith as sy
from systolith_host.frontend.judge import judge
from systolith_host.frontend.onnx import read_onnx
from systolith_host.network.graph import Conv, Host, Linear

N = helper.make_node
HALF = {
    "mode": "nearest",
    "coordinate_transformation_mode": "asymmetric",
    "nearest_mode": "floor",
}


def values(*shape):
    return (np.random.default_rng(shape).standard_normal(shape) / 3).astype(np.float32)


MIDDLES = {
    "gate": [
        N("GlobalAveragePool", ["r"], ["g"]),
        N("HardSigmoid", ["g"], ["h"]),
        N("Mul", ["r", "h"], ["m"]),
    ],
    "resize": [N("Resize", ["r", "", "sizes"], ["m"], **HALF)],
    "silu": [N("Sigmoid", ["r"], ["h"]), N("Mul", ["r", "h"], ["m"])],
    "square": [N("Mul", ["r", "r"], ["m"])],
    "softmax": [N("Softmax", ["r"], ["m"], axis=1)],
    "normalised": [N("InstanceNormalization", ["r", "ones", "zeros"], ["m"])],
    "transposed convolution": [N("ConvTranspose", ["r", "up"], ["m"], strides=[2, 2])],
    "maximum": [N("Max", ["r", "c"], ["m"])],
    "leaky": [N("LeakyRelu", ["c"], ["m"], alpha=0.1)],
    "depth to space": [N("DepthToSpace", ["r"], ["m"], blocksize=2)],
    "distance": [
        N("ReduceMax", ["r"], ["q"], axes=[2, 3], keepdims=1),
        N("Sub", ["r", "q"], ["m"]),
    ],
}
"""Nodes from the first layer to the second."""

TABLES = {"gate", "silu", "square", "leaky"}
"""Those of which a configuration with tables takes some."""

MOVED = {"transposed convolution", "depth to space", "resize"}
"""Those that the array takes where their weights are integers, or there are none."""

CONSTANTS = {
    "w": values(4, 3, 3, 3),
    "v": values(4),
    "ones": np.ones(4, np.float32),
    "zeros": np.zeros(4, np.float32),
    "up": values(4, 4, 2, 2),
    "sizes": np.array([1, 1, 2, 2], np.float32),
    "l": values(5, 6),
    "b": values(6),
}


def middle(name, *, probabilities=False):
    """Return the nodes of a network with a middle, and its constants."""
    channels = 1 if name == "depth to space" else 4
    nodes = [
        N("Conv", ["x", "w", "v"], ["c"], "first", pads=[1] * 4),
        N("Relu", ["c"], ["r"], "relu"),
        *MIDDLES[name],
        N("Conv", ["m", "k"], ["d"], "second", pads=[1] * 4),
        N("Relu", ["d"], ["e"], "relu2"),
        N("GlobalAveragePool", ["e"], ["a"]),
        N("Flatten", ["a"], ["f"]),
        N("Gemm", ["f", "l", "b"], ["z" if probabilities else "y"], "dense"),
        *([N("Softmax", ["z"], ["y"])] if probabilities else ()),
    ]
    return nodes, CONSTANTS | {"k": values(5, channels, 3, 3)}


def model(nodes, constants):
    used = {source for node in nodes for source in node.input}
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 8, 6))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(v, n) for n, v in constants.items() if n in used],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def image(seed):
    return np.random.default_rng(seed).standard_normal((1, 3, 8, 6)).astype(np.float32)


class Images(CalibrationDataReader):
    def __init__(self):
        self.left = iter([{"x": image(seed)} for seed in range(4)])

    def get_next(self):  # pyright: ignore  # it ends with None
        return next(self.left, None)


def quantised(folder, nodes, constants, form):
    onnx.save(model(nodes, constants), folder / "float.onnx")
    quantize_static(
        folder / "float.onnx",
        folder / "net.onnx",
        Images(),
        quant_format=form,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    return folder / "net.onnx"


def compare(path, *, functions):
    """Run a file; return its network, and the largest difference from onnxruntime's output."""
    made = read_onnx(path, host_nodes=True, functions=functions)
    assert judge(path, made, 16).startswith("integers equal onnxruntime's in ")
    layers = [node.name for node in made.graph.nodes if isinstance(node, Conv | Linear)]
    own = [name.split("_")[0] for name in layers if not name.startswith("ConvTranspose")]
    assert own == ["first", "second", "dense"]
    x = image(9)
    accelerator = sy.Accelerator.preset("tiny").replace(functions=int(functions))
    net = sy.load(path, functions=functions)
    run = net.compile(accelerator).run(x, "emulator", judge=True)
    assert run.report.mismatches == 0
    (ours,) = run.outputs.values()
    theirs = np.asarray(onnxruntime.InferenceSession(path).run(None, {"x": x})[0])
    return made, np.abs(ours - theirs).max()


@pytest.mark.parametrize("form", [QuantFormat.QDQ, QuantFormat.QOperator])
@pytest.mark.parametrize("name", MIDDLES)
def test_between_layers_the_integers_are_within_one_of_onnxruntimes(name, form, tmp_path):
    path = quantised(tmp_path, *middle(name), form)
    for functions in (False, True) if name in TABLES else (False,):
        made, difference = compare(path, functions=functions)
        assert difference <= 1.001 * made.scales[made.graph.output].scale
        hosts = sum(isinstance(node, Host) for node in made.graph.nodes)
        assert hosts > 0 or functions or name in MOVED


@pytest.mark.parametrize("form", [QuantFormat.QDQ, QuantFormat.QOperator])
@pytest.mark.parametrize("functions", [False, True])
def test_an_end_of_the_hosts_behind_them(form, functions, tmp_path):
    path = quantised(tmp_path, *middle("silu", probabilities=True), form)
    _, difference = compare(path, functions=functions)
    assert difference <= 1 / 128


@pytest.mark.parametrize("form", [QuantFormat.QDQ, QuantFormat.QOperator])
@pytest.mark.parametrize("axis", [1, -1])
def test_an_end_takes_vectors_with_the_sides_that_integers_have(axis, form, tmp_path):
    nodes = [
        N("Conv", ["x", "w", "v"], ["c"], "first", strides=[2, 2]),
        N("Add", ["c", "c"], ["a"]),  # of integers, onnx does not infer its shape
        N("Flatten", ["a"], ["f"]),
        N("Unsqueeze", ["f", "sides"], ["u"]),
        N("LogSoftmax", ["u"], ["y"], axis=axis),
    ]
    constants = {"w": CONSTANTS["w"], "v": CONSTANTS["v"], "sides": np.array([2, 3])}
    path = quantised(tmp_path, nodes, constants, form)
    made = read_onnx(path)
    assert judge(path, made, 16).startswith("integers equal onnxruntime's in ")
    assert made.end is not None
    (ours,) = made.end.run(
        [np.zeros((1, *made.graph.shapes[made.graph.output]), np.float32)]
    ).values()
    (theirs,) = onnxruntime.InferenceSession(path).run(None, {"x": image(9)})
    assert ours.shape == np.asarray(theirs).shape
