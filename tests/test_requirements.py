"""Every requirement has its tests, every tag its requirement, and the page says so."""

import sys
from pathlib import Path

import pytest

from systolith_hw.spec.presets import PRESETS

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))

from manual import requirements  # noqa: E402
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
    reached = Goal("g", 95, 95, "")
    assert stages([first, second], [], [small, large]) == {"tiny": 2, "default": 0}
    assert stages([first, second], [], [small]) == {"tiny": 1}
    assert stages([first, second], [reached], [small, large])["tiny"] == 3
    assert stages([first, second], [reached, Goal("h", 95, 94.9, "")], [small, large])["tiny"] == 2


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
