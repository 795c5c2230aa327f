"""Nodes that the array cannot compute: which ones the host takes, and what comes out."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import systolith as sy
from systolith_host.drivers.image import program_image
from systolith_host.errors import SystolithError
from systolith_host.frontend.judge import judge
from systolith_host.frontend.onnx import inspect_onnx, read_onnx
from systolith_host.lab.onnx_models import onnxruntime_output
from systolith_host.network.graph import Host
from systolith_host.quantize.noise import decibels

N = helper.make_node
IMAGES = np.random.default_rng(3).standard_normal((8, 3, 10, 8)).astype(np.float32)


class Net:
    """A graph under construction; every layer is followed by the name of its output."""

    def __init__(self, kind=np.float32):
        self.rng = np.random.default_rng(5)
        self.kind = kind
        self.nodes, self.constants = [], {}

    def value(self, values, kind=None):
        name = f"k{len(self.constants)}"
        self.constants[name] = np.asarray(values, kind or self.kind)
        return name

    def node(self, operator, *inputs, name=None, count=1, **attributes) -> Any:
        name = name or f"n{len(self.nodes)}"
        made = [name] if count == 1 else [f"{name}.{i}" for i in range(count)]
        self.nodes.append(N(operator, list(inputs), made, name, **attributes))
        return made[0] if count == 1 else made

    def conv(self, source, inputs, outputs, kernel=3, **attributes) -> str:
        size = (inputs * kernel * kernel) ** -0.5
        weight = self.rng.standard_normal((outputs, inputs, kernel, kernel)) * size
        bias = self.rng.standard_normal(outputs) * 0.1
        pads = [kernel // 2] * 4
        return self.node(
            "Conv", source, self.value(weight), self.value(bias), pads=pads, **attributes
        )

    def dense(self, source, inputs, outputs):
        weight = self.rng.standard_normal((inputs, outputs)) * inputs**-0.5
        return self.node("MatMul", source, self.value(weight))

    def model(self, *outputs, shape=(3, 10, 8), kind=TensorProto.FLOAT, opset=18):
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("x", kind, [1, *shape])],
            [helper.make_empty_tensor_value_info(name) for name in outputs],
            [numpy_helper.from_array(v, k) for k, v in self.constants.items()],
        )
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8
        )


def silu(net):
    x = net.conv("x", 3, 8)
    for _ in range(2):
        x = net.node("Mul", x, net.node("Sigmoid", x))
        x = net.conv(x, 8, 8)
    return x


def hard_swish(net):
    return net.conv(net.node("HardSwish", net.conv("x", 3, 8)), 8, 4)


def squeeze_excite(net):
    x = net.node("Relu", net.conv("x", 3, 8))
    s = net.node("Relu", net.conv(net.node("GlobalAveragePool", x), 8, 4, 1))
    gate = net.node("HardSigmoid", net.conv(s, 4, 8, 1))
    return net.conv(net.node("Mul", x, gate), 8, 6)


def resize(net):
    x = net.conv("x", 3, 8, strides=[2, 2])
    scales = net.value([1, 1, 2, 2], np.float32)
    y = net.node("Resize", x, "", scales, mode="linear")
    return net.conv(y, 8, 5)


def layer_norm(net):
    """As exporters write it, over the channels of an image."""
    x = net.conv("x", 3, 8)
    d = net.node("Sub", x, net.node("ReduceMean", x, net.value([1], np.int64)))
    v = net.node("ReduceMean", net.node("Mul", d, d), net.value([1], np.int64))
    r = net.node("Sqrt", net.node("Add", v, net.value(1e-5)))
    n = net.node("Div", d, r)
    return net.conv(net.node("Mul", n, net.value(net.rng.random((1, 8, 1, 1)) + 0.5)), 8, 6)


def transposed(net):
    x = net.node("Relu", net.conv("x", 3, 8, strides=[2, 2]))
    weight = net.value(net.rng.standard_normal((8, 6, 2, 2)) * 0.3)
    return net.conv(net.node("ConvTranspose", x, weight, strides=[2, 2]), 6, 4)


def forks(net):
    """The host's output goes to two layers and a sum; the array's goes around the host."""
    a = net.conv("x", 3, 8)
    h = net.node("Tanh", a)
    b, c = net.conv(h, 8, 8), net.conv(h, 8, 8, 1)
    s = net.node("Add", net.node("Add", b, h), a)
    return net.conv(net.node("Elu", net.node("Mul", s, c)), 8, 4)


def attention(net):
    """Matrices of activations in three dimensions, between convolutions."""
    x = net.conv("x", 3, 8)
    flat = net.node("Reshape", x, net.value([1, 8, 80], np.int64))
    scores = net.node("MatMul", flat, net.node("Transpose", flat, perm=[0, 2, 1]))
    weights = net.node("Softmax", net.node("Mul", scores, net.value(0.1)), axis=-1)
    mixed = net.node("MatMul", weights, flat)
    back = net.node("Reshape", mixed, net.value([1, 8, 10, 8], np.int64))
    return net.conv(back, 8, 6)


def shuffle(net):
    """Channels and pixels in another order, by computed shapes; and halves that go two ways."""
    x = net.conv("x", 3, 8)
    shape = net.node("Shape", x)
    sides = net.node("Slice", shape, net.value([2], np.int64), net.value([4], np.int64))
    split = net.node("Concat", net.value([1, 2, 4], np.int64), sides, axis=0)
    y = net.node("Transpose", net.node("Reshape", x, split), perm=[0, 2, 1, 4, 3])
    y = net.node("Reshape", y, shape)
    a, b = net.node("Split", y, count=2, axis=1, num_outputs=2)
    return net.node("Concat", net.conv(a, 4, 4), net.conv(b, 4, 4), axis=1)


def vectors(net):
    x = net.dense(net.node("Flatten", net.node("GlobalAveragePool", net.conv("x", 3, 8))), 8, 32)
    return net.dense(net.node("Mul", x, net.node("Erf", x)), 32, 10)


def channels_last(net):
    """Behind a Transpose, as in ConvNeXt: what the host makes keeps the order of axes."""
    x = net.node("Transpose", net.conv("x", 3, 8), perm=[0, 2, 3, 1])
    n = net.node("LayerNormalization", x, net.value(np.ones(8)), net.value(np.zeros(8)), axis=-1)
    y = net.dense(net.node("Gelu", net.dense(n, 8, 16), approximate="tanh"), 16, 8)
    return net.conv(net.node("Transpose", y, perm=[0, 3, 1, 2]), 8, 5)


def at_the_input(net):
    """What comes before the first layer; the host goes on with what it has: a pool, a ReLU."""
    x = net.node("Resize", "x", "", net.value([1, 1, 2, 2], np.float32), mode="nearest")
    x = net.node("Relu", net.node("AveragePool", net.node("Abs", x), kernel_shape=[2, 2]))
    return net.conv(x, 3, 6)


def padded(net):
    x = net.node("Pad", net.conv("x", 3, 8), net.value([0, 0, 1, 2, 0, 0, 2, 1], np.int64))
    return net.conv(net.node("Tanh", x), 8, 4)


def weights_made(net):
    """Weights that nodes compute of constants, by operators that are neither shapes nor sums."""
    weight = net.node("Tanh", net.value(net.rng.standard_normal((6, 3, 3, 3))))
    return net.node("Conv", "x", weight)


def chosen(net):
    """A node with subgraphs, which take what they need from around them."""
    x = net.conv("x", 3, 8)
    branches = [
        helper.make_graph(
            [N(operator, [x], [f"{operator}_out"])],
            operator,
            [],
            [helper.make_tensor_value_info(f"{operator}_out", TensorProto.FLOAT, (1, 8, 10, 8))],
        )
        for operator in ("Sin", "Cos")
    ]
    limit = net.node("ReduceSum", x, keepdims=0)
    which = net.node("Greater", limit, net.value(0.0))
    y = net.node("If", which, then_branch=branches[0], else_branch=branches[1])
    return net.conv(y, 8, 4)


CASES = {
    silu: 2,
    hard_swish: 1,
    squeeze_excite: 1,
    resize: 1,
    layer_norm: 1,
    transposed: 0,
    forks: 2,
    attention: 1,
    shuffle: 2,
    vectors: 1,
    channels_last: 2,
    at_the_input: 1,
    padded: 1,
    weights_made: 0,
    chosen: 1,
}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "net.onnx"


def saved(file, make, kind: type[np.floating] = np.float32, opset=20):
    net = Net(kind)
    output = make(net)
    proto = net.model(output, kind=helper.np_dtype_to_tensor_dtype(np.dtype(kind)), opset=opset)
    onnx.save(proto, file)
    return proto


@pytest.mark.parametrize(
    ("make", "parts"), CASES.items(), ids=lambda each: getattr(each, "__name__", None)
)
def test_the_integers_are_near_onnxruntimes_floats(file, make, parts):
    proto = saved(file, make)
    model = read_onnx(file, host_nodes=True)
    assert sum(isinstance(node, Host) for node in model.graph.nodes) == parts
    assert judge(file, model, 16).startswith("float network equals onnxruntime: ")
    program = sy.load(file, calibrate=IMAGES).compile("tiny")
    run = program.run(IMAGES[:1], "emulator", judge=True)
    again = program.run(IMAGES[:1], "emulator", judge=True, sequential=True)
    alone = program.run(IMAGES[:1], "emulator")
    for one in (run, again):
        assert one.report.mismatches == 0
        assert [part.mismatches for part in one.report.host] == [0] * parts
    for name, tensor in run.tensors.items():
        assert np.array_equal(tensor, again.tensors[name]), name
        assert np.array_equal(tensor, alone.tensors[name]), name
    wanted = onnxruntime_output(proto, IMAGES[:1])
    assert decibels(wanted, run.output.reshape(wanted.shape)) > 25


@pytest.mark.rtl
def test_the_rtl_and_the_host_take_turns(file):
    saved(file, forks)
    program = sy.load(file, calibrate=IMAGES).compile("tiny")
    rtl, model = (
        program.run(IMAGES[:1], device, judge=True, sequential=True) for device in ("rtl", "model")
    )
    assert rtl.report.mismatches == 0
    assert [part.mismatches for part in rtl.report.host] == [0, 0]
    assert {one.name: one.cycles for one in rtl.report.layers} == {
        one.name: one.cycles for one in model.report.layers
    }
    for name, tensor in rtl.tensors.items():
        assert np.array_equal(tensor, model.tensors[name]), name


@pytest.mark.parametrize("make", [silu, squeeze_excite, channels_last, attention])
def test_halves_are_computed_as_halves(file, make):
    saved(file, make, np.float16)
    model = read_onnx(file, host_nodes=True)
    assert "onnxruntime" in judge(file, model, 16)
    run = sy.load(file, calibrate=IMAGES).compile("tiny").run(IMAGES[:1], "emulator", judge=True)
    assert run.report.mismatches == 0
    assert {part.mismatches for part in run.report.host} == {0}


def test_without_host_nodes_the_file_is_refused(file):
    saved(file, squeeze_excite)
    model, problems = inspect_onnx(file)
    assert model is None
    assert [problem.operator for problem in problems] == ["HardSigmoid", "Mul"]
    with pytest.raises(SystolithError, match="2 of its nodes cannot run: "):
        sy.load(file, host_nodes=False)
    hosted = read_onnx(file, host_nodes=True).hosted
    assert [(one.name, one.reason) for one in hosted] == [(p.name, p.reason) for p in problems]


def test_passes_behind_the_last_layer_stay_with_the_host(file):
    """A concatenation of what the host has made and a layer's output is no reason for a cut."""
    net = Net()
    a, b = net.conv("x", 3, 4), net.conv("x", 3, 4)
    y = net.node("Concat", net.node("Sigmoid", a), b, axis=1, name="y")
    onnx.save(net.model(y), file)
    model = read_onnx(file, host_nodes=True)
    assert not any(isinstance(node, Host) for node in model.graph.nodes)
    assert model.epilogue == ("Sigmoid", "Concat")
    assert model.outputs == {a: a, b: b}
    assert judge(file, model, 16).startswith("float network equals onnxruntime: ")


def test_several_outputs_of_both_sides(file):
    net = Net()
    a = net.conv("x", 3, 4)
    h = net.node("Mul", a, net.node("Sigmoid", a))
    b = net.conv(h, 4, 4)
    y = net.node("Reshape", net.node("Tanh", b), net.value([1, 4, 2, 40], np.int64))
    onnx.save(net.model(b, h, y), file)
    model = read_onnx(file, host_nodes=True)
    assert model.outputs == {b: b, h: a, y: b}
    program = sy.load(file, calibrate=IMAGES).compile("tiny")
    assert program.run(IMAGES[:1], "emulator", judge=True).report.mismatches == 0


def test_a_file_without_a_layer_for_the_array_is_refused(file):
    net = Net()
    x = net.node("Reshape", "x", net.value([1, 30, 8], np.int64))
    y = net.node("Conv", x, net.value(net.rng.standard_normal((4, 30, 3))), name="row")
    onnx.save(net.model(net.node("Relu", y)), file)
    model, problems = inspect_onnx(file, host_nodes=True)
    assert model is None
    assert [problem.name for problem in problems] == ["row"]


def test_a_node_that_can_run_nowhere_is_the_files_fault(file):
    net = Net()
    x = net.conv("x", 3, 8)
    y = net.node("Mul", x, net.node("Sigmoid", net.conv("x", 3, 7)), name="mul")
    onnx.save(net.model(net.conv(y, 8, 4)), file)
    with pytest.raises(SystolithError, match=r"mul|types or shapes"):
        read_onnx(file, host_nodes=True)


def test_random_numbers_are_refused(file):
    net = Net()
    noise = net.node("RandomNormalLike", net.conv("x", 3, 4), name="noise")
    onnx.save(net.model(net.conv(noise, 4, 4)), file)
    with pytest.raises(SystolithError, match=r"noise .*random numbers"):
        read_onnx(file, host_nodes=True)


def test_a_saved_program_carries_the_hosts_parts(file, tmp_path):
    saved(file, forks)
    made = sy.load(file, calibrate=IMAGES).compile("tiny")
    made.save(tmp_path / "program")
    again = sy.Compiled.load(tmp_path / "program")
    assert again.program.host[0].part.model == made.program.host[0].part.model
    wanted, found = (each.run(IMAGES[:1], "emulator") for each in (made, again))
    assert np.array_equal(wanted.output, found.output)
    assert [part.name for part in found.report.host] == [s.name for s in made.program.host]


def test_the_c_driver_refuses_the_hosts_parts(file):
    saved(file, hard_swish)
    made = sy.load(file, calibrate=IMAGES).compile("tiny")
    with pytest.raises(SystolithError, match="net: the host computes parts of it"):
        program_image(made.program)


def test_an_estimate_names_the_hosts_parts_without_a_time(file):
    saved(file, silu)
    report = sy.load(file, calibrate=IMAGES).estimate("tiny")
    assert [(part.bytes_read, part.bytes_written) for part in report.host] == [(640, 640)] * 2
    assert {part.seconds for part in report.host} == {None}


def test_a_pool_on_the_host_has_the_windows_that_begin_inside(file):
    """At an opset where onnx counts one more; onnxruntime's shape is that of the integers, too."""

    def pooled(net):
        x = net.node("Sigmoid", net.node("Abs", "x"))
        x = net.node("MaxPool", x, kernel_shape=[1, 1], strides=[1, 3], ceil_mode=1)
        return net.node("GlobalAveragePool", net.conv(x, 3, 8, 1))

    saved(file, pooled, opset=13)
    model = read_onnx(file, host_nodes=True)
    pool = next(node for node in model.graph.nodes if isinstance(node, Host))
    assert model.graph.shapes[pool.output] == (3, 10, 3)
    assert judge(file, model, 16).startswith("float network equals onnxruntime: ")
