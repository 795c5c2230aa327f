"""What surrounds PyTorch's exporter, with a stand-in for PyTorch; test_torch has the real one."""

import sys
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import systolith as sy


class Module:
    """A module with a part whose mode is another."""

    def __init__(self, part=None):
        self.training, self.part = True, part

    def modules(self):
        return [self, *([self.part] if self.part else [])]

    def parameters(self):
        return iter(())

    def eval(self):
        for each in self.modules():
            each.training = False


def export(module, arguments, file, **options):
    """Write the model of a ReLU, or fail as an exporter does."""
    assert not any(each.training for each in module.modules())
    (example,) = arguments
    if example.shape[1] == 7:
        raise RuntimeError("no symbolic\nfunction")
    names = [*options["input_names"], *options["output_names"]]
    infos = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *example.shape[1:]])
        for name in names
    ]
    weight = numpy_helper.from_array(np.ones((3, 3, 1, 1), np.float32), "w")
    node = helper.make_node("Conv", [names[0], "w"], [names[1]], "conv")
    graph = helper.make_graph([node], "torch", infos[:1], infos[1:], [weight])
    opset = helper.make_opsetid("", options["opset_version"])
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), file)


@pytest.fixture(autouse=True)
def torch(monkeypatch):
    fake = SimpleNamespace(
        nn=SimpleNamespace(Module=Module),
        zeros=lambda shape, device: np.zeros(shape, np.float32),
        onnx=SimpleNamespace(export=export),
        jit=SimpleNamespace(TracerWarning=UserWarning),
    )
    monkeypatch.setitem(sys.modules, "torch", fake)


def test_a_module_is_exported_for_evaluation_and_left_as_it_was():
    frozen = Module()
    frozen.training = False
    module = Module(frozen)
    images = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)
    net = sy.load(module, calibrate=images)
    assert (module.training, frozen.training) == (True, False)
    assert (net.name, net.input_shape) == ("Module", (3, 8, 8))
    assert net.compile("tiny").run(images[0], judge=True).report.mismatches == 0


@pytest.mark.parametrize("calibrate", [np.zeros((3, 8, 8)), [np.zeros((3, 8, 8))] * 2])
def test_the_first_calibration_array_says_the_shape(calibrate):
    assert sy.load(Module(), calibrate=calibrate).input_shape == (3, 8, 8)


def test_a_shape_that_is_given_counts():
    assert sy.load(Module(), input_shape=(3, 8, 4)).input_shape == (3, 8, 4)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({}, "a torch module does not say its input's shape: give input_shape=.*"),
        ({"calibrate": "photographs/"}, "a torch module does not say its input's shape: .*"),
        ({"input_shape": (3, 0, 8)}, r"input_shape must be \(channels, .*, not \(3, 0, 8\)"),
        ({"input_shape": 3}, r"input_shape must be \(channels, .*, not 3"),
        (
            {"input_shape": (7, 8, 8)},
            "Module: PyTorch cannot export it to ONNX: no symbolic function",
        ),
    ],
)
def test_modules_that_cannot_be_exported(options, line):
    module = Module()
    with pytest.raises(sy.SystolithError, match=rf"^{line}$"):
        sy.load(module, **options)
    assert module.training
