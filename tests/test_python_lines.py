"""The lines of Python: sums of folders, what is stored and printed, and that the tests exist."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import python_lines  # noqa: E402
from manual.figures import Share, load, store  # noqa: E402


def file(lines, reached):
    return {"summary": {"num_statements": lines, "covered_lines": reached}}


def test_files_count_for_the_folder_of_three_names():
    files = {
        "sim/systolith_sim/__init__.py": file(0, 0),
        "sim/systolith_sim/rtl/build.py": file(10, 9),
        "sim/systolith_sim/rtl/deep/inside.py": file(5, 5),
        "host/systolith_host/runtime/driver.py": file(7, 0),
    }
    assert python_lines.by_folder(files, "a tool") == [
        Share("host/systolith_host/runtime", 0, 7, "a tool"),
        Share("sim/systolith_sim/rtl", 14, 15, "a tool"),
    ]


def test_a_missing_line_is_never_all():
    assert Share("a", 1999, 2000, "").percent == 99.9
    assert Share("a", 2000, 2000, "").percent == 100


def test_what_is_stored_is_read_again_and_printed(tmp_path):
    folders = [Share("sim/systolith_sim/rtl", 1901, 2000, "commit abc1234")]
    store(tmp_path / "lines.json", "lines", folders)
    assert load(tmp_path / "lines.json", "lines") == folders
    assert "Of commit abc1234:" in python_lines.page(folders)
    assert "| `sim/systolith_sim/rtl` | 2,000 | 95.0 % |" in python_lines.page(folders)


def test_the_manual_has_what_is_stored():
    text = python_lines.PAGE.read_text("utf-8")
    assert (
        f"{python_lines.BEGIN}\n{python_lines.page(load(python_lines.STORED, 'lines'))}\n" in text
    )


def test_the_tests_to_run_are_there():
    named = [one for part in python_lines.PARTS for one in part.arguments if "/" in one]
    assert [one for one in named if not (ROOT / one).exists()] == []
