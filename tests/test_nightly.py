"""The nightly campaigns: rows, failures, and that each command names what exists."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import nightly  # noqa: E402
from nightly import Campaign  # noqa: E402

PAGE = "| a |\n|---|\n\n<!-- end of the table -->\nrest\n"
PASS = Campaign("pass", ("-c", "print('{seed} {cases}')"), 3)
FAIL = Campaign("fail", ("-c", "raise SystemExit(2)"), 1)


def test_rows_are_appended_in_their_order(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    nightly.add_row(page, ("x", 1))
    nightly.add_row(page, ("y", 2))
    assert page.read_text() == (
        "| a |\n|---|\n| x | 1 |\n| y | 2 |\n\n<!-- end of the table -->\nrest\n"
    )
    page.write_text("nothing")
    with pytest.raises(ValueError, match="has no <!-- end of the table -->"):
        nightly.add_row(page, ("z",))


def test_a_campaigns_failures_are_counted(tmp_path, monkeypatch):
    log = tmp_path / "log"
    assert nightly.run(PASS, 7, log) == 0
    assert log.read_text() == "7 3\n"
    assert nightly.run(FAIL, 7, log) == 1
    monkeypatch.setattr(nightly, "LIMIT_SECONDS", 0.5)
    assert nightly.run(Campaign("hang", ("-c", "import time; time.sleep(60)"), 1), 7, log) == -1


def test_failures_of_tests_are_counted_one_by_one(tmp_path):
    test = tmp_path / "test_two.py"
    text = "import os\n\ndef test_a():\n    assert os.environ['N'] == '5'\n\n"
    test.write_text(f"{text}def test_b():\n    assert 0\n\ndef test_c():\n    assert 0\n")
    command = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path))
    campaign = Campaign("two", (*command, "-c", "/dev/null", str(test)), 1, {"N": "{seed}"})
    assert nightly.run(campaign, 5, tmp_path / "log") == 2


def test_a_run_leaves_rows_and_the_logs_of_failures(tmp_path, monkeypatch, capsys):
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    monkeypatch.setattr(nightly, "CAMPAIGNS", (FAIL, PASS))
    monkeypatch.setattr(nightly, "LOGS", tmp_path / "logs")
    arguments = ["nightly", "--hours", "0.0001", "--seed", "4", "--page", str(page)]
    monkeypatch.setattr(sys, "argv", arguments)
    assert nightly.main() == 1
    cells = page.read_text().splitlines()[2].split(" | ")
    assert cells[2:6] == ["fail", "4", "1", "1"]
    assert (tmp_path / "logs" / "fail-4.log").exists()
    assert "fail, seed 4" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", [*arguments, "--only", "pass"])
    assert nightly.main() == 0
    assert not (tmp_path / "logs" / "pass-4.log").exists()


@pytest.mark.parametrize("wrong", [["--hours", "0"], ["--page", "missing.md"], ["--only", "x"]])
def test_wrong_options_are_refused_before_anything_runs(wrong, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["nightly", *wrong])
    with pytest.raises(SystemExit) as ended:
        nightly.main()
    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_campaigns_run_tests_that_exist():
    paths = [word for one in nightly.CAMPAIGNS for word in one.command if word.endswith(".py")]
    assert len(paths) == 8
    for path in paths:
        assert (ROOT / path).is_file(), path
    assert nightly.END in nightly.PAGE.read_text("utf-8")
