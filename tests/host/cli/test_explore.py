"""The command `systolith explore`."""

import csv
from types import SimpleNamespace

import pytest
import typer
from typer.testing import CliRunner

from systolith_host.cli.app import app
from systolith_host.cost.estimate import estimate_network
from systolith_host.energy.table import load_table
from systolith_host.explore.results import read_results
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import PRESETS


@pytest.fixture
def command(tmp_path):
    def run(*arguments):
        options = ["--config", "tiny", "--workers", "1", "--out", str(tmp_path / "sweep")]
        return CliRunner().invoke(app, ["explore", "mini", *options, *arguments])

    return run


def test_a_sweep_is_a_table(command, tmp_path):
    result = command("--rows", "4,5", "--bandwidth", "2,8")
    assert result.exit_code == 0, result.output
    assert "4 points, 4 new" in result.output
    assert "2 x cols must be a multiple or a divisor of rows" in result.output
    assert len((tmp_path / "sweep" / "points.csv").read_text().splitlines()) == 5
    again = command("--rows", "4,5", "--bandwidth", "2,8")
    assert "4 points, none new" in again.output


def test_the_points_are_drawn_as_a_picture_with_their_numbers(command, tmp_path, undrawn):
    size = ("--width", "85", "--font-size", "7")
    pictures = [tmp_path / name for name in ("front.pdf", "front.svg")]
    asked = [word for path in pictures for word in ("--picture", str(path))]
    result = command("--rows", "4,5", "--bandwidth", "2,8", *asked, *size)
    assert result.exit_code == 0, result.output
    assert undrawn == [(".pdf", 85, 7), (".svg", 85, 7)]
    rows = list(csv.DictReader((tmp_path / "front.csv").read_text().splitlines()))
    _, results = read_results(tmp_path / "sweep" / "points.csv")
    good = {(one.values["bandwidth"], one.known_cycles) for one in results if not one.reason}
    assert {(float(row["bandwidth"]), int(row["cycles"])) for row in rows} == good
    assert all(f"{path}: " in result.output for path in pictures)


def test_points_have_the_energy_of_their_network(command, tmp_path):
    result = command("--rows", "4", "--bandwidth", "2,8", "--by", "energy")
    assert result.exit_code == 0, result.output
    assert "mJ by accesses and published figures" in result.output
    wanted = estimate_network(
        "mini", PRESETS["tiny"], Memory(bytes_per_cycle=2), energy=load_table("45nm")
    )
    assert wanted.energy is not None
    _, results = read_results(tmp_path / "sweep" / "points.csv")
    found = {result.values["bandwidth"]: result.energy_pj for result in results}
    assert found[2] == pytest.approx(wanted.energy.total.total.pj, abs=10)
    assert f"{wanted.energy.total.total.pj / 1e9:,.2f}" in result.output


def test_what_is_estimated_is_marked_and_what_is_replayed_is_not(command):
    arguments = ("--rows", "4,5", "--bandwidth", "2,8")
    estimated = command(*arguments, "--exact", "0").output
    rows = [line.split() for line in estimated.splitlines() if line.startswith(("   4", "4 "))]
    assert len(rows) == 2
    assert all(row[2].startswith("~") for row in rows)
    assert "0 of 2 points are exact (replayed), ~ marks the compiler's estimates" in estimated
    some = command(*arguments, "--exact", "1").output
    assert "1 of 2 points are exact" in some
    assert "The Pareto front is by estimates." in some
    whole = command(*arguments)
    assert "All 2 points are exact: replayed, equal to the RTL." in whole.output
    rows = [line.split() for line in whole.output.splitlines() if line.startswith(("   4", "4 "))]
    assert not any(row[2].startswith("~") for row in rows)
    kept = command(*arguments, "--exact", "0").output
    assert "All 2 points are exact" in kept
    assert "exact cycles" not in kept  # nothing is replayed again


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((), "nothing to vary"),
        (("--rows", ""), "--rows: no values"),
        (("--rows", "4", "--max-memory", "64K,128K"), "--max-memory: must be one number"),
        (("--rows", "4", "--max-memory", ""), "--max-memory: no values"),
        (("--acc-depth", "1..9000 step 1"), "the sweep has 9,000 points"),
        (
            ("--acc-depth", "1..9000 step 1", "--weight-buffer", "1..9000 step 1"),
            "the limit is 1,000,000",
        ),
        (("--sweep", "nowhere.toml"), "cannot be read"),
        (("--rows", "4", "--sample", "1", "--search", "1"), "exclude each other"),
        (("--gather", "0,64", "--confirm", "1"), "--confirm runs on tensors of zeros"),
        (("--rows", "4", "--by", "joules"), "--by must be one of cycles, energy, energy-delay"),
        (("--rows", "4", "--by", "energy", "--exact", "0"), "--by energy needs replayed points"),
        (("--rows", "4", "--fits", "lfe5u-1"), "part must be one of lfe5u-85f-6"),
        (("--rows", "4,", "--cols", "4"), "not a number"),
        (
            tuple(
                text
                for axis in ("--acc-depth", "--latency", "--weight-buffer")
                for text in (axis, "1..1000 step 1")
            ),
            "the sweep has 1,000,000,000 points",
        ),
    ],
)
def test_bad_sweeps_are_refused_before_the_work(command, arguments, error):
    result = command(*arguments)
    assert result.exit_code != 0
    assert error in str(result.exception)


def test_points_that_cannot_be_built_are_listed_even_if_there_are_no_others(command, tmp_path):
    result = command("--rows", "5,7")
    assert result.exit_code != 0
    assert result.output.count("1 x cols must be a multiple or a divisor of rows") == 2
    assert "none of the 2 points can be built or run" in str(result.exception)
    assert len((tmp_path / "sweep" / "points.csv").read_text().splitlines()) == 3


def test_large_sweeps_ask_where_somebody_can_answer(command, monkeypatch):
    asked = []

    def confirm(text, **_):
        asked.append(text)
        raise typer.Abort

    terminal = SimpleNamespace(isatty=lambda: True)
    streams = SimpleNamespace(stdin=terminal, stdout=terminal)
    monkeypatch.setattr("systolith_host.cli.explore.sys", streams)
    monkeypatch.setattr("systolith_host.cli.explore.typer.confirm", confirm)
    result = command("--acc-depth", "1..9000 step 1")
    assert result.exit_code != 0
    assert len(asked) == 1
    assert "9,000 points" in asked[0]


def test_a_search_runs_no_more_than_it_may(command):
    result = command(
        "--rows", "4,8", "--bandwidth", "1..8", "--acc-depth", "16..64", "--search", "7"
    )
    assert result.exit_code == 0, result.output
    assert "7 points, 7 new" in result.output
    assert "Pareto" in result.output


def test_what_does_not_fit_is_listed(command):
    result = command("--rows", "4,16", "--cols", "4,16", "--fits", "lfe5u-25f-6")
    assert result.exit_code == 0, result.output
    assert "DSP needed, 28 there" in result.output


@pytest.mark.rtl
def test_points_are_confirmed_in_the_rtl(command):
    result = command("--bandwidth", "8", "--confirm", "1")
    assert result.exit_code == 0, result.output
    assert "estimate's error" in result.output
    assert "equal" in result.output


def test_a_folder_of_another_sweep_is_refused_before_the_work(command, tmp_path):
    assert command("--bandwidth", "2").exit_code == 0
    more = command("--bandwidth", "2,8")  # more values of an axis are the same sweep
    assert "2 points, 1 new" in more.output
    for arguments in (("--bandwidth", "2", "--batch", "2"), ("--rows", "4")):
        refused = command(*arguments)
        assert refused.exit_code != 0
        assert "of another experiment: " in str(refused.exception)
        assert str(refused.exception).endswith("; give another folder with --out")
        assert "\n" not in str(refused.exception)
    assert len((tmp_path / "sweep" / "points.csv").read_text().splitlines()) == 3
