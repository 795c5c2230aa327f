"""The command `systolith design`."""

import csv
import dataclasses

import pytest
from typer.testing import CliRunner

from systolith_host.boards.board import BOARDS
from systolith_host.cli.app import app
from systolith_host.explore.results import read_results
from systolith_hw.spec.presets import load_config


@pytest.fixture
def command(tmp_path):
    def run(*arguments):
        options = ["--workers", "1", "--out", str(tmp_path / "found"), "--points", "12"]
        return CliRunner().invoke(app, ["design", "mini", *options, *map(str, arguments)])

    return run


def test_the_best_of_a_board_is_a_configuration_to_build(command, tmp_path):
    found = command("--board", "ecpix5-85f", "--clock", "125")
    assert found.exit_code == 0, found.output
    assert "mini, batch 1, on ecpix5-85f: 125 MHz (wanted, not yet placed), 3.662" in found.output
    path = tmp_path / "found" / "mini-ecpix5-85f.toml"
    config = load_config(str(path))
    assert f"systolith build --board ecpix5-85f --config {path} --clock 125" in found.output
    experiment, results = read_results(tmp_path / "found" / "points.csv")
    good = [one for one in results if not one.reason]
    best = min((one for one in good if one.exact), key=lambda one: one.costs)
    assert experiment is not None
    assert len(good) == 12
    assert (config.rows, config.cols) == (best.values["rows"], best.values["cols"])
    assert config.winograd == best.values["winograd"]
    # The search begins at the preset, so the best is no slower.
    share = found.output.split("the best one takes ")[1].split()[0]
    assert float(share) <= 1
    again = command("--board", "ecpix5-85f", "--clock", "125")
    assert again.exit_code == 0, again.output
    assert len(read_results(tmp_path / "found" / "points.csv")[1]) == len(results)


def test_a_network_that_the_boards_memory_does_not_hold_is_told(command, monkeypatch):
    small = dataclasses.replace(BOARDS["ulx3s-85f"], memory_bytes=1 << 14)
    monkeypatch.setitem(BOARDS, "ulx3s-85f", small)
    found = command("--board", "ulx3s-85f")
    assert found.exit_code == 0, found.output
    assert "Radiona ULX3S 85F has 0 MB: it does not run there as a whole" in found.output


def test_an_fpga_alone_needs_a_memory(command, tmp_path, undrawn):
    picture = ("--picture", tmp_path / "front.svg", "--width", 90)
    found = command("--part", "lfe5u-25f-6", "--bandwidth", "2", "--by", "traffic", *picture)
    assert found.exit_code == 0, found.output
    assert undrawn == [(".svg", 90, 8)]
    rows = list(csv.DictReader((tmp_path / "front.csv").read_text().splitlines()))
    _, results = read_results(tmp_path / "found" / "points.csv")
    assert len(rows) == sum(not one.reason for one in results)
    # The best ones are replayed, the others estimated.
    assert sum(row["source"] == "exact" for row in rows) == 6
    assert "ecp5-85f-winograd is no choice there: " in found.output  # it is too large
    assert "systolith build" not in found.output


def test_the_best_runs_in_the_rtl(command):
    small = ("--config", "tiny", "--max-dsp", "18")
    found = command("--part", "lfe5u-25f-6", "--bandwidth", "4", *small, "--confirm")
    assert found.exit_code == 0, found.output
    rows = [line.split() for line in found.output.splitlines() if " all " in line]
    assert rows[-1][-1] == "equal"
    assert rows[-1][-4] == rows[-1][-3]  # replay and RTL


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((), "give either --board NAME, or --part NAME and --bandwidth BYTES"),
        (("--board", "ecpix5-85f", "--part", "lfe5u-85f-6"), "give either --board NAME"),
        (("--board", "none"), "board must be one of ulx3s-85f, ecpix5-85f"),
        (("--board", "ulx3s-85f", "--link", "ethernet"), "Radiona ULX3S 85F has no Ethernet"),
        (("--board", "ulx3s-85f", "--bandwidth", "4"), "a board's memory is known"),
        (("--part", "lfe5u-85f-6"), "--part needs --bandwidth"),
        (("--part", "lfe5u-1", "--bandwidth", "4"), "part must be one of lfe5u-85f-6"),
        (("--part", "lfe5u-85f-6", "--bandwidth", "nan"), "--part needs --bandwidth"),
        (("--part", "lfe5u-85f-6", "--bandwidth", "400"), "change --bandwidth or --clock"),
        (("--board", "ulx3s-85f", "--by", "joules"), "--by must be one of frames, traffic"),
        (("--board", "ulx3s-85f", "--density", "0.1", "--confirm"), "--confirm runs on tensors"),
        (("--board", "ulx3s-85f", "--fill", "2"), "--fill must be above 0"),
        (("--board", "ulx3s-85f", "--config", "none"), "none"),
    ],
)
def test_bad_targets_are_refused_before_the_work(command, arguments, error, tmp_path):
    found = command(*arguments)
    assert found.exit_code != 0
    assert error in str(found.exception)
    assert not (tmp_path / "found").exists()
