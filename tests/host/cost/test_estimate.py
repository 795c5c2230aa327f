"""Estimates: the numbers of shapes alone are those of the model and of the RTL, to the cycle."""

import json
import random
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest

from systolith_host.cli import app as cli
from systolith_host.compiler import compile_network
from systolith_host.cost.estimate import estimate_network, estimate_program
from systolith_host.errors import SystolithError
from systolith_host.flow.load import shape_network
from systolith_host.flow.log import SilentLog
from systolith_host.flow.run import Request, run
from systolith_host.frontend.onnx import inspect_onnx
from systolith_host.lab.fuzz.graphs.graph import random_onnx
from systolith_host.quantize.calibrate import calibrate
from systolith_host.quantize.quantize import quantize
from systolith_host.runtime.choose import DeviceOptions
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import PRESETS

TINY = PRESETS["tiny"]
WINOGRAD = replace(TINY, name="tiny-winograd", acc_depth=256, acc_width=30, winograd=6)

COUNTED = ("name", "kind", "cycles", "bytes_read", "bytes_written", "states", "bound_cycles")


def counted(report):
    return [{name: getattr(row, name) for name in COUNTED} for row in report.layers]


@pytest.mark.rtl
@pytest.mark.parametrize(
    "memory", [Memory(), Memory(bytes_per_cycle=3, latency=70, turnaround=6)], ids=["bus", "slow"]
)
@pytest.mark.parametrize("config", [TINY, WINOGRAD], ids=lambda config: config.name)
def test_estimate_model_emulator_and_rtl_have_the_same_numbers(config, memory):
    wanted = counted(estimate_network("mini", config, memory))
    assert len(wanted) == 7
    for device in ("rtl", "model", "emulator"):
        request = Request(
            network="mini",
            config=config,
            device=device,
            options=DeviceOptions(memory=memory),
        )
        report = run(request, SilentLog()).report
        assert counted(report) == wanted, device
        assert report.groups["all"].mismatches == 0


def test_what_calibration_gives_changes_no_number(tmp_path):
    rng = random.Random(20)
    path = tmp_path / "net.onnx"
    done = 0
    while done < 12:
        model = random_onnx(rng)
        onnx.save(model, path)
        read, _ = inspect_onnx(path)
        if read is None or read.scales:
            continue
        shape = read.graph.shapes[read.graph.input]
        images = np.random.default_rng(done).standard_normal((3, *shape), np.float32)
        calibration = calibrate(read.graph, read.weights, images)
        try:
            program = compile_network(
                quantize(read.graph, read.weights, calibration, 16), PRESETS["tiny"]
            )
        except SystolithError:  # refused by name
            continue
        real = estimate_program(program, Memory())
        assert counted(estimate_network(str(path), PRESETS["tiny"])) == counted(real)
        done += 1


def test_a_batch_a_clock_and_pools_of_their_own():
    report = estimate_network("mini", PRESETS["tiny"], batch=2, fuse_pool=False, clock_mhz=50.0)
    assert len(report.layers) == 10
    cycles = report.groups["all"].cycles
    assert cycles is not None
    assert report.frames_per_second == pytest.approx(2 * 50e6 / cycles)
    assert report.groups["all"].mismatches is None


def test_progress_ends_with_all_of_it():
    log = Log()
    estimate_network(shape_network("mini"), PRESETS["tiny"], log=log)
    assert log.stages == ["compiling", "replaying"]
    assert log.last[1] == log.last[2] > 0


class Log(SilentLog):
    """Keeps the stages and what was told last."""

    def __init__(self):
        self.stages, self.last = [], ("", 0.0, 1.0)

    def stage(self, name):
        self.stages.append(name)

    def update(self, what, done, total):
        self.last = (what, done, total)


def test_the_command_prints_the_table_and_saves_it(monkeypatch, capsys, tmp_path):
    path = tmp_path / "e.json"
    arguments = ["estimate", "mini", "--config", "tiny", "--json", str(path)]
    monkeypatch.setattr(sys, "argv", ["systolith", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert "conv1_1 + pool1" in capsys.readouterr().out
    data = json.loads(path.read_text())
    assert (data["device"], data["measured"]) == ("estimate", False)
    assert data["totals"]["mismatches"] is None
