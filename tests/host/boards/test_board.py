"""Boards: the designs that fit them, and the refusals and reports of a build."""

import dataclasses
import json
from pathlib import Path

import pytest
from rich.console import Console

from systolith_host.boards import build
from systolith_host.boards.board import BOARDS, check_bus, load_board
from systolith_host.boards.build import BuildOptions, build_bitstream
from systolith_host.boards.report import BuildReport, check_memory, network_speed
from systolith_host.cli.views.board import build_table
from systolith_host.cost.estimate import estimate_network
from systolith_host.errors import SystolithError
from systolith_host.flow.report import SCHEMA
from systolith_host.flow.saved import read_run
from systolith_host.fpga import tools
from systolith_host.fpga.estimate import counted
from systolith_host.fpga.parts import check_fits, load_part
from systolith_host.fpga.place import Attempt, Clock
from systolith_host.fpga.synthesis import Netlist
from systolith_host.runtime.litex.system import System
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import PRESETS, load_config
from systolith_sim.testing.configs import small_config

ULX3S = load_board("ulx3s-85f")


def make(config, board, folder):
    options = BuildOptions(mhz=50, seeds=[1], jobs=1, limit=60)
    return build_bitstream(
        config,
        load_board(board),
        folder,
        options,
        stage=lambda text: None,
        update=lambda what, done, total: None,
        ended=lambda attempt: None,
    )


def test_every_board_has_a_part():
    sizes = {board.name: load_part(board.part).resources["DSP"] for board in BOARDS.values()}
    assert sizes == {"ulx3s-85f": 156, "ecpix5-85f": 156, "colorlight-i9": 72}
    with pytest.raises(
        SystolithError, match=r"^board must be one of ulx3s-85f, ecpix5-85f, colorlight-i9, not "
    ):
        load_board("icebreaker")


def test_ethernet_is_for_boards_that_have_it():
    board = load_board("ecpix5-85f", "ethernet")
    assert (board.link, board.system_mhz, board.memory_rate) == ("ethernet", 50.0, 400.0)
    with pytest.raises(
        SystolithError, match=r"^--link: Radiona ULX3S 85F has no Ethernet; build with --link ser"
    ):
        load_board("ulx3s-85f", "ethernet")
    with pytest.raises(SystolithError, match=r"^--link must be one of serial, ethernet, not 'usb'"):
        load_board("ulx3s-85f", "usb")


def test_a_burst_that_the_memory_port_cannot_take_is_refused():
    config = small_config(bus_bytes=16, burst_beats=64, out_depth=512)
    check_bus(config, 16, "Board")
    with pytest.raises(
        SystolithError,
        match=r"^4x4: burst_beats must be at most 32 on Board: cut to 2 bytes, a burst may have "
        r"256 beats, not 512$",
    ):
        check_bus(config, 2, "Board")


def test_a_system_that_is_not_measured_is_no_system_of_nothing():
    board = dataclasses.replace(ULX3S, systems={})
    with pytest.raises(
        SystolithError,
        match=r"^ulx3s-85f: the resources of its system with --link serial are not measured; .* "
        r"--part lfe5u-85f-6$",
    ):
        _ = board.system


CONFIGS = Path(__file__).parents[3] / "configs"


@pytest.mark.parametrize("name", BOARDS)
def test_the_configuration_for_the_part_fits_the_part_and_the_boards_bus(name):
    board = BOARDS[name]
    whole = {"lfe5u-45f-6": str(CONFIGS / "ecp5-45f.toml")}
    config = load_config(whole.get(board.part, "ecp5-85f"))
    check_bus(config, board.native_bytes, board.title)
    check_fits(config.name, counted(config), load_part(board.part))


def test_missing_tools_are_named_with_what_installs_them(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(tools, "_CHECKOUT", tmp_path)
    monkeypatch.setattr(tools.sys, "executable", str(tmp_path / "python"))
    with pytest.raises(SystolithError, match=r"is not installed: run `make fpga-setup`, or pip "):
        make(PRESETS["tiny"], "ulx3s-85f", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_array_larger_than_the_part_is_refused_before_any_tool_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "find_tool", lambda name: name)
    with pytest.raises(
        SystolithError,
        match=r"^large-direct does not fit lfe5u-85f-6: 1,056 DSP needed, 156 there; "
        r"560 block RAM needed, 208 there$",
    ):
        make(PRESETS["large-direct"], "ulx3s-85f", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_so_are_buffers_larger_than_the_part(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "find_tool", lambda name: name)
    config = dataclasses.replace(PRESETS["ecp5-85f"], act_depth=65536)
    with pytest.raises(
        SystolithError,
        match=r"^ecp5-85f does not fit lfe5u-85f-6: \d+ block RAM needed, 208 there$",
    ):
        make(config, "ulx3s-85f", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_an_earlier_build_left_is_gone_when_a_build_fails(tmp_path, monkeypatch):
    def fail(job):
        raise SystolithError("LiteX failed")

    monkeypatch.setattr(build, "find_tool", lambda name: name)
    monkeypatch.setattr(build, "make_system", fail)
    for name in ("system.bit", "report.json"):
        (tmp_path / name).touch()
    with pytest.raises(SystolithError, match=r"^LiteX failed$"):
        make(small_config(), "ulx3s-85f", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_system_larger_than_the_part_is_refused_before_placement(tmp_path, monkeypatch):
    cells = {"LUT4": 90_000, "TRELLIS_FF": 10, "MULT18X18D": 20, "DP16KD": 300}
    netlist = Netlist(tmp_path / "n.json", cells, 1.0)
    monkeypatch.setattr(build, "find_tool", lambda name: name)
    monkeypatch.setattr(build, "make_system", lambda job: None)
    monkeypatch.setattr(build, "synthesise", lambda *arguments: netlist)
    with pytest.raises(
        SystolithError,
        match=r"^4x4 with its system does not fit lfe5u-85f-6: 90,000 LUT needed, 83,640 "
        r"there; 300 block RAM needed, 208 there$",
    ):
        make(small_config(), "ulx3s-85f", tmp_path / "out")


def example(reached):
    clocks = (
        Clock("accel_clk", reached, ("accelerator.a", "accelerator.b"), 10.0, 2.0, 50.0),
        Clock("sys_clk", 70.0, (), 0.0, 0.0, 50.0),
    )
    limited = Attempt(1, "router1", 60.0, "limit", (), {}, Path("seed1-router1.config"))
    routed = Attempt(1, "router2", 30.0, "routed", clocks, {}, Path("seed1-router2.config"))
    need = {"LUT": 100, "FF": 50, "DSP": 16, "block RAM": 3}
    return BuildReport(
        config=PRESETS["tiny"],
        board=ULX3S,
        part=load_part(ULX3S.part),
        mhz=50.0,
        build="0123456789abcdef",
        need=need,
        synthesis_seconds=5.0,
        attempts=(limited, routed),
        best=routed,
        speed=network_speed("mini", PRESETS["tiny"], ULX3S, 50.0),
    )


@pytest.mark.parametrize(("reached", "met"), [(50.0, True), (49.9, False)])
def test_a_report_says_whether_every_clock_is_met(tmp_path, reached, met):
    report = example(reached)
    report.save(tmp_path / "report.json")
    saved = json.loads((tmp_path / "report.json").read_text())
    assert (saved["met"], saved["build"]) == (met, "0123456789abcdef")
    assert saved["resources"]["DSP"] == {"used": 16, "available": 156, "left": 140}
    assert [clock["wanted"] for clock in saved["clocks"]] == [50.0, 50.0]
    assert saved["speed"]["memory_rate"] == 100.0
    assert saved["speed"]["read_rate"] == pytest.approx(96.1)
    console = Console(width=150, record=True, file=(tmp_path / "out").open("w"))
    console.print(build_table(report))
    console.file.close()
    lines = console.export_text().splitlines()
    assert "accelerator.a > accelerator.b" in "\n".join(lines)
    assert lines[-1].endswith("every clock met" if met else "a clock is MISSED")


def test_a_network_takes_the_cycles_that_estimate_prints():
    speed = network_speed("mini", PRESETS["tiny"], ULX3S, 50.0)
    memory = Memory(bytes_per_cycle=ULX3S.read_rate / 50.0)
    groups = estimate_network("mini", PRESETS["tiny"], memory).groups
    assert (speed.cycles, speed.convolution_cycles) == (
        groups["all"].cycles,
        groups["convolutions"].cycles,
    )


def test_a_slow_memory_costs_a_network_cycles():
    fast = dataclasses.replace(ULX3S, cycle_bytes=32)
    slow = network_speed("mini", PRESETS["tiny"], ULX3S, 100.0)
    free = network_speed("mini", PRESETS["tiny"], fast, 100.0)
    assert free.cycles == free.unlimited_cycles == slow.unlimited_cycles < slow.cycles
    assert slow.frames == pytest.approx(100e6 / slow.cycles)
    assert slow.convolution_cycles < slow.cycles


def test_a_damaged_description_is_one_line(tmp_path):
    file = tmp_path / "system.json"
    with pytest.raises(
        SystolithError, match=r"system.json cannot be read \(No such file .*\); name the folder"
    ):
        System.load(tmp_path)
    for text in ("{", "[]", '{"build": "x"}', '{"build": "1"}'):
        file.write_text(text)
        with pytest.raises(SystolithError, match=r"is not a system.json of a build"):
            System.load(file)


def run_file(path, **changes):
    """Write a run of VGG-16 on `tiny` with a memory of two bytes per cycle."""
    totals = {"cycles": 1000, "convolutions": {"cycles": 800}, "mismatches": 0}
    totals |= {"bytes_read": 400, "bytes_written": 100}
    fields = {
        "network": "vgg16",
        "config": PRESETS["tiny"].to_dict(),
        "device": "rtl (verilator)",
        "batch": 1,
        "complete": True,
        "totals": totals,
        "layers": [{"name": "conv1_1", "cycles": 1000}],
        "schema": SCHEMA,
        "measured": True,
        "memory": {"name": "simulated", **Memory(bytes_per_cycle=2).to_dict(4)},
    }
    path.write_text(json.dumps(fields | changes))
    return path


def test_a_report_goes_by_the_cycles_that_were_measured(tmp_path):
    run = read_run(run_file(tmp_path / "run.json"), "vgg16", PRESETS["tiny"])
    check_memory(run, ULX3S, 48.0)
    speed = network_speed("mini", PRESETS["tiny"], ULX3S, 48.0, run)
    assert (speed.cycles, speed.convolution_cycles) == (1000, 800)
    assert (speed.frames, speed.convolution_frames) == (48_000.0, 60_000.0)
    assert speed.source == (
        "rtl (verilator), simulated memory: 2 bytes per cycle, latency 40 cycles"
    )
    modelled = network_speed("mini", PRESETS["tiny"], ULX3S, 48.0)
    assert modelled.source == "the performance model, 2.002 bytes per cycle"
    assert modelled.needed_rate == speed.needed_rate


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"network": "vgg11"}, r"is of vgg11, batch 1, not of vgg16, batch 1$"),
        ({"batch": 2}, r"is of vgg16, batch 2, not of vgg16, batch 1$"),
        ({"config": {"rows": 8}}, r"ran on None, whose rows is 8, not 4; give its --config$"),
        ({"complete": False}, r"is not of the whole network; run all its layers$"),
        (
            {"totals": {}},
            r"is not a report of `systolith run --device rtl --json` \('mismatches'\)$",
        ),
        (
            {"memory": None},
            r"is not a report of .* \(rtl \(verilator\) does not know its memory\)$",
        ),
        ({"totals": {"mismatches": None}}, r".*\(it was not compared with the golden model\)$"),
        ({"schema": 0}, r"is not a report of .* \(its form is 0, not 1: run it again\)$"),
        ({"measured": False}, r".*\(rtl \(verilator\) models cycles, it does not measure them\)$"),
    ],
)
def test_a_run_of_something_else_is_refused(tmp_path, changes, reason):
    path = run_file(tmp_path / "run.json", **changes)
    with pytest.raises(SystolithError, match=r"^--measured: \S+run\.json:? " + reason):
        read_run(path, "vgg16", PRESETS["tiny"])


def test_wrong_values_and_a_memory_that_is_too_fast_are_refused(tmp_path):
    path = run_file(tmp_path / "run.json")
    run = read_run(path, "vgg16", PRESETS["tiny"])
    with pytest.raises(
        SystolithError,
        match=r"ran with 2 bytes per cycle; at 80 MHz Radiona ULX3S 85F gives 1\.2: run with "
        r"--bandwidth 1\.2 or less$",
    ):
        check_memory(run, ULX3S, 80.0)
    fields = json.loads(path.read_text())
    fields["totals"]["mismatches"] = 3
    path.write_text(json.dumps(fields))
    with pytest.raises(SystolithError, match=r"run\.json: 3 of its values are wrong$"):
        read_run(path, "vgg16", PRESETS["tiny"])
