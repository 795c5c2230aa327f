"""Every command reads a file as the configuration has it: with tables, or with the host's nodes."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from systolith_host.explore.experiment import Experiment
from systolith_host.flow.load import shape_network
from systolith_host.network.qgraph import QHost
from systolith_hw.spec.presets import load_config

N = helper.make_node


@pytest.fixture
def files(tmp_path):
    """A network with a SiLU between two convolutions, and an accelerator with tables."""
    rng = np.random.default_rng(2)
    weights = {"w": rng.standard_normal((4, 3, 3, 3)), "v": rng.standard_normal((4, 4, 3, 3))}
    nodes = [
        N("Conv", ["x", "w"], ["c"], "first"),
        N("Sigmoid", ["c"], ["s"], "sigmoid"),
        N("Mul", ["c", "s"], ["m"], "silu"),
        N("Conv", ["m", "v"], ["y"], "second"),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 9, 9])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(v.astype(np.float32), n) for n, v in weights.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "net.onnx")
    fields = {
        "rows": 4,
        "cols": 4,
        "act_depth": 1024,
        "weight_depth": 512,
        "param_depth": 32,
        "acc_depth": 256,
        "post_lanes": 2,
        "bus_bytes": 8,
    }
    for name, more in (("plain", {}), ("tables", {"functions": 1})):
        lines = (f"{field} = {value}\n" for field, value in (fields | more).items())
        (tmp_path / f"{name}.toml").write_text("".join(lines))
    return tmp_path


def test_info_names_the_hosts_nodes_only_without_tables(command, files):
    hosted = command("info", files / "net.onnx", "--config", files / "plain.toml")[1]
    tables = command("info", files / "net.onnx", "--config", files / "tables.toml")[1]
    for out, named in ((hosted, True), (tables, False)):
        assert ("silu" in [line.split()[0] for line in out.splitlines() if line]) == named
    status, _, err = command("info", files / "net.onnx", "--no-host-nodes")
    assert status == 2
    assert "silu (Mul)" in err


def test_sweeps_count_the_layers_of_the_accelerator_that_they_vary(command, files):
    for name, host in (("plain", True), ("tables", False)):
        config = load_config(str(files / f"{name}.toml"))
        network = str(files / "net.onnx")
        wanted = shape_network(network, functions=bool(config.functions))
        assert any(isinstance(layer, QHost) for layer in wanted.layers) == host
        experiment = Experiment.of(network, config, ["bandwidth"])
        status, out, err = command(
            "explore", network, "--config", files / f"{name}.toml", "--bandwidth", "4,8",
            "--workers", 1, "--out", files / name,
        )  # fmt: skip
        assert status == 0, err
        assert "2 points" in out
        status, out, _ = command(
            "estimate", network, "--config", files / f"{name}.toml", "--bandwidth", 4, "--json", "-"
        )
        assert status == 0
        report = json.loads(out)
        rows = (files / name / "points.csv").read_text().splitlines()
        values = dict(zip(rows[0].split(","), rows[1].split(","), strict=True))
        assert values["network_digest"] == experiment.network_digest
        assert int(values["cycles"]) == sum(layer["cycles"] for layer in report["layers"])
        assert bool(report["host"]) == host
