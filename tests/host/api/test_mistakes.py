"""Mistakes through the public interface: one line of SystolithError each, before the long work."""

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import systolith as sy
from systolith_host.frontend.opsets import OLDEST

X = np.zeros((3, 32, 32), np.float32)


def nan():
    values = X.copy()
    values[0, 0, 0] = np.nan
    return values


class Uncooperative:
    """An array of somebody that does not become NumPy's."""

    def __array__(self, *arguments, **options):
        raise RuntimeError("still on the\ndevice")


@pytest.fixture(scope="module")
def program():
    return sy.load("mini", calibrate=X[None]).compile("tiny")


SHAPE = r"WHAT: must hold numbers of shape \(3, 32, 32\), or several of them, not "
INPUTS = {
    "wrong shape": (np.zeros((32, 32, 3)), SHAPE + r"float64 of shape \(32, 32, 3\); for .*"),
    "no image": (np.zeros((0, 3, 32, 32)), SHAPE + r"float64 of shape \(0, 3, 32, 32\)"),
    "scalar": (1.0, SHAPE + r"float64 of shape \(\)"),
    "nothing": (None, SHAPE + r"object of shape \(\)"),
    "complex": (X.astype(complex), SHAPE + "complex128 of .*"),
    "bool": (X.astype(bool), SHAPE + "bool of .*"),
    "text": (np.full(X.shape, "a"), SHAPE + "<U1 of .*"),
    "objects": (np.full(X.shape, None), SHAPE + "object of .*"),
    "dictionary": ({"x": X}, "WHAT: the network has one input: give an array, not names"),
    "NaN": (nan(), "WHAT: has values that are not finite"),
    "too large for float32": (np.full(X.shape, 1e300), "WHAT: has values that are not finite"),
    "one of a list": ([X, nan()], r"WHAT\[1\]: has values that are not finite"),
    "one of a list is no input": ([X, None], r"WHAT\[1\]: must hold numbers of .*"),
    "empty list": ([], "WHAT: is empty; give arrays or files"),
    "ragged": ([[1.0], [1.0, 2.0]], "WHAT: cannot be made an array: .*"),
    "others' array": (Uncooperative(), "WHAT: cannot be made an array: still on the device"),
    "batch": (
        np.stack([X, X]),
        "WHAT: the program takes a batch of 1, not 2: compile it with batch=2",
    ),
    "missing file": ("missing.npy", "missing.npy: no such file"),
}


LOADED = {name: case for name, case in INPUTS.items() if name not in ("nothing", "batch")}


@pytest.mark.parametrize(("x", "line"), INPUTS.values(), ids=INPUTS)
def test_inputs_that_cannot_be_used(program, x, line):
    with pytest.raises(sy.SystolithError, match=rf"^{line.replace('WHAT', 'x')}$") as raised:
        program.run(x, "emulator")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("x", "line"), LOADED.values(), ids=LOADED)
def test_calibration_that_cannot_be_used(x, line):
    with pytest.raises(sy.SystolithError, match=rf"^{line.replace('WHAT', 'calibrate')}$"):
        sy.load("mini", calibrate=x)


RUNS = {
    "device": ({"device": "gpu"}, "--device must be rtl, model, emulator, .*, not 'gpu'"),
    "device of a kind": ({"device": None}, "--device must be .*, not 'None'"),
    "board": ({"board": "build"}, "--board needs --device litex://HOST:PORT"),
    "simulator": (
        {"device": "rtl", "simulator": "vcs"},
        "simulator must be one of verilator, icarus, not 'vcs'",
    ),
    "workers": ({"workers": 0}, "workers must be a whole number from 1 to 256, not 0"),
    "clock": ({"clock_mhz": "fast"}, "clock_mhz must be from 0.001 to 100,000, not 'fast'"),
    "clock that is none": ({"clock_mhz": np.nan}, "clock_mhz must be from 0.001 .*, not nan"),
    "progress": ({"progress": 3}, "progress must be True, a callable or None, not 3"),
    "unknown layer": (
        {"layers": "conv9", "judge": True},
        "--layers: mini has no layer 'conv9'; it has conv1_1, .*",
    ),
    "layers alone": ({"layers": "fc4"}, "layers needs judge=True: .*"),
    "scheduler alone": ({"scheduler": "tcp://a:1"}, "scheduler needs judge=True: .*"),
    "side by side": ({"sequential": False}, "sequential=False needs judge=True: .*"),
    "no such board": ({"device": "pynq:none.bit"}, "--device pynq needs PYNQ's Python .*"),
}


@pytest.mark.parametrize(("options", "line"), RUNS.values(), ids=RUNS)
def test_runs_that_cannot_be(program, options, line):
    with pytest.raises(sy.SystolithError, match=rf"^{line}$"):
        program.run(X, **options)


def old_model():
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "old",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3, 8, 8])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OLDEST - 1)])


LOADS = {
    "name": ({"source": "vgg17"}, "network must be one of vgg11, .*, not 'vgg17'"),
    "file": ({"source": "none.onnx"}, "none.onnx: no such file"),
    "kind": ({"source": 3}, "network must be a built-in one's name, .*, not int"),
    "damaged": ({"source": old_model()}, ".*old: opset must be at least 7, not 6; .*"),
    "method": (
        {"source": "mini", "method": "best"},
        "method must be one of minmax, percentile, mse, not 'best'",
    ),
    "seed": ({"source": "mini", "seed": -1}, "seed must be a whole number from 0 to .*, not -1"),
    "weights": ({"source": "mini", "weights": "w.safetensors"}, "w.safetensors: .*"),
    "shape": ({"source": "mini", "input_shape": (3, 8, 8)}, "a shape is for ONNX files: mini .*"),
}


@pytest.mark.parametrize(("arguments", "line"), LOADS.values(), ids=LOADS)
def test_networks_that_cannot_be_loaded(arguments, line):
    with pytest.raises(sy.SystolithError, match=rf"^{line}$"):
        sy.load(**arguments)


COMPILES = {
    "preset": ({"accelerator": "huge"}, "config must be one of tiny, .*, not 'huge'"),
    "kind": ({"accelerator": 3}, "accelerator must be an Accelerator, .*, not 3"),
    "memory": ({"memory": 8}, "memory must be a systolith.Memory, not 8"),
    "batch": ({"batch": 0}, "batch must be a whole number from 1 to 256, not 0"),
    "batch of a kind": ({"batch": 1.0}, "batch must be a whole number from 1 to 256, not 1.0"),
}


@pytest.mark.parametrize(("arguments", "line"), COMPILES.values(), ids=COMPILES)
@pytest.mark.parametrize("verb", ["compile", "estimate"])
def test_accelerators_that_cannot_be(verb, arguments, line):
    net = sy.load("mini", calibrate=X)
    with pytest.raises(sy.SystolithError, match=rf"^{line}$"):
        getattr(net, verb)(**arguments)


def test_a_network_that_photographs_do_not_fit_needs_calibration():
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"], "relu")],
        "numbers",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2, 8, 8])],
    )
    net = sy.load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]))
    line = r"numbers: has no scales: load it with calibrate=, arrays of shape \(2, 8, 8\) or files"
    with pytest.raises(sy.SystolithError, match=rf"^{line} of them$"):
        net.compile("tiny")


SWEEPS = {
    "nothing": ({}, "nothing to vary: give an axis, as bandwidth=.*"),
    "axis": ({"row": [8]}, "axis must be one of rows, cols, .*, not 'row'"),
    "empty": ({"rows": []}, "--rows: no values; give some, e.g. 8,16,32"),
    "NaN": ({"rows": [np.nan]}, "--rows: not a number: 'nan'"),
    "kind": ({"rows": [None, "a"]}, r"rows must be numbers or a text, not \[None, 'a'\]"),
    "fraction": ({"rows": [4.5]}, "--rows: must be whole numbers, not '4.5'"),
    "negative": ({"rows": -4}, "--rows: not a number: '-4'"),
    "both": ({"rows": [4], "sample": 1, "search": 1}, "sample and search exclude each other: .*"),
    "sample": ({"rows": [4], "sample": 0}, "sample must be a whole number from 1 .*, not 0"),
    "part": ({"rows": [4], "fits": "xc7"}, "part must be one of ecp5-.*, not 'xc7'"),
    "workers": ({"rows": [4], "workers": 0}, "workers must be a whole number from 1 .*, not 0"),
    "impossible": ({"rows": [5], "cols": [7]}, "none of the 1 points can be built or run; .*"),
    "network": ({"network": "vgg17", "rows": [4]}, "network must be one of .*, not 'vgg17'"),
}


@pytest.mark.parametrize(("arguments", "line"), SWEEPS.values(), ids=SWEEPS)
def test_sweeps_that_cannot_be(arguments, line):
    with pytest.raises(sy.SystolithError, match=rf"^{line}$"):
        sy.explore(**{"network": "mini", "base": "tiny", **arguments})


TINY = sy.Accelerator.preset("tiny")
ACCELERATORS = {
    "unknown field": (lambda: TINY.replace(row=8), "accelerator: no such field: row"),
    "missing": (
        lambda: sy.Accelerator(rows=8, cols=8),
        "accelerator: missing field: act_depth, .*",
    ),
    "range": (lambda: TINY.replace(rows=1), "accelerator: rows must be between 2 and 128, not 1"),
    "kind": (lambda: TINY.replace(rows=8.0), "accelerator: rows must be of type int, not 8.0"),
    "preset": (lambda: sy.Accelerator.preset("big"), "preset must be one of tiny, .*, not 'big'"),
    "file": (lambda: sy.Accelerator.from_toml("a.toml"), "a.toml: cannot be read: .*"),
    "part": (lambda: TINY.resources("big"), "part must be one of ecp5-25f, .*, not 'big'"),
    "memory": (lambda: sy.Memory(latency=0), "memory latency must be 2 to 100000 cycles, not 0"),
    "memory of a kind": (
        lambda: sy.Memory(bytes_per_cycle="8"),  # pyright: ignore[reportArgumentType]
        "memory bytes_per_cycle must be a number, not '8'",
    ),
}


@pytest.mark.parametrize(("make", "line"), ACCELERATORS.values(), ids=ACCELERATORS)
def test_accelerators_and_memories_that_cannot_be_built(make, line):
    with pytest.raises(sy.SystolithError, match=rf"^{line}$"):
        make()


def test_files_that_cannot_be_written(program, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(sy.SystolithError, match="cannot be written"):
        program.save(tmp_path / "none" / "p.program")
    with pytest.raises(sy.SystolithError, match="cannot be written"):
        program.run(X, "emulator").report.save(tmp_path / "none" / "r.json")
    with pytest.raises(sy.SystolithError, match="cannot be written"):
        TINY.verilog(tmp_path / "file" / "rtl")


@pytest.mark.parametrize("bits", [5, True, "fc4", {"fc4": 2}, ["fc4"]])
def test_weight_bits_that_cannot_be_are_refused_before_the_network_is_read(bits):
    with pytest.raises(sy.SystolithError, match=r"^weight_bits must be one of 4, 8, or that for"):
        sy.load("nowhere.onnx", weight_bits=bits)


def test_weight_bits_of_a_layer_that_is_not_there_are_refused():
    with pytest.raises(sy.SystolithError, match=r"^weight_bits: 'fc9' is no layer with weights; "):
        sy.load("mini", weight_bits={"fc9": 4})


def quantised():
    """A max-pool between scales of its own."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
        helper.make_node("MaxPool", ["d"], ["p"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("QuantizeLinear", ["p", "scale", "zero"], ["r"]),
        helper.make_node("DequantizeLinear", ["r", "scale", "zero"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "own",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3, 4, 4])],
        [
            numpy_helper.from_array(np.array(0.05, np.float32), "scale"),
            numpy_helper.from_array(np.array(3, np.int8), "zero"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_a_quantised_model_keeps_its_scales():
    options: list[dict[str, Any]] = [
        {"calibrate": X}, {"equalise": True}, {"correct_bias": True}, {"weight_bits": 4}
    ]  # fmt: skip
    for option in options:
        (name,) = option
        with pytest.raises(sy.SystolithError, match=rf"^{name}: .* is quantised, with scales of"):
            sy.load(quantised(), **option)
    net = sy.load(quantised())
    assert net.is_quantised
    x = np.random.default_rng(3).standard_normal((1, 3, 8, 8)).astype(np.float32)
    run = net.compile("tiny").run(x, judge=True)
    assert (run.scales[net.graph.input].scale, run.report.mismatches) == (pytest.approx(0.05), 0)
    np.testing.assert_allclose(run.output, net.forward(x), atol=0.0251)  # half a step
