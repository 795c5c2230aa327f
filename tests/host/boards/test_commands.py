"""Commands for boards: programming with a stand-in for openFPGALoader, and misuse."""

import json
import os
import sys
from pathlib import Path

import pytest
import typer

from systolith_host.boards import build as boards_build
from systolith_host.boards.board import load_board
from systolith_host.boards.report import BuildReport, network_speed
from systolith_host.cli.board import build as build_command
from systolith_host.cli.board import program
from systolith_host.errors import SystolithError
from systolith_host.fpga.parts import load_part
from systolith_host.fpga.place import Attempt, Clock
from systolith_host.runtime.litex.system import FILE_NAME
from systolith_hw.spec.presets import PRESETS

FIELDS = {
    "target": "ulx3s-85f",
    "magic": 1,
    "build": "0123456789abcdef",
    "fingerprint": "0x0",
    "system_hz": 50e6,
    "accelerator_hz": 60e6,
    "memory_base": 0x40000000,
    "memory_bytes": 32 << 20,
    "native_bytes": 2,
    "register_base": 0x80000000,
    "memory_type": "SDR",
    "memory_mb_s": 100.0,
    "memory_phases": 1,
    "memory_lanes": 2,
    "memory_init": [],
    "read_timing": None,
    "csr": {},
}

LOADER = f"""#!{sys.executable}
import sys
from pathlib import Path
Path("called").write_text(" ".join(sys.argv[1:]))
if Path("broken").exists():
    print("unable to open ftdi device: -3 (device not found)")
    sys.exit(1)
"""


@pytest.fixture
def build(tmp_path, monkeypatch):
    tools = tmp_path / "bin"
    tools.mkdir()
    loader = tools / "openfpgaloader-cli"
    loader.write_text(LOADER)
    loader.chmod(0o755)
    monkeypatch.setenv("PATH", str(tools))
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / FILE_NAME).write_text(json.dumps(FIELDS))
    (folder / "system.bit").write_bytes(b"bits")
    return folder


@pytest.mark.parametrize(("flash", "option"), [(False, ""), (True, "-f ")])
def test_the_boards_own_bitstream_is_loaded(build, capsys, flash, option):
    program(build, flash=flash)
    assert (build / "called").read_text() == f"-b ulx3s {option}{build / 'system.bit'}"
    assert "Radiona ULX3S 85F holds" in capsys.readouterr().out


def test_a_bitstream_that_misses_a_clock_is_loaded_with_a_warning(build, capsys):
    for met in (True, False):
        (build / "report.json").write_text(json.dumps({"met": met}))
        program(build, flash=False)
        output = capsys.readouterr()
        assert "holds" in output.out
        assert ("warning: " in output.err and "a clock is missed" in output.err) is not met


def test_what_the_loader_lacks_is_named(build):
    loader = Path(os.environ["PATH"]) / "openfpgaloader-cli"
    loader.write_text(
        f"#!{sys.executable}\n"
        "print('libftdi1.so.2: cannot open shared object file: No such file')\n"
        "raise SystemExit(1)\n"
    )
    with pytest.raises(SystolithError, match=r"No such file; apt-get install libusb-1.0-0 "):
        program(build, flash=False)


def test_a_board_that_is_not_there_is_one_line(build):
    (build / "broken").touch()
    with pytest.raises(
        SystolithError,
        match=r"^openFPGALoader failed: unable to open ftdi device: -3 \(device not found\) \(all",
    ):
        program(build, flash=False)


def test_what_cannot_be_loaded_is_refused(build):
    (build / "system.bit").unlink()
    with pytest.raises(SystolithError, match=r"system.bit is missing; run `systolith build "):
        program(build, flash=False)
    (build / FILE_NAME).write_text(json.dumps(FIELDS | {"target": "simulation"}))
    with pytest.raises(SystolithError, match=r"^board must be one of ulx3s-85f, ecpix5-85f, color"):
        program(build, flash=False)
    (build / FILE_NAME).unlink()
    with pytest.raises(SystolithError, match=r"^--board: \S+ cannot be read"):
        program(build, flash=False)


def test_an_address_that_is_none_is_refused_before_anything_else(tmp_path):
    with pytest.raises(
        SystolithError, match=r"^--ip must be an address such as 192.168.1.50, not 'board.local'$"
    ):
        build_command("ecpix5-85f", tmp_path / "out", link="ethernet", ip="board.local")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("met", [True, False])
def test_a_missed_clock_is_exit_status_1_and_its_report_is_kept(tmp_path, monkeypatch, capsys, met):
    clock = Clock("accel_clk", 50.0 if met else 49.9, (), 20.0, 2.0, 50.0)
    best = Attempt(1, "router1", 30.0, "routed", (clock,), {}, Path("seed1-router1.config"))
    board = load_board("ulx3s-85f")
    report = BuildReport(
        config=PRESETS["tiny"],
        board=board,
        part=load_part(board.part),
        mhz=50.0,
        build="0123456789abcdef",
        need={"LUT": 100},
        synthesis_seconds=5.0,
        attempts=(best,),
        best=best,
        speed=network_speed("mini", PRESETS["tiny"], board, 50.0),
    )
    monkeypatch.setattr(boards_build, "build_bitstream", lambda *arguments, **more: report)
    if met:
        build_command("ulx3s-85f", tmp_path, config="tiny")
    else:
        with pytest.raises(typer.Exit) as ended:
            build_command("ulx3s-85f", tmp_path, config="tiny")
        assert ended.value.exit_code == 1
    assert json.loads((tmp_path / "report.json").read_text())["met"] is met
    assert ("a clock is MISSED" in capsys.readouterr().out) is not met


def test_the_seeds_begin_where_they_are_told_to(tmp_path, monkeypatch):
    def stop(config, board, folder, options, **more):
        raise SystolithError(f"seeds {list(options.seeds)}")

    monkeypatch.setattr(boards_build, "build_bitstream", stop)
    with pytest.raises(SystolithError, match=r"^seeds \[4, 5\]$"):
        build_command("ulx3s-85f", tmp_path, config="tiny", seeds=2, first_seed=4)
