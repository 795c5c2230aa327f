"""How all pictures look: colours, fonts, axes."""

import math
from typing import Any

import plotly.graph_objects as go

__all__ = [
    "COLOURS",
    "FONT_SIZE",
    "INK",
    "KINDS",
    "STATES",
    "axis",
    "below",
    "finish",
    "log_axis",
    "short",
]

FONT_SIZE = 13
"""Of most text, in CSS pixels."""

INK = "#1f2933"
MUTED = "#7b8794"
GRID = "#e4e7eb"
COLOURS = (
    "#2563eb", "#ea580c", "#059669", "#9333ea", "#db2777", "#0891b2", "#ca8a04", "#64748b",
    "#4f46e5", "#dc2626", "#16a34a", "#c026d3",
)  # fmt: skip

KINDS = {"conv": "#2563eb", "fc": "#ea580c", "pool": "#059669", "add": "#9333ea"}
"""Colours of kinds of layers; others take the last one of COLOURS."""

STATES = {
    "busy": ("working", "#2563eb"),
    "wait_input": ("waits for inputs", "#f59e0b"),
    "wait_weights": ("waits for weights", "#dc2626"),
    "wait_output": ("waits for a drained bank", "#9333ea"),
    "idle": ("no CONV at hand (start, end)", "#cbd2d9"),
}
"""Names and colours of the array's states."""


def axis(title: str, **more: Any) -> dict[str, Any]:
    """Return the settings of an axis."""
    look = {"gridcolor": GRID, "zeroline": False, "linecolor": MUTED, "ticks": "outside"}
    return {**look, "title": {"text": title, "font": {"size": FONT_SIZE}}, **more}


def log_axis(title: str, low: float, high: float, **more: Any) -> dict[str, Any]:
    """Return the settings of a logarithmic axis for values from `low` to `high`.

    Its numbers are few and round; plotly's own crowd each other, or are single digits.
    """
    low, high = low / 1.08, high * 1.08
    # Below this there are too few round numbers, and plotly counts on evenly.
    if high < 2 * low:
        # Its numbers must not crowd each other in a narrow panel.
        ends = [math.log10(low), math.log10(high)]
        return axis(title, type="log", range=ends, nticks=3, tickangle=0, **more)
    digits = (1, 1.5, 2, 3, 4, 6, 8) if high < 12 * low else (1, 2, 5)
    if high > 300 * low:
        digits = (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [digit * 10**power for power in powers for digit in digits]
    ticks = [value for value in values if low <= value <= high]
    labels = [short(value) if value >= 10_000 else f"{value:g}" for value in ticks]
    ends = [math.log10(low), math.log10(high)]
    return axis(title, type="log", tickvals=ticks, ticktext=labels, range=ends, **more)


def below(height: int, plot: int, **more: Any) -> dict[str, Any]:
    """Return the settings of a legend below a figure, clear of the title of its horizontal axis.

    Parameters
    ----------
    height : int
        Of the figure, in pixels.
    plot : int
        Pixels of it that are above and below the axes: the margins.
    """
    place = -52 / max(height - plot, 100)
    look = {"orientation": "h", "yanchor": "top", "y": place, "x": 0, "traceorder": "normal"}
    return {**look, **more}


def finish(figure: go.Figure, height: int, **more: Any) -> go.Figure:
    """Give a figure the common look."""
    figure.update_layout(
        template="plotly_white",
        height=height,
        font={"family": "Inter, Helvetica, Arial, sans-serif", "size": FONT_SIZE, "color": INK},
        margin={"l": 70, "r": 45, "t": 40, "b": 60},
        modebar={"orientation": "v"},
        hoverlabel={"font": {"size": 12}},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0},
    )
    figure.update_layout(**more)
    figure.update_annotations(font_size=12.5, selector={"yref": "paper"})
    return figure


def short(value: float) -> str:
    """Return a number in three digits with K, M or G."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "K")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"
