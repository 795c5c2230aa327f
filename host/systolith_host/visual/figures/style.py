"""How all pictures look: colours, fonts, axes."""

from typing import Any

import plotly.graph_objects as go

__all__ = ["COLOURS", "INK", "KINDS", "STATES", "axis", "finish", "short"]

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
    return {**look, "title": {"text": title, "font": {"size": 13}}, **more}


def finish(figure: go.Figure, height: int, **more: Any) -> go.Figure:
    """Give a figure the common look."""
    figure.update_layout(
        template="plotly_white",
        height=height,
        font={"family": "Inter, Helvetica, Arial, sans-serif", "size": 13, "color": INK},
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
