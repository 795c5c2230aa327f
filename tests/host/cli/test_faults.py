"""`systolith lab faults`: results are kept, continued and put into a page."""

import json

import pytest

from systolith_host.cli.app import main
from systolith_host.lab.faults import campaign as fault_campaign
from systolith_host.lab.faults.campaign import FaultResult, kind_of


@pytest.fixture
def systolith(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["systolith", "lab", "faults", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        done = capsys.readouterr()
        return end.value.code, done.out, done.err

    return run


@pytest.fixture
def campaign(monkeypatch):
    """Return the cases that were run, in place of a simulation; the fourth has a problem."""
    cases = []

    def run_campaign(config, indices, seed, folder, done, *, kinds=()):
        for index in indices:
            cases.append((config.name, index, seed, tuple(kinds)))
            bad = index == 3
            done(
                FaultResult(
                    config.name,
                    index,
                    kind_of(index, kinds),
                    "FETCH, LOAD",
                    "" if bad else "middle",
                    "WATCHDOG",
                    "late",
                    "hang" if bad else "",
                    "hang: no end" if bad else "",
                )
            )

    monkeypatch.setattr(fault_campaign, "run_campaign", run_campaign)
    return cases


def test_a_run_that_was_broken_off_goes_on(systolith, campaign, tmp_path):
    keep, out = tmp_path / "kept", tmp_path / "page.md"
    out.write_text(
        "# A page\n<!-- systolith lab faults -->\nold\n<!-- end of its table -->\nIts end.\n"
    )
    only = ("--keep", keep, "--fault", "R dead")
    assert systolith("--runs", 2, "--config", "tiny", *only)[0] == 0
    assert [case[:2] for case in campaign] == [("tiny", 0), ("tiny", 1)]
    arguments = ("--runs", 3, "--config", "tiny", "--config", "broad", *only)
    status, shown, _ = systolith(*arguments, "--out", out, "--json", tmp_path / "json")
    assert status == 0
    assert [case[:2] for case in campaign[2:]] == [("tiny", 2), *(("broad", i) for i in range(3))]
    assert "6 runs with a fault on tiny, broad" in shown
    page = out.read_text()
    assert page.startswith("# A page\n<!-- systolith lab faults -->\n\n6 runs with a fault")
    assert page.endswith("<!-- end of its table -->\nIts end.\n")
    assert "old" not in page
    row = "| R dead | FETCH, LOAD | 0 | 6 | 0 | 0 | 0 | WATCHDOG 6 | 0 | 0 | 0 | 0 |"
    assert row in page
    fields = json.loads((tmp_path / "json").read_text())
    assert (fields["runs"], fields["struck"]) == (6, 6)
    assert fields["cells"][0]["runs"] == 3
    # Another kind or another seed has other cases.
    systolith("--runs", 1, "--config", "tiny", "--keep", keep)
    assert campaign[-1] == ("tiny", 0, 0, ())
    assert len(campaign) == 7
    systolith("--runs", 1, "--config", "tiny", "--keep", keep)
    assert len(campaign) == 7
    systolith("--runs", 1, "--config", "tiny", "--keep", keep, "--seed", 5, "--fault", "stray R")
    assert campaign[-1] == ("tiny", 0, 5, ("stray R",))


def test_a_problem_is_told_with_its_case(systolith, campaign, tmp_path):
    status, shown, told = systolith(
        *("--runs", 4, "--config", "tiny", "--fault", "R dead", "--json", tmp_path / "json")
    )
    assert status == 1
    assert "tiny 3, R dead: hang: no end" in told
    assert "0 silent, 1 hang, 0 rule, 0 report" in shown
    (case,) = json.loads((tmp_path / "json").read_text())["cases"]
    assert case == {"config": "tiny", "case": 3, "fault": "R dead", "text": "hang: no end"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--config huge", "--config: no huge; there are tiny, wide-bus, broad, all-units"),
        ("--fault rain", "--fault: no rain; there are stalls, latency, order"),
        ("--out missing.md", "missing.md: cannot be read"),
        ("--keep nowhere/kept", "nowhere"),
    ],
)
def test_mistakes_are_told_first(arguments, message, systolith, campaign, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, _, told = systolith(*arguments.split())
    assert status == 2
    assert message in " ".join(told.split())
    assert campaign == []


def test_a_file_of_something_else_is_named(systolith, campaign, tmp_path):
    (tmp_path / "kept").write_text("[]\n")
    status, _, told = systolith("--config", "tiny", "--keep", tmp_path / "kept")
    assert status == 2
    assert "line 1 is no result of lab faults" in " ".join(told.split())
    page = tmp_path / "page.md"
    page.write_text("# A page\n")
    _, _, told = systolith("--config", "tiny", "--out", page)
    assert "has no lines" in told
