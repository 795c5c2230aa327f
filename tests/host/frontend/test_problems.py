"""What is said of nodes that cannot run."""

import numpy as np
import onnx
import pytest

from systolith_host.frontend.onnx import inspect_onnx
from systolith_host.lab.onnx_models import onnx_model, onnx_node

WEIGHT = np.random.default_rng(0).standard_normal((4, 3, 1, 1))


@pytest.mark.parametrize(("training", "host"), [(True, False), (True, True), (False, False)])
def test_a_dropout_in_training_mode_is_refused(training, host, tmp_path):
    nodes = [onnx_node("Conv", ["x", "w"], "c"), onnx_node("Dropout", ["c", "r", "t"], "y")]
    constants = {"w": WEIGHT, "r": np.float32(0.5), "t": np.array(training)}
    onnx.save(onnx_model(nodes, constants), tmp_path / "net.onnx")
    made, problems = inspect_onnx(tmp_path / "net.onnx", host_nodes=host)
    assert (made is None) == training
    reason = "is in training mode; export the network for inference"
    assert [problem.reason for problem in problems] == [reason] * training


def test_nodes_behind_a_refused_squeeze_are_listed(tmp_path):
    nodes = [
        onnx_node("ReduceSum", ["x", "axes"], "s"),
        onnx_node("Squeeze", ["s"], "z"),
        onnx_node("Mul", ["z", "two"], "y"),
    ]
    constants = {"axes": np.array([1, 2, 3]), "two": np.float32(2)}
    onnx.save(onnx_model(nodes, constants), tmp_path / "net.onnx")
    made, problems = inspect_onnx(tmp_path / "net.onnx")
    assert made is None
    assert "ReduceSum" in {problem.operator for problem in problems}
