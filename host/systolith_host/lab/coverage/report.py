"""Coverage as a table, as data, and as a list of what is not reached."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from systolith_host.lab.coverage.exclusions import Target

__all__ = [
    "COLUMNS",
    "GOALS",
    "Figure",
    "coverage_fields",
    "coverage_table",
    "coverage_totals",
    "figures",
    "missing",
]

COLUMNS = ("lines", "branches", "toggles", "memory cells", "states and tokens", "fields")
"""What has a figure of its own. A memory has more bits than all else together."""

_COLUMN_OF = {"line": "lines", "branch": "branches", "point": "states and tokens", "bin": "fields"}

GOALS = {
    "lines": 1.0,
    "branches": 1.0,
    "toggles": 0.95,
    "memory cells": 0.95,
    "states and tokens": 1.0,
    "fields": 1.0,
}
"""The shares that must be reached, of what is not excluded."""


_KEYS = {"memory cells": "cells", "states and tokens": "points"}
"""Names of columns in the totals, where they differ."""


@dataclass(frozen=True)
class Figure:
    """How much of something is reached.

    Parameters
    ----------
    total, reached, excluded : int
        What is excluded is not reached.
    """

    total: int
    reached: int
    excluded: int

    @property
    def raw(self) -> float:
        """Share before exclusions."""
        return self.reached / self.total if self.total else 1.0

    @property
    def share(self) -> float:
        """Share of what is not excluded."""
        wanted = self.total - self.excluded
        return self.reached / wanted if wanted else 1.0


def column_of(target: Target) -> str:
    """Return the column of :data:`COLUMNS` in which a target counts."""
    if target.kind == "toggle":
        return "memory cells" if len(target.bits) == 2 else "toggles"
    return _COLUMN_OF[target.kind]


def figures(
    targets: Mapping[Target, int], out: Collection[Target]
) -> dict[tuple[str, str], Figure]:
    """Return the figures of each part and column; the part "all" has all of them."""
    total, reached, left = Counter[Any](), Counter[Any](), Counter[Any]()
    for target, count in targets.items():
        for part in (target.part, "all"):
            key = (part, column_of(target))
            total[key] += 1
            reached[key] += count > 0
            left[key] += target in out
    return {key: Figure(total[key], reached[key], left[key]) for key in total}


def _percent(share: float) -> str:
    """Return a share, rounded down: 100.0 % is all."""
    return f"{int(share * 1000) / 10:.1f}"


def coverage_table(found: Mapping[tuple[str, str], Figure]) -> str:
    """Return the figures in Markdown: per cent after exclusions, and what was excluded."""
    columns = [column for column in COLUMNS if ("all", column) in found]
    lines = [["part", *columns], ["---", *["---:"] * len(columns)]]
    parts = sorted({part for part, _ in found} - {"all"})
    for part in (*parts, "all"):
        cells = []
        for column in columns:
            figure = found.get((part, column))
            if figure is None:
                cells.append("")
                continue
            text = f"{_percent(figure.share)} of {figure.total - figure.excluded:,}"
            cells.append(f"{text} (+{figure.excluded:,})" if figure.excluded else text)
        lines.append([part, *cells])
    whole = [found["all", column] for column in columns]
    raw = (f"{_percent(figure.raw)} of {figure.total:,}" for figure in whole)
    lines.append(["all, nothing excluded", *raw])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _ranges(bits: Collection[int]) -> str:
    texts = []
    for bit in sorted(bits):
        if texts and texts[-1][1] == bit - 1:
            texts[-1][1] = bit
        else:
            texts.append([bit, bit])
    return ", ".join(f"{a}" if a == b else f"{a}..{b}" for a, b in texts)


def missing(targets: Mapping[Target, int], out: Collection[Target]) -> list[str]:
    """Return a line for each signal, line, state or bin that is not reached, with its bits."""
    bits = dict[tuple[str, str, str], set[int]]()
    for target, count in targets.items():
        if not count and target not in out:
            key = (column_of(target), target.part, target.name)
            bits.setdefault(key, set()).add(target.bit)
    return [
        f"{column}: {part}: {name}" + (f" [{_ranges(some)}]" if column in COLUMNS[2:4] else "")
        for (column, part, name), some in sorted(bits.items())
    ]


def coverage_fields(targets: Mapping[Target, int], out: Collection[Target]) -> dict[str, Any]:
    """Return the figures and what is missing as JSON values."""
    return {
        "figures": [
            {
                "part": part,
                "what": column,
                "total": figure.total,
                "reached": figure.reached,
                "excluded": figure.excluded,
                "percent_before_exclusions": round(100 * figure.raw, 2),
                "percent": round(100 * figure.share, 2),
            }
            for (part, column), figure in sorted(figures(targets, out).items())
        ],
        "missing": missing(targets, out),
        "bins": {t.name: count for t, count in targets.items() if t.kind in ("point", "bin")},
    }


def coverage_totals(
    targets: Mapping[Target, int], out: Collection[Target]
) -> dict[str, dict[str, int]]:
    """Return the totals of each column as JSON values; what is excluded is not in the total."""
    found = figures(targets, out)
    return {
        _KEYS.get(column, column): {
            "reached": figure.reached,
            "total": figure.total - figure.excluded,
            "excluded": figure.excluded,
        }
        for column in COLUMNS
        if (figure := found.get(("all", column))) is not None
    }
