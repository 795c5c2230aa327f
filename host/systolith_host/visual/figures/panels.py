"""Figures of several panels: side by side, or one below the other where there is no room."""

from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

__all__ = ["NARROW", "Panels", "panels"]

NARROW = 600
"""Width in a figure's own pixels below which panels stand one below the other."""

_BETWEEN = 100
"""Pixels between panels one below the other: labels and title of an axis, title of a panel."""

_BESIDE = ("column_widths", "shared_yaxes")


@dataclass(frozen=True, eq=False)
class Panels:
    """A figure with panels.

    Parameters
    ----------
    figure : Figure
    places : list of dict
        Row and column of each panel.
    beside : bool
        Whether they stand side by side.
    height : int
        Of all panels together, in pixels.
    """

    figure: go.Figure
    places: list[dict[str, Any]]
    beside: bool
    height: int


def panels(count: int, width: int, height: int, gap: float, **more: Any) -> Panels:
    """Return a figure with empty panels.

    Parameters
    ----------
    count : int
    width, height : int
        Of the figure, and of a panel, in the figure's own pixels.
    gap : float
        Between panels side by side, as a share of the width.
    more : object
        For plotly's make_subplots; `column_widths` and `shared_yaxes` hold side by side only.
    """
    numbers = range(1, count + 1)
    if width >= NARROW:
        figure = make_subplots(cols=count, horizontal_spacing=gap, **more)
        return Panels(figure, [{"row": 1, "col": number} for number in numbers], True, height)
    below = {name: value for name, value in more.items() if name not in _BESIDE}
    total = count * height + (count - 1) * _BETWEEN
    figure = make_subplots(rows=count, vertical_spacing=_BETWEEN / total, **below)
    return Panels(figure, [{"row": number, "col": 1} for number in numbers], False, total)
