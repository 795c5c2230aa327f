"""`--weight-bits` on the command line: bytes, what it costs, and files that have bits already."""

import json
import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from systolith_host.flow import prepare

N = helper.make_node


@pytest.fixture
def config(tmp_path):
    """An accelerator that takes weights of 4 bits apart."""
    path = tmp_path / "mine.toml"
    path.write_text('base = "tiny"\nnibbles = 1\n')
    return path


def layers(command, *arguments):
    status, out, err = command(*arguments, "--json", "-")
    assert status == 0, err
    return {row["name"]: row for row in json.loads(out)["layers"]}, err


def test_estimate_reads_half_the_weights_of_chosen_layers(command, config):
    wide, _ = layers(command, "estimate", "mini", "--config", config)
    narrow, _ = layers(command, "estimate", "mini", "--config", config, "--weight-bits", "fc4=4")
    assert wide["fc5"] == narrow["fc5"]
    weights = 24 * 16 * 4 * 4
    for name in ("bytes_read", "compulsory_bytes"):
        saved = wide["fc4"][name] - narrow["fc4"][name]
        assert saved == pytest.approx(weights / 2, rel=0.02)


def test_run_stays_exact_and_tells_what_4_bits_cost(command, config):
    options = ("--config", config, "--device", "emulator", "--weight-bits", "linear=4")
    found, err = layers(command, "run", "mini", *options)
    assert {row["mismatches"] for row in found.values()} == {0}
    line = r"weights of fewer bits: (-?[\d.]+) dB and [01] of 1 classes of the float network, "
    told = re.search(line + r"with 8 bits ([\d.]+) dB and 1 of 1 classes", " ".join(err.split()))
    assert told is not None, err
    assert float(told[1]) < float(told[2])


def test_explain_says_that_weights_have_4_bits(command, config):
    options = ("--explain", "fc4", "--config", config)
    assert "weights of 4 bits" not in command("compile", "mini", *options)[1]
    status, out, _ = command("compile", "mini", *options, "--weight-bits", "4")
    assert status == 0
    assert "weights of 4 bits in memory" in " ".join(out.split())


@pytest.mark.parametrize("name", ["run", "compile --out p", "estimate", "compile --explain fc4"])
def test_a_layer_that_is_not_there_is_refused_before_calibration(command, monkeypatch, name):
    monkeypatch.setattr(prepare, "calibrate", None)
    name, *more = name.split()
    status, _, err = command(name, "mini", *more, "--weight-bits", "fc9=4")
    assert status == 2
    assert "--weight-bits: 'fc9' is no layer with weights; there are conv1_1, " in err


@pytest.mark.parametrize("name", ["run", "estimate", "compile --explain fc4", "compile --out p"])
def test_bits_that_cannot_be_are_refused_before_the_network_is_read(command, name):
    name, *more = name.split()
    status, _, err = command(name, "nowhere.onnx", *more, "--weight-bits", "5")
    assert status == 2
    assert "--weight-bits must be one of 4, 8, or that for each" in err


def test_a_file_with_integers_of_its_own_keeps_them(command, tmp_path):
    values = {
        "s": np.float32(0.04),
        "z": np.uint8(118),
        "w": np.arange(-54, 54, dtype=np.int8).reshape(4, 3, 3, 3),
        "t": np.float32(0.01),
    }
    nodes = [
        N("QuantizeLinear", ["x", "s", "z"], ["q"]),
        N("DequantizeLinear", ["q", "s", "z"], ["a"]),
        N("DequantizeLinear", ["w", "t"], ["v"]),
        N("Conv", ["a", "v"], ["c"], "conv"),
        N("QuantizeLinear", ["c", "s", "z"], ["r"]),
        N("DequantizeLinear", ["r", "s", "z"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in values.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    status, _, err = command("run", path, "--device", "emulator", "--weight-bits", "4")
    assert status == 2
    assert "--weight-bits: " in err
    assert "is quantised, with scales of its own" in " ".join(err.split())
