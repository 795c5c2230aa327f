"""The cache of simulators."""

import subprocess
import sys
from pathlib import Path

import pytest

from systolith_sim.rtl import build as module
from systolith_sim.rtl.build import Build, SimulatorError, build, cache_folder
from systolith_sim.rtl.testbench import Port, Testbench

PORTS = (Port("clk", 1, False), Port("count", 8, True))
SOURCE = "module tb_top (input wire clk, output reg [7:0] count);\n{}endmodule\n"


def bench(body: str = "") -> Testbench:
    return Testbench("tb_top", {"tb_top.v": SOURCE.format(body)}, PORTS)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SYSTOLITH_CACHE", str(tmp_path / "a cache"))
    return tmp_path / "a cache"


def test_ports_are_declared_with_their_widths():
    assert Port("count", 8, True).declaration == "output wire [7:0] count"
    assert Port("clk", 1, False).declaration == "input wire clk"


def test_cache_is_where_the_environment_says(cache: Path, monkeypatch: pytest.MonkeyPatch):
    assert cache_folder() == cache
    monkeypatch.delenv("SYSTOLITH_CACHE")
    assert cache_folder().parts[-2:] == ("build", "simulators")


@pytest.mark.rtl
def test_same_sources_are_built_once(cache: Path):
    told: list[str] = []
    first = build(bench(), "icarus", progress=told.append)
    assert told == ["Icarus: compiling"]
    assert build(bench(), "icarus", progress=told.append) == first
    assert len(told) == 1
    other = build(bench("  // other\n"), "icarus", progress=told.append)
    assert other != first
    assert len(told) == 2
    assert isinstance(first, Build)
    assert Path(first.command[-1]).is_relative_to(cache)


@pytest.mark.rtl
@pytest.mark.parametrize("damage", ["cut", "empty", "missing", "unfinished"])
def test_a_damaged_simulator_is_built_again(damage: str):
    program = Path(build(bench(), "icarus").command[-1])
    whole = program.read_bytes()
    if damage == "missing":
        program.unlink()
    elif damage == "unfinished":
        (program.parent / "done").unlink()
    else:
        program.write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"")
    told: list[str] = []
    build(bench(), "icarus", progress=told.append)
    assert told == ["Icarus: compiling"]
    assert len(program.read_bytes()) == len(whole)


@pytest.mark.rtl
def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SYSTOLITH_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(
        SimulatorError,
        match=r"/file/cache: simulators cannot be kept there: Not a directory; "
        r"set SYSTOLITH_CACHE to another folder$",
    ):
        build(bench(), "icarus")


BUILDER = """
from systolith_sim.rtl.build import build
from systolith_sim.rtl.testbench import Testbench
build(Testbench("tb_top", {{"tb_top.v": {source!r}}}, ()), "icarus", progress=print)
"""


@pytest.mark.rtl
def test_processes_that_want_the_same_build_it_once():
    command = [sys.executable, "-c", BUILDER.format(source=SOURCE.format(""))]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    told = [process.communicate(timeout=60)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert sorted(told) == ["", "", "Icarus: compiling\n"]


@pytest.mark.rtl
@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
def test_refused_verilog_is_one_line(simulator: str, cache: Path):
    with pytest.raises(
        SimulatorError, match=r"^(Verilator|iverilog) failed: .*tb_top.v.*"
    ) as caught:
        build(bench("  garbage here\n"), simulator)
    assert "\n" not in str(caught.value)
    assert not list(cache.glob("*/done"))


def test_missing_tool_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    module._tool_version.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SimulatorError, match=r"^iverilog is missing; install it$"):
        build(bench(), "icarus")


def test_unknown_simulator_is_refused():
    with pytest.raises(SimulatorError, match=r"^simulator must be verilator or icarus, not 'vcs'$"):
        build(bench(), "vcs")
