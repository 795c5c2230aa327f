"""Transposed convolutions, resizing, blocks of pixels and joined sides, as onnxruntime has them."""

import random

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from systolith_host.compiler import compile_network
from systolith_host.frontend.judge import judge_float
from systolith_host.frontend.onnx import inspect_onnx
from systolith_host.lab.exact import run_exactly
from systolith_host.network.graph import AveragePool, Clip, Conv, Function, Mosaic, Relu, Take
from systolith_host.quantize.calibrate import calibrate
from systolith_host.quantize.quantize import quantize, quantize_input
from systolith_hw.spec.presets import PRESETS

TINY = PRESETS["tiny"]


class Net:
    """An ONNX network of an image of 5 x height x width, whose first layer is a convolution."""

    def __init__(self, height=5, width=6, opset=18):
        self.rng = np.random.default_rng(height * 100 + width)
        self.size, self.opset = (height, width), opset
        self.constants, self.nodes = [], []
        self.last = self.conv("x", 5, 8)

    def constant(self, values):
        values = np.asarray(values)
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def random(self, *shape):
        return self.constant(self.rng.standard_normal(shape).astype(np.float32))

    def node(self, operator, *inputs, **attributes):
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name, **attributes))
        self.last = name
        return name

    def conv(self, source, inputs, outputs, size=1):
        weight = self.random(outputs, inputs, size, size)
        return self.node("Conv", source, weight, self.random(outputs), pads=[size // 2] * 4)

    def save(self, path, *more):
        names = (self.last, *more)
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 5, *self.size])],
            [helper.make_empty_tensor_value_info(name) for name in names],
            self.constants,
        )
        opset = [helper.make_opsetid("", self.opset)]
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)


def check(net, path, *more, host=0):
    """Read, judge and run a network; return its float graph."""
    net.save(path, *more)
    made, problems = inspect_onnx(path, host_nodes=True)
    assert made is not None, problems
    assert len(made.hosted) == host, made.hosted
    x = net.rng.standard_normal((1, 5, *net.size)).astype(np.float32)
    assert "equals onnxruntime" in judge_float(path, made, x).line
    qgraph = quantize(made.graph, made.weights, calibrate(made.graph, made.weights, x), 16)
    if not host:
        program = compile_network(qgraph, TINY)
        images = quantize_input(qgraph, x)
        run_exactly(program, qgraph, images)
    return made.graph


def kinds(graph, *kind):
    return sum(isinstance(node, kind) for node in graph.nodes)


@pytest.mark.parametrize("seed", range(40))
def test_transposed_convolutions_are_onnxruntimes(seed, tmp_path):
    rng = random.Random(seed)
    net = Net(rng.randint(1, 6), rng.randint(1, 6))
    groups = rng.choice([1, 1, 2, 4, 8])
    outputs = groups * rng.randint(1, 3)
    kernel = [rng.randint(1, 5) for _ in range(2)]
    strides = [rng.randint(1, 4) for _ in range(2)]
    found = {"strides": strides, "group": groups, "dilations": [rng.randint(1, 3) for _ in "hw"]}
    way = rng.choice(["pads", "pads", "SAME_UPPER", "SAME_LOWER", "VALID", "shape"])
    full = [
        stride * (side - 1) + gap * (taps - 1) + 1
        for stride, side, gap, taps in zip(
            strides, net.size, found["dilations"], kernel, strict=True
        )
    ]
    if way == "pads":
        found["output_padding"] = [rng.randrange(stride) for stride in strides]
        found["pads"] = [rng.randint(0, max(0, (full[i % 2] - 1) // 2)) for i in range(4)]
    elif way == "shape":
        found["output_shape"] = [rng.randint(1, side) for side in full]
    elif way != "VALID":
        if any(
            stride * side > end for stride, side, end in zip(strides, net.size, full, strict=True)
        ):
            found["strides"] = [1, 1]
        found["auto_pad"] = way
    else:
        found["auto_pad"] = way
    weight = net.random(8, outputs // groups, *kernel)
    bias = [net.random(outputs)] if rng.random() < 0.5 else []
    up = net.node("ConvTranspose", net.last, weight, *bias, **found)
    if rng.random() < 0.5:
        net.node("Relu", up)
    print(seed, found)
    graph = check(net, tmp_path / "net.onnx")
    assert kinds(graph, Conv) <= 1 + np.prod(found["strides"])


@pytest.mark.parametrize("end", ["Relu", "BatchNormalization", "both", "fork"])
def test_what_follows_phases_becomes_part_of_them(end, tmp_path):
    net = Net()
    up = net.node("ConvTranspose", net.last, net.random(8, 6, 4, 4), strides=[2, 2], pads=[1] * 4)
    if end != "Relu":
        numbers = [net.random(6) for _ in range(3)]
        numbers.append(net.constant(np.abs(net.rng.standard_normal(6)).astype(np.float32) + 0.5))
        net.node("BatchNormalization", up, *numbers)
    if end != "BatchNormalization":
        net.node("Relu", net.last)
    if end == "fork":
        net.node("Concat", net.last, up, axis=1)
    graph = check(net, tmp_path / "net.onnx")
    extra = 1 if end == "fork" else 0
    assert kinds(graph, Conv) == 5 + extra
    assert (
        kinds(graph, Relu, Clip) == {"Relu": 4, "BatchNormalization": 0, "both": 4, "fork": 1}[end]
    )


COORDINATES = ["half_pixel", "asymmetric", "tf_half_pixel_for_nn", "align_corners"]
NEAREST = ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"]


@pytest.mark.parametrize("nearest", NEAREST)
@pytest.mark.parametrize("coordinates", [*COORDINATES, "pytorch_half_pixel"])
def test_resizing_is_onnxruntimes_or_the_hosts(coordinates, nearest, tmp_path):
    rng = random.Random(coordinates + nearest)
    for number in range(4):
        factors = rng.choice([(2, 2), (1, 3), (4, 1), (3, 2), (0.5, 0.5), (1.5, 2)])
        net = Net(rng.randint(2, 6), rng.randint(2, 6))
        inputs = ["", net.constant(np.array([1, 1, *factors], np.float32))]
        if rng.random() < 0.4:
            size = [int(side * factor) for side, factor in zip(net.size, factors, strict=True)]
            inputs = ["", "", net.constant([1, 8, *size])]
        found = {"coordinate_transformation_mode": coordinates, "nearest_mode": nearest}
        up = net.node("Resize", net.last, *inputs, mode="nearest", **found)
        net.conv(up, 8, 4, 3)
        path = tmp_path / f"{number}.onnx"
        net.save(path)
        made, problems = inspect_onnx(path, host_nodes=True)
        assert made is not None, problems
        print(factors, inputs, len(made.hosted))
        check(net, path, host=len(made.hosted))


@pytest.mark.parametrize(
    ("factors", "coordinates", "nearest"),
    [
        ((2, 2), "asymmetric", "floor"),
        ((3, 1), "half_pixel", "round_prefer_floor"),
        ((2, 4), "half_pixel", "round_prefer_ceil"),
        ((1, 2), "tf_half_pixel_for_nn", "floor"),
    ],
)
def test_plain_repetition_needs_no_host(factors, coordinates, nearest, tmp_path):
    net = Net()
    scales = net.constant(np.array([1, 1, *factors], np.float32))
    found = {"coordinate_transformation_mode": coordinates, "nearest_mode": nearest}
    up = net.node("Resize", net.last, "", scales, **found)
    net.conv(net.node("Relu", up), 8, 4, 3)
    graph = check(net, tmp_path / "net.onnx")
    assert kinds(graph, Mosaic) == 1
    assert not kinds(graph, AveragePool, Function)


@pytest.mark.parametrize("opset", [7, 9, 10, 11, 13, 19])
def test_old_ways_to_repeat_pixels_run_too(opset, tmp_path):
    net = Net(opset=opset)
    scales = np.array([1, 1, 2, 2], np.float32)
    if opset < 9:
        net.node("Upsample", net.last, mode="nearest", scales=[1.0, 1.0, 2.0, 2.0])
    elif opset == 9:
        net.node("Upsample", net.last, net.constant(scales), mode="nearest")
    elif opset == 10:
        net.node("Resize", net.last, net.constant(scales), mode="nearest")
    else:
        empty = net.constant(np.zeros(0, np.float32))
        found = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        net.node("Resize", net.last, empty, net.constant(scales), mode="nearest", **found)
    net.conv(net.last, 8, 4)
    check(net, tmp_path / "net.onnx")


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_blocks_of_channels_and_of_pixels_are_onnxruntimes(mode, size, tmp_path):
    net = Net(2 * size, 3 * size)
    wide = net.node("Relu", net.conv(net.last, 8, 5 * size**2))
    deep = net.node("DepthToSpace", wide, blocksize=size, mode=mode)
    flat = net.node("SpaceToDepth", net.conv(deep, 5, 3), blocksize=size)
    net.conv(flat, 3 * size**2, 4)
    check(net, tmp_path / "net.onnx")


@pytest.mark.parametrize("axis", [2, 3, -1, -2])
@pytest.mark.parametrize("last", [False, True])
def test_sides_are_joined(axis, last, tmp_path):
    net = Net()
    a, b = net.last, net.conv("x", 5, 8, 3)
    if last:
        a, b = (net.node("Transpose", name, perm=[0, 2, 3, 1]) for name in (a, b))
        axis = [0, 2, 3, 1].index(axis % 4)
    joined = net.node("Concat", a, b, a, axis=axis)
    if last:
        joined = net.node("Transpose", joined, perm=[0, 3, 1, 2])
    net.conv(joined, 8, 4, 3)
    graph = check(net, tmp_path / "net.onnx")
    assert kinds(graph, Mosaic) == 1


def test_an_upsampling_network_runs_without_the_host(tmp_path):
    """Like a U-Net: a skip, an upsampled tensor and their joint, to a quarter and back."""
    net = Net(8, 8)
    first = net.node("Relu", net.last)
    low = net.node("MaxPool", first, kernel_shape=[2, 2], strides=[2, 2])
    low = net.node("Relu", net.conv(low, 8, 12, 3))
    lowest = net.node("MaxPool", low, kernel_shape=[2, 2], strides=[2, 2])
    up = net.node("ConvTranspose", lowest, net.random(12, 8, 2, 2), net.random(8), strides=[2, 2])
    both = net.node("Concat", low, up, axis=1)
    mixed = net.node("Relu", net.conv(both, 20, 8, 3))
    large = net.node("Resize", mixed, "", net.constant(np.array([1, 1, 2, 2], np.float32)))
    net.conv(net.node("Concat", first, large, axis=1), 16, 3)
    graph = check(net, tmp_path / "net.onnx")
    assert kinds(graph, Take, AveragePool) == 0


REFUSED = {
    "stride": (dict(strides=[16, 16]), "take 256 convolutions"),
    "output": (dict(output_shape=[90, 90]), "is beyond what its kernel reaches"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_transposed_convolutions_are_the_hosts(name, tmp_path):
    found, message = REFUSED[name]
    net = Net()
    net.node("ConvTranspose", net.last, net.random(8, 2, 3, 3), **found)
    net.save(tmp_path / "net.onnx")
    _, problems = inspect_onnx(tmp_path / "net.onnx", host_nodes=False)
    assert message in problems[0].reason
