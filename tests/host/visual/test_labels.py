"""Names next to points: on no point, line or other name, and left out where there is no room."""

import random

import pytest

from systolith_host.visual.figures.labels import Box, place, text_box
from systolith_host.visual.figures.roofline import roofline

FRAME = Box(250, 200, 500, 400)


def test_a_lone_point_has_its_name_next_to_it_without_a_line():
    (found,) = place([(Box(100, 100, 12, 12), (40, 14))], [], [], FRAME)
    assert found == (Box(100 + 26 + 4, 100, 40, 14), False)


def test_a_name_stays_in_the_frame():
    (found,) = place([(Box(490, 5, 12, 12), (40, 14))], [], [], FRAME)
    assert found
    assert found[0].inside(FRAME)
    assert place([(Box(100, 100, 12, 12), (600, 14))], [], [], FRAME) == [None]


@pytest.mark.parametrize("seed", range(5))
def test_names_of_a_crowd_cover_nothing(seed):
    chance = random.Random(seed)
    marks = [Box(chance.gauss(300, 60), chance.gauss(100, 20), 12, 12) for _ in range(30)]
    others = [Box(chance.uniform(0, 500), chance.uniform(0, 400), 20, 20) for _ in range(5)]
    lines = [((0, 400), (250, 80)), ((250, 80), (500, 80))]
    found = place([(mark, text_box("conv1_1", 10.5)) for mark in marks], others, lines, FRAME)
    placed = [one for one in found if one]
    assert len(placed) >= 10
    for number, (text, _) in enumerate(placed):
        assert text.inside(FRAME)
        assert not any(text.meets(other) for other, _ in placed[:number])
        assert not any(text.meets(box) for box in (*marks, *others))
        assert not any(text.cut_by(line) for line in lines)
    for mark, one in zip(marks, found, strict=True):
        if one and one[1]:
            join = ((mark.right, mark.down), (one[0].right, one[0].down))
            assert not any(text.cut_by(join) for text, _ in placed if text != one[0])


def test_those_that_matter_most_have_their_names_first():
    mark = Box(20, 7, 12, 12)
    tight = Box(40, 7, 80, 14)
    found = place([(mark, (30, 14))] * 2, [], [], tight)
    assert found[0] is not None
    assert found[1] is None


@pytest.mark.parametrize(
    ("line", "cut"),
    [
        (((0, 0), (100, 100)), True),
        (((0, 50), (100, 50)), True),
        (((0, 80), (100, 80)), False),
        (((0, 0), (30, 30)), False),
        (((50, 50), (51, 51)), True),
        (((0, 60), (100, 60)), False),
    ],
)
def test_a_line_cuts_a_box_or_does_not(line, cut):
    assert Box(50, 50, 40, 20).cut_by(line) == cut


def test_the_roofline_of_a_narrow_column_names_no_more_than_that_of_a_page(data):
    names = {
        width: {note.text for note in roofline(data.points, (), 16, 8, width).layout.annotations}
        for width in (330, 1000)
    }
    assert {point.name for point in data.points} <= names[1000]
    assert names[330] <= names[1000]
