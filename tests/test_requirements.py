"""Every requirement has its tests, every tag its requirement, and the page says so."""

import json
import sys
from pathlib import Path

import pytest

from systolith_hw.spec.presets import PRESETS

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))

from manual import requirements  # noqa: E402
from manual.figures import Share, least  # noqa: E402
from manual.requirements import Goal, Requirement, Shown, stages  # noqa: E402


def test_each_tag_has_a_test_and_each_test_a_tag_that_exists():
    tags = {one.tag for one in requirements.read()[0]}
    assert {one.tag for one in requirements.shown()} == tags


def test_presets_that_tests_name_exist_and_have_a_stage():
    found = stages(*requirements.read(), requirements.shown())
    assert set(found) <= set(PRESETS)
    assert len(found) == 4
    assert min(found.values()) >= 2


def test_the_page_is_that_of_the_requirements():
    text = requirements.PAGE.read_text("utf-8")
    assert f"{requirements.BEGIN}\n{requirements.page()}\n{requirements.END}" in text, (
        "run python tools/manual/requirements.py"
    )


def test_a_stage_needs_all_of_those_before_it():
    first, second = Requirement("A", 1, "a", each=True), Requirement("B", 2, "b")
    small, large = Shown("A", "f", "t", ("tiny",)), Shown("B", "f", "t", ("default",))
    reached, missed, unknown = (
        Goal("g", 95, "make", Share("tiny", count, 1000, "") if count else None)
        for count in (950, 949, 0)
    )
    assert stages([first, second], [], [small, large]) == {"tiny": 2, "default": 0}
    assert stages([first, second], [], [small]) == {"tiny": 1}
    assert stages([first, second], [reached], [small, large])["tiny"] == 3
    for goal in (missed, unknown):
        assert stages([first, second], [reached, goal], [small, large])["tiny"] == 2


def test_marks_are_read_with_their_presets(tmp_path):
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "test_a.py").write_text(
        'SOME = ("tiny",)\n\n\n@pytest.mark.requirement("A", "B", presets=SOME)\n'
        '@pytest.mark.rtl\ndef test_x():\n    pass\n\n\n@mark.requirement("C")\n'
        "async def test_y():\n    pass\n"
    )
    assert requirements.shown(folder) == [
        Shown("A", "tests/test_a.py", "test_x", ("tiny",)),
        Shown("B", "tests/test_a.py", "test_x", ("tiny",)),
        Shown("C", "tests/test_a.py", "test_y", ()),
    ]


def test_a_tag_stands_for_one_requirement(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text('[[requirement]]\ntag = "A"\nstage = 1\ntext = "a"\n' * 2)
    with pytest.raises(ValueError, match="A is there twice"):
        requirements.read(path)


def test_a_goal_is_judged_by_the_least_share_of_its_file(tmp_path):
    path = tmp_path / "found.json"
    one, two = ({"tool": "a tool", "lines": {"reached": reached, "total": 3}} for reached in (2, 1))
    path.write_text(json.dumps({"a": one | {"toggles": {}}, "b": two, "c": {"tool": "another"}}))
    assert least(tmp_path / "missing.json", "lines") is None
    share = least(path, "lines")
    assert share == Share("b", 1, 3, "a tool")
    assert share is not None
    assert share.percent == 33.3
    with pytest.raises(ValueError, match="has no branches"):
        least(path, "branches")
