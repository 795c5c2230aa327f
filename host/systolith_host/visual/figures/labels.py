"""Places names next to points so that they cover nothing; a name without room is left out.

Greedy choice among candidate positions, as in J. Christensen, J. Marks, S. Shieber: An empirical
study of algorithms for point-feature label placement, ACM Transactions on Graphics 14(3), 1995.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Box", "Line", "place", "text_box"]

_NEAR = 4
"""Pixels between a mark and a name that needs no line to it."""

_FAR = (14, 28, 44, 62, 82, 104, 130)
"""Pixels from a mark to names farther away, which a line joins to it."""

_BESIDE = ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (1, 1), (-1, -1), (-1, 1))
_AROUND = [
    (math.cos(turn * math.pi / 8), math.sin(turn * math.pi / 8))
    for turn in (4, 3, 5, 2, 6, 12, 11, 13, 1, 7, 10, 14, 0, 8, 9, 15)
]
"""Directions in the order in which they are tried; rows count downwards."""

Line = tuple[tuple[float, float], tuple[float, float]]
"""Two points, each (right, down) in pixels."""


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels.

    Parameters
    ----------
    right, down : float
        Its middle.
    wide, high : float
    """

    right: float
    down: float
    wide: float
    high: float

    def meets(self, other: "Box") -> bool:
        """Return whether two rectangles share more than an edge."""
        return (
            2 * abs(self.right - other.right) < self.wide + other.wide
            and 2 * abs(self.down - other.down) < self.high + other.high
        )

    def inside(self, other: "Box") -> bool:
        """Return whether this rectangle lies in another one."""
        return (
            2 * abs(self.right - other.right) <= other.wide - self.wide
            and 2 * abs(self.down - other.down) <= other.high - self.high
        )

    def cut_by(self, line: Line) -> bool:
        """Return whether a line goes through the rectangle (Liang and Barsky's clipping)."""
        (x, y), (end_x, end_y) = line
        low, high = 0.0, 1.0
        for start, step, middle, size in (
            (x, end_x - x, self.right, self.wide),
            (y, end_y - y, self.down, self.high),
        ):
            near, far = middle - size / 2 - start, middle + size / 2 - start
            if step == 0:
                if not near < 0 < far:
                    return False
                continue
            first, last = sorted((near / step, far / step))
            low, high = max(low, first), min(high, last)
        return low < high


def text_box(text: str, font_size: float) -> tuple[float, float]:
    """Return about how wide and high a text is, in pixels."""
    return 0.58 * font_size * len(text) + 2, 1.25 * font_size


def place(
    names: Sequence[tuple[Box, tuple[float, float]]],
    others: Sequence[Box],
    lines: Sequence[Line],
    frame: Box,
) -> list[tuple[Box, bool] | None]:
    """Return where each name stands, and whether it needs a line to its mark; None without room.

    Parameters
    ----------
    names : sequence of (Box, (float, float))
        The mark of each, and the width and height of its text; those that matter most first.
    others : sequence of Box
        More marks that no name may cover.
    lines : sequence of Line
        That no name may cover.
    frame : Box
        In which names stand.
    """
    marks = [*others, *(mark for mark, _ in names)]
    texts: list[Box] = []
    joins: list[Line] = []
    found: list[tuple[Box, bool] | None] = []
    for mark, size in names:
        chosen = None
        for text, joined in _candidates(mark, size):
            join = ((mark.right, mark.down), (text.right, text.down))
            if (
                text.inside(frame)
                and not any(text.meets(box) for box in (*texts, *marks))
                and not any(text.cut_by(line) for line in (*lines, *joins))
                and not (joined and _blocked(join, mark, marks, texts, joins))
            ):
                chosen = (text, joined)
                texts.append(text)
                if joined:
                    joins.append(join)
                break
        found.append(chosen)
    return found


def _candidates(mark: Box, size: tuple[float, float]) -> Iterator[tuple[Box, bool]]:
    wide, high = size
    for right, down in _BESIDE:
        reach = (mark.wide + wide) / 2 + _NEAR, (mark.high + high) / 2 + 1
        yield Box(mark.right + right * reach[0], mark.down + down * reach[1], wide, high), False
    for far in _FAR:
        for right, down in _AROUND:
            reach = (mark.wide + wide) / 2 + far, (mark.high + high) / 2 + far
            yield Box(mark.right + right * reach[0], mark.down + down * reach[1], wide, high), True


def _blocked(
    join: Line, mark: Box, marks: Sequence[Box], texts: Sequence[Box], joins: Sequence[Line]
) -> bool:
    """Return whether a line to a name goes through another mark, a name or another line."""
    return (
        any(box.cut_by(join) for box in texts)
        or any(box.cut_by(join) for box in marks if not box.meets(mark))
        or any(_cross(join, other) for other in joins)
    )


def _cross(one: Line, other: Line) -> bool:
    def side(line: Line, point: tuple[float, float]) -> float:
        (x, y), (end_x, end_y) = line
        return (end_x - x) * (point[1] - y) - (end_y - y) * (point[0] - x)

    return (
        side(one, other[0]) * side(one, other[1]) < 0
        and side(other, one[0]) * side(other, one[1]) < 0
    )
