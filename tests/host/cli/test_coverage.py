"""`systolith lab coverage`: its table, its files, and the exit status where a goal is missed."""

import json
from pathlib import Path

import pytest

from systolith_host.lab.coverage import measure as lab_coverage
from systolith_host.lab.coverage.exclusions import Target

ROOT = Path(__file__).parents[3]

RULE = '[[exclude]]\nkind = "toggle"\nplaces = ["load.*"]\nreason = "{}"\n'
RULE = RULE.format("It takes too many cycles to get there.")


@pytest.fixture
def measured(monkeypatch):
    """Let 19 of 20 bits be reached, and every line."""
    targets = {Target("line", "load", "a line", (), "1:1"): 2}
    targets |= {
        Target("toggle", "core", "core.sum", (bit,), edge): 1
        for bit in range(9)
        for edge in ("0->1", "1->0")
    }
    targets |= {
        Target("toggle", "load", "load.count", (0,), "0->1"): 1,
        Target("toggle", "load", "load.count", (0,), "1->0"): 0,
    }
    asked = []

    def measure(config, cases, seed, folder, log):
        asked.append((config.name, cases, seed))
        return targets

    monkeypatch.setattr(lab_coverage, "measure_coverage", measure)
    return targets, asked


def test_figures_are_shown_and_saved(command, measured, tmp_path):
    rules, data, csv = tmp_path / "rules.toml", tmp_path / "json", tmp_path / "csv"
    rules.write_text("")
    page = tmp_path / "page.md"
    page.write_text(
        "# A page\n<!-- systolith lab coverage --config tiny -->\nold\n<!-- end of tiny -->\n\n"
        "<!-- systolith lab coverage --config broad -->\nkept\n<!-- end of broad -->\nIts end.\n"
    )
    arguments = ("--exclusions", rules, "--json", data, "--csv", csv, "--out", page)
    status, out, _ = command("lab", "coverage", "--config", "tiny", "--cases", 3, *arguments)
    assert measured[1] == [("tiny", 3, 1)]
    assert status == 0
    assert "| all | 100.0 of 1 | 95.0 of 20 |" in out
    assert "not reached on tiny: toggles: load: load.count [0]" in out
    fields = json.loads(data.read_text())
    assert fields["configs"]["tiny"]["missing"] == ["toggles: load: load.count [0]"]
    assert "old" not in page.read_text()
    assert "| all | 100.0 of 1 | 95.0 of 20 |" in page.read_text()
    kept = "<!-- systolith lab coverage --config broad -->\nkept\n<!-- end of broad -->\nIts end.\n"
    assert page.read_text().endswith(f" |\n\n<!-- end of tiny -->\n\n{kept}")
    assert "tiny,load,toggles,2,1,0,50.0" in csv.read_text().splitlines()


def test_totals_replace_those_of_the_same_configuration(command, measured, tmp_path):
    rules, totals = tmp_path / "rules.toml", tmp_path / "totals.json"
    rules.write_text("")
    totals.write_text('{"tiny": {}, "broad": {"lines": {}}}')
    arguments = ("--exclusions", rules, "--totals", totals)
    assert command("lab", "coverage", "--cases", 3, *arguments)[0] == 0
    found = json.loads(totals.read_text())
    assert found["broad"] == {"lines": {}}
    assert found["tiny"].pop("tool").startswith("systolith ")
    assert found["tiny"] == {
        "seed": 1,
        "cases": 3,
        "lines": {"reached": 1, "total": 1, "excluded": 0},
        "toggles": {"reached": 19, "total": 20, "excluded": 0},
    }


@pytest.mark.parametrize("text", ["[]", "{"])
def test_a_file_that_holds_no_totals_is_refused_before_the_work(command, measured, tmp_path, text):
    totals = tmp_path / "totals.json"
    totals.write_text(text)
    status, _, errors = command("lab", "coverage", "--totals", totals)
    assert (status, str(totals) in errors, measured[1]) == (2, True, [])


def test_a_missed_goal_is_told_with_status_1(command, measured, tmp_path):
    rules = tmp_path / "rules.toml"
    rules.write_text("")
    measured[0].update({Target("toggle", "core", "core.sum", (9,), "0->1"): 0})
    status, out, _ = command("lab", "coverage", "--exclusions", rules)
    assert (status, "tiny: 90.48% of toggles are reached, not 95%" in out) == (1, True)
    rules.write_text(RULE)
    assert command("lab", "coverage", "--exclusions", rules)[0] == 0


def test_a_stale_exclusion_is_told_with_status_1(command, measured, tmp_path):
    rules = tmp_path / "rules.toml"
    rules.write_text(RULE.replace("load", "store"))
    status, out, _ = command("lab", "coverage", "--exclusions", rules)
    assert status == 1
    assert "stale exclusion: tiny: toggle store.* leaves nothing out" in out


def test_an_unknown_configuration_is_refused_in_one_line(command):
    status, _, errors = command("lab", "coverage", "--config", "none")
    assert status == 2
    assert "--config: no none; there are" in errors


def test_a_page_without_a_configurations_lines_is_refused_before_the_work(
    command, measured, tmp_path
):
    page = tmp_path / "page.md"
    page.write_text("<!-- systolith lab coverage --config tiny -->\n<!-- end of tiny -->\n")
    arguments = ("--config", "tiny", "--config", "broad", "--out", page)
    status, _, errors = command("lab", "coverage", *arguments)
    assert (status, measured[1]) == (2, [])
    assert "has no lines <!-- systolith lab coverage --config broad --> and" in errors


def test_the_page_has_the_totals_of_the_file():
    page = (ROOT / "docs" / "verification.md").read_text("utf-8")
    for name, found in json.loads((ROOT / "tests" / "coverage_gateware.json").read_text()).items():
        table = page.partition(f"\n{name}, systolith ")[2].partition("| all, nothing")[0]
        cells = [cell.strip() for cell in table.splitlines()[-1].split("|")[2:-1]]
        kinds = ("lines", "branches", "toggles", "cells", "points", "fields")
        for kind, cell in zip(kinds, cells, strict=True):
            total, excluded = found[kind]["total"], found[kind]["excluded"]
            share = int(1000 * found[kind]["reached"] / total) / 10
            assert cell == f"{share} of {total:,}" + (f" (+{excluded:,})" if excluded else "")
