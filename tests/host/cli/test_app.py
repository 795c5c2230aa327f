"""The command line as a user meets it: results, errors of one line, exit status."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from safetensors.numpy import save_file

from systolith_host.frontend.images import sample_images
from systolith_host.frontend.vgg import build_network, torchvision_keys
from systolith_host.frontend.weights import random_weights
from systolith_hw.spec.presets import PRESETS

PROGRESS = re.compile(r"^[a-z ]+: \d+%, ")
"""A line that a slow machine prints, where standard error is no terminal."""


def refused(command, *arguments):
    """Return the error of a command that has to be refused."""
    status, out, err = command(*arguments)
    assert status == 2
    assert out == ""
    lines = [line for line in err.splitlines() if line and not PROGRESS.match(line)]
    assert len(lines) == 1, err
    assert lines[0].startswith("error: ")
    return lines[0].removeprefix("error: ")


MINI = ("run", "mini", "--config", "tiny", "--device", "emulator")
RTL = ("run", "mini", "--config", "tiny")


def test_run_finds_no_mismatch_and_writes_json(command, tmp_path):
    path = tmp_path / "report.json"
    status, out, _ = command(*MINI, "--json", path)
    assert status == 0
    assert "10 layers, 0 mismatches" in out
    assert "random (He scaling, seed 0)" in out
    data = json.loads(path.read_text())
    assert [row["name"] for row in data["layers"]] == [
        *("conv1_1", "conv2_1", "conv2_2", "conv3_1", "fc4", "fc5", "fc6")
    ]
    assert data["device"] == "emulator"
    assert data["config"]["name"] == "tiny"
    assert data["layers"][0]["cycles"] > 0
    assert data["measured"] is False
    assert data["totals"]["macs"] == 891_696
    assert len(data["top"]) == 5


def test_sequential_run_gives_the_same(command, tmp_path):
    reports = []
    for extra in ((), ("--sequential",)):
        path = tmp_path / f"report{len(reports)}.json"
        status, *_ = command(*MINI, "--batch", 2, "--json", path, *extra)
        assert status == 0
        data = json.loads(path.read_text())
        for row in [*data["layers"], data["totals"], *map(data["totals"].get, GROUPS)]:
            del row["seconds"]
        del data["totals"]["wall_seconds"]
        reports.append(data)
    assert reports[0] == reports[1]


GROUPS = ("convolutions", "fully_connected")


def test_without_fused_pools_every_layer_is_compared(command, tmp_path):
    path = tmp_path / "report.json"
    status, out, _ = command(*MINI, "--no-fuse-pool", "--json", path)
    assert status == 0
    assert "10 layers, 0 mismatches" in out
    rows = json.loads(path.read_text())["layers"]
    assert [row["covers"] for row in rows] == [[row["name"]] for row in rows]
    assert len(rows) == 10


def test_some_layers_run_alone(command, tmp_path):
    path = tmp_path / "report.json"
    status, out, _ = command(*MINI, "--layers", "pool1,conv3_1..fc5", "--json", path)
    assert status == 0
    names = [row["name"] for row in json.loads(path.read_text())["layers"]]
    assert names == ["conv1_1", "conv3_1", "fc4", "fc5"]
    assert "top 5" not in out


def test_program_runs_from_its_file(command, tmp_path):
    path = tmp_path / "mini.program"
    status, out, _ = command("compile", "mini", "--config", "tiny", "--out", path)
    assert status == 0
    assert "for tiny" in out
    status, out, _ = command("run", "mini", "--device", "emulator", "--program", path)
    assert status == 0
    assert "on tiny" in out


def test_mismatches_end_in_status_1(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the first wrong layer is saved there
    path = tmp_path / "mini.program"
    assert command(*MINI, "--save-program", path)[0] == 0
    arguments = ("run", "mini", "--device", "emulator", "--program", path, "--seed", 1)
    status, out, err = command(*arguments)
    assert status == 1
    assert " 0 mismatches" not in out
    assert "may have been made with other weights, images, calibration or seed" in err
    assert "conv1_1.case: the wrong layer, saved" in err
    assert "first wrong layer: conv1_1, " in out
    # The program is right, with other weights: the emulator differs as the device does.
    status, out, _ = command("triage", "conv1_1.case", "--device", "emulator")
    assert status == 1
    assert "the emulator differs, too, in the same values: look at the program first" in out
    status, _, err = command("triage", "conv1_1.case", "--device", "emulator", "--waves")
    assert (status, err.count("\n")) == (2, 1)
    assert "--waves needs --device rtl" in err


def test_weights_file_is_used_and_named(command, tmp_path):
    graph, keys = build_network("mini"), torchvision_keys("mini")
    state = {}
    for name, layer in random_weights(graph, 9).items():
        state |= {f"{keys[name]}.weight": layer.weight, f"{keys[name]}.bias": layer.bias}
    path = tmp_path / "mini.safetensors"
    save_file(state, path)
    status, out, _ = command(*MINI, "--weights", path)
    assert status == 0
    assert f"weights: {path}" in out
    state["features.0.weight"] = state["features.0.weight"][:, :2].copy()
    save_file(state, path)
    error = refused(command, *MINI, "--weights", path)
    assert error.startswith(f"{path}: features.0.weight: shape must be (8, 3, 3, 3) in mini")
    path.write_bytes(b"no weights at all")
    assert "not a safetensors file, or damaged" in refused(command, *MINI, "--weights", path)
    assert "no such file" in refused(command, *MINI, "--weights", tmp_path / "none.safetensors")


def test_an_image_that_is_none_is_refused(command, tmp_path):
    path = tmp_path / "cat.jpg"
    path.write_bytes(b"meow")
    error = refused(command, *MINI, "--image", path)
    assert error == f"{path}: not an image that can be read (JPEG, PNG, ...)"
    assert "no such file" in refused(command, *MINI, "--image", tmp_path / "none.jpg")


def test_more_images_than_the_batch_are_refused(command, tmp_path):
    photographs = [tmp_path / "a.jpg", tmp_path / "b.jpg"]
    for photograph in photographs:
        photograph.touch()
    for images in (photographs, [tmp_path]):
        error = refused(command, *MINI, *(part for image in images for part in ("--image", image)))
        assert error == "--image names 2 files, but --batch is 1"


def test_a_folder_of_images_is_a_batch(command, tmp_path):
    for photograph in sample_images():
        shutil.copy(photograph, tmp_path)
    (tmp_path / ".DS_Store").write_bytes(b"no image")
    status, out, _ = command(*MINI, "--image", tmp_path, "--batch", 2, "--layers", "conv1_1")
    assert status == 0
    assert f"images: {tmp_path}/china.jpg, {tmp_path}/flower.jpg\n" in out


def test_a_configuration_that_cannot_be_is_refused(command, tmp_path):
    path = tmp_path / "odd.toml"
    fields = {"rows": 5, "cols": 7, "act_depth": 64, "weight_depth": 64, "param_depth": 14}
    fields |= {"acc_depth": 64, "post_lanes": 1, "bus_bytes": 8}
    path.write_text("".join(f"{name} = {value}\n" for name, value in fields.items()))
    error = refused(command, "run", "mini", "--config", path)
    assert error == f"{path}: cols must be a multiple or a divisor of rows, not 7 with 5 rows"
    path.write_text("rows = ")
    assert "not TOML" in refused(command, "run", "mini", "--config", path)
    assert "config must be one of tiny, default" in refused(command, "run", "--config", "giant")


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("fc5..conv1_1", "--layers: fc5 comes after conv1_1; swap them"),
        ("conv1_1..fc4..fc5", "--layers: a range must be first..last, not 'conv1_1..fc4..fc5'"),
    ],
)
def test_ranges_that_are_none_are_refused(command, layers, message):
    assert refused(command, *MINI, "--layers", layers).startswith(message)


@pytest.mark.parametrize(
    ("option", "name", "unknown"),
    [
        ("--layers", "conv9_9", "conv9_9"),
        ("--layers", "conv1_1..", ""),
        ("--layers", "conv1_1,fc4..relu4", "relu4"),
        ("--waves", "conv9_9", "conv9_9"),
    ],
)
def test_unknown_layers_are_refused_before_quantisation(
    command, monkeypatch, option, name, unknown
):
    monkeypatch.setattr("systolith_host.flow.run.prepare_program", None)
    line = f"--layers: mini has no layer {unknown!r}; it has conv1_1, pool1, conv2_1, conv2_2, "
    assert refused(command, *RTL, option, name).startswith(line)


def test_a_program_for_something_else_is_refused(command, tmp_path):
    path = tmp_path / "mini.program"
    assert command("compile", "mini", "--config", "tiny", "--out", path)[0] == 0
    run = ("run", "mini", "--device", "emulator", "--program", path)
    error = refused(command, *run, "--config", "default")
    assert error.startswith(f"{path}: was compiled for configuration tiny (")
    assert error.endswith("; compile it again")
    assert "for a batch of 1; run it with --batch 1" in refused(command, *run, "--batch", 2)
    error = refused(command, "run", "vgg16", "--device", "emulator", "--program", path)
    assert error == f"{path}: is a program of mini, not vgg16"
    path.write_bytes(path.read_bytes()[:-10])
    assert "is damaged" in refused(command, *run)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "alexnet"), "network must be one of vgg11, "),
        (
            ("run", "mini", "--device", "board"),
            "--device must be rtl, model, emulator, litex://HOST:PORT or pynq:FILE.bit",
        ),
        (("run", "mini", "--device", "litex://a:b"), "--device: port must be a number"),
        (("run", "mini", "--device", "litex://a"), "--device litex needs --board DIR"),
        (("run", "mini", "--device", "litex://a", "--board", "/none"), "--board: /none cannot be"),
        (("run", "mini", "--board", "/none"), "--board needs --device litex://HOST:PORT"),
        (("run", "mini", "--batch", "0"), "Invalid value for '--batch'"),
        (("run", "mini", "--batch", "x"), "Invalid value for '--batch'"),
        (("run", "mini", "--nonsense"), "No such option: --nonsense"),
        (("walk",), "No such command 'walk'"),
        (("compile", "mini"), "compile needs --out FILE for the program, or --explain LAYER"),
        (("compile", "mini", "--out", "x", "--json", "y"), "--json is for the explanation"),
        ((*MINI, "--waves", "fc4"), "--waves needs --device rtl"),
        (
            ("run", "mini", "--config", "tiny", "--layers", "fc5", "--waves", "fc4"),
            "--waves: fc4 is not among the --layers that run",
        ),
        ((*MINI, "--sequential", "--scheduler", "tcp://a:1"), "--scheduler spreads layers, "),
        ((*MINI, "--json", "/nonexistent/report.json"), "/nonexistent/report.json: cannot be"),
        ((*MINI, "--save-program", "/nonexistent/p"), "/nonexistent/p: cannot be written"),
        (("generate", "--config", "none", "--out", "x"), "config must be one of tiny"),
    ],
)
def test_misuse_is_one_line_and_status_2(command, arguments, message):
    assert refused(command, *arguments).startswith(message)


def test_a_network_too_large_for_the_address_space_is_refused(command, tmp_path):
    path = tmp_path / "narrow.toml"
    fields = {"rows": 4, "cols": 4, "act_depth": 2048, "weight_depth": 512, "param_depth": 64}
    fields |= {"acc_depth": 64, "post_lanes": 2, "bus_bytes": 8, "addr_width": 16}
    fields |= {"burst_beats": 16}
    path.write_text("".join(f"{name} = {value}\n" for name, value in fields.items()))
    error = refused(command, "run", "mini", "--config", path, "--batch", 8)
    assert "addr_width" in error


def test_info_and_configs_list_what_there_is(command):
    status, out, _ = command("info")
    assert status == 0
    assert "15,237,608" in out
    assert "138,344,128" in out
    status, out, _ = command("configs")
    assert status == 0
    for name in PRESETS:
        assert name in out


@pytest.mark.parametrize("arguments", [("--help",), ("run", "--help"), ("generate", "--help")])
def test_help_explains(command, arguments):
    status, out, _ = command(*arguments)
    assert status == 0
    assert "Usage: systolith" in out


def test_generate_writes_verilog_and_facts(command, tmp_path):
    status, out, _ = command("generate", "--config", "tiny", "--out", tmp_path / "rtl")
    assert status == 0
    assert "accelerator.v" in out
    facts = json.loads((tmp_path / "rtl" / "accelerator.json").read_text())
    assert facts["multipliers"] == 16
    assert "module accelerator" in (tmp_path / "rtl" / "accelerator.v").read_text()


def test_installed_command_starts():
    code = "from systolith_host.cli.app import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "run", "nothing"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: network must be one of")


@pytest.mark.rtl
def test_rtl_run_equals_the_golden_model(command, tmp_path):
    reports = []
    for extra in ((), ("--sequential",)):
        path = tmp_path / f"report{len(reports)}.json"
        status, out, _ = command("run", "mini", "--config", "tiny", "--json", path, *extra)
        assert status == 0
        assert "10 layers, 0 mismatches" in out
        reports.append(json.loads(path.read_text()))
    for side_by_side, in_sequence in zip(*(data["layers"] for data in reports), strict=True):
        stalls = sum(side_by_side["stalls"].values())
        assert stalls + side_by_side["busy_cycles"] == side_by_side["cycles"]
        for name in ("cycles", "bytes_read", "bytes_written", "stalls"):
            assert side_by_side[name] == in_sequence[name], (side_by_side["name"], name)
    assert np.isclose(reports[0]["totals"]["bound_share"], 0.86, atol=0.1)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_termination_stops_what_was_started(tmp_path, number, status):
    text = """
from pathlib import Path
from threading import Event
from systolith_host.cli import app as cli
from systolith_host.fpga.tools import run_tool
class Asked(Event):
    def is_set(self):  # first when the tool is known and would be stopped
        Path("watched").touch()
        return super().is_set()
tool = ["sh", "-c", "echo $$ > pid.part; mv pid.part pid; sleep 300"]
cli.app = lambda **options: run_tool(tool, Path(), Path("log"), 300, Asked())
cli.main()
"""
    process = subprocess.Popen([sys.executable, "-c", text], cwd=tmp_path)
    end = time.monotonic() + 60
    while not all((tmp_path / name).exists() for name in ("pid", "watched")):
        assert time.monotonic() < end
        time.sleep(0.05)
    tool = int((tmp_path / "pid").read_text())
    os.kill(tool, 0)
    process.send_signal(number)
    assert process.wait(60) == status
    with pytest.raises(ProcessLookupError):
        os.kill(tool, 0)
