"""The command `systolith report`: files, and mistakes in one line."""

import json
import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from rich.console import Console
from typer.testing import CliRunner

from systolith_host.cli.app import app
from systolith_host.errors import SystolithError
from systolith_host.explore.experiment import network_digest
from systolith_host.flow.load import shape_network
from systolith_host.frontend.zoo import build_onnx
from systolith_host.progress import ProgressLog
from systolith_host.visual.subject import load_subject
from systolith_hw.spec.presets import PRESETS
from systolith_sim.memory.timing import MemoryTiming


@pytest.fixture
def command(tmp_path):
    def run(*arguments):
        options = ["--out", str(tmp_path / "report.html"), "--bandwidths", "2,8"]
        return CliRunner().invoke(app, ["report", *map(str, arguments), *options])

    return run


def test_page_and_trace_are_written(command, tmp_path):
    trace, whole = tmp_path / "trace.json", tmp_path / "whole.json"
    files = ("--trace", trace, "--network-trace", whole)
    result = command("mini", "--config", "tiny", *files, "--timeline", "conv3_1")
    assert result.exit_code == 0, result.output
    html = (tmp_path / "report.html").read_text()
    assert "<title>mini on tiny - Systolith report</title>" in html
    assert "Timeline of conv3_1" in html
    assert json.loads(trace.read_text())["otherData"]["layer"] == "conv3_1"
    assert json.loads(whole.read_text())["otherData"]["cycles"] > 60_000


@pytest.mark.rtl
def test_timeline_comes_from_the_rtl_if_asked_for(command, tmp_path):
    result = command("mini", "--config", "tiny", "--rtl", "--timeline", "fc6")
    assert result.exit_code == 0, result.output
    html = (tmp_path / "report.html").read_text()
    assert '<span class="source rtl">RTL</span> Events recorded in the simulated RTL' in html
    assert 'class="source model"' not in html


def test_networks_that_branch_have_a_page(command, tmp_path):
    path = tmp_path / "squeezenet.onnx"
    path.write_bytes(build_onnx("squeezenet1_1", seed=0, size=64).SerializeToString())
    result = command(path, "--bandwidth", 8, "--latency", 80, "--turnaround", 6)
    assert result.exit_code == 0, result.output
    html = (tmp_path / "report.html").read_text()
    assert "squeezenet on default" in html
    assert "latency of 80 cycles, 6 more between reads and writes." in re.sub(r"\s+", " ", html)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mini", "--layer", "conv9"), r"mini has no layer 'conv9'; it has conv1_1, "),
        (("mini", "--layer", "fc4"), r"--layer: fc4 is fully connected, .*; take a convolution"),
        (("mini", "--timeline", "conv9"), r"mini has no layer 'conv9'"),
        (("mini", "--measured", "nowhere.json"), r"--measured: nowhere\.json: cannot be read"),
        (("mini", "--sweep", "nowhere"), r"--sweep: nowhere: cannot be read"),
        (("mini", "--trace", "nowhere/trace.json"), r"nowhere/trace\.json: its folder does not"),
        (("mini", "--cycles", "9..3"), r"--cycles must be FIRST\.\.LAST, rising from 1 on, not '9"),
        (("mini", "--cycles", "0..3"), r"--cycles must be FIRST\.\.LAST"),
        (("mini", "--cycles", "many"), r"--cycles must be FIRST\.\.LAST"),
        (("mini", "--picture", "stalls.gif"), r"stalls\.gif: must end with \.svg, \.pdf or \.png"),
        (("mini", "--picture", "nowhere/stalls.svg"), r"there is no folder nowhere"),
        (("mini", "--picture", "fig3.svg"), r"there is no figure fig3; there are roofline, "),
        (
            ("mini", "--picture", "tilings-fc4.svg"),
            r"tilings are shown of tilings-conv1_1, .*--layer",
        ),
        (
            ("mini", "--picture", "all.svg", "--width", 50),
            r"^--width 50 is too narrow for text of 8",
        ),
        (("mini", "--picture", "pareto.svg"), r"the Pareto front needs --sweep"),
        (("nonet",), r"nonet"),
    ],
)
def test_mistakes_are_one_line(command, arguments, message, monkeypatch):
    def late(*_):
        raise AssertionError("found out after the long work")

    monkeypatch.setattr("systolith_host.visual.pictures.find_browser", lambda: "chromium")
    monkeypatch.setattr("systolith_host.visual.assemble.compile_network", late)
    result = command(*arguments, "--config", "tiny")
    assert isinstance(result.exception, SystolithError)
    assert re.search(message, str(result.exception))
    assert "\n" not in str(result.exception)


def test_the_sweep_of_a_file_belongs_to_its_page_and_to_no_other(command, tmp_path):
    path = tmp_path / "squeezenet.onnx"
    path.write_bytes(build_onnx("squeezenet1_1", seed=0, size=64).SerializeToString())
    options = ["--bandwidth", "8", "--workers", "1", "--out", str(tmp_path / "sweep")]
    made = CliRunner().invoke(app, ["explore", str(path), *options])
    assert made.exit_code == 0, made.output
    result = command(path, "--sweep", tmp_path / "sweep")
    assert result.exit_code == 0, result.output
    html = re.sub(r"\s+", " ", (tmp_path / "report.html").read_text())
    assert "points.csv: squeezenet, batch 1, on default with other bandwidth, by " in html
    refused = command("mini", "--config", "tiny", "--sweep", tmp_path / "sweep")
    assert re.search(r"points\.csv is of squeezenet \(", str(refused.exception))


def test_a_page_knows_the_groups_of_a_convolution(tmp_path):
    weights = np.random.default_rng(0).standard_normal((16, 1, 3, 3)).astype(np.float32)
    node = helper.make_node("Conv", ["x", "w"], ["y"], "depthwise", pads=[1] * 4, group=16)
    shape = [1, 16, 8, 8]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy"]
    graph = helper.make_graph(
        [node], "net", ends[:1], ends[1:], [numpy_helper.from_array(weights, "w")]
    )
    opset = [helper.make_opsetid("", 17)]
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    with ProgressLog(Console(quiet=True)) as log:
        subject = load_subject(str(path), PRESETS["tiny"], MemoryTiming(), 1, log)
    (operation,) = subject.operations
    assert operation.macs == 16 * 9 * 64
    assert network_digest(subject.qgraph) == network_digest(shape_network(str(path)))
