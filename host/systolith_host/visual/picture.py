"""A figure with a name and the numbers that it shows, drawn for a width."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

__all__ = ["Picture", "Row", "csv_text"]

Row = Mapping[str, Any]
"""One line of a figure's numbers; the names of its columns have the units."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure, and what it shows as rows.

    Parameters
    ----------
    name : str
        Under which it is saved.
    draw : callable
        Returns the figure for a width in its own pixels. Only the layout depends on the width.
    rows : sequence of Row
        Enough to draw it again. A column is left out of rows that have no such value.
    title : str
        Of figures that share a section of the page.
    """

    name: str
    draw: Callable[[int], go.Figure]
    rows: Sequence[Row]
    title: str = ""


def csv_text(rows: Sequence[Row]) -> str:
    """Return rows as CSV: a header, then a line for each; fields without a value are empty."""
    columns = dict.fromkeys(name for row in rows for name in row)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
