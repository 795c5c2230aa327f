"""The states of the array in each layer: at work, or waiting, by cause."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from systolith_host.visual.figures.cells import add_cells, cell_axis
from systolith_host.visual.figures.panels import panels
from systolith_host.visual.figures.style import STATES, axis, below, finish, short
from systolith_host.visual.points import LayerPoint, whole

__all__ = ["stalls"]

_COLUMNS = {
    "wait_input": "waits for<br>inputs",
    "wait_weights": "waits for<br>weights",
    "wait_output": "waits for<br>a drained<br>bank",
    "idle": "no CONV<br>at hand",
}


WITHOUT_WORK = "#93c5fd"
"""Colour of multipliers that have no work while the array works."""


def stalls(points: Sequence[LayerPoint], width: int) -> go.Figure:
    """Draw the cycles by the array's state of each layer, and of all: shares, and lost cycles.

    Cycles of work are shared out to the multipliers that have some and those that have none.
    """
    points = [*points, whole(points)]
    drawn = panels(
        2,
        width,
        max(165, 25 * len(points)),
        0.02,
        shared_yaxes=True,
        column_widths=[0.56, 0.44],
        subplot_titles=("share of the layer's cycles", "cycles in which the array does not work"),
    )
    figure, (shares, lost) = drawn.figure, drawn.places
    names = [point.title for point in points]
    shown = {
        "multipliers at work": (STATES["busy"][1], [one.at_work for one in points]),
        "array works, multipliers without work": (
            WITHOUT_WORK,
            [one.states.get("busy", 0) - one.at_work for one in points],
        ),
    }
    for state, (label, colour) in STATES.items():
        if state != "busy":
            shown[label] = (colour, [point.states.get(state, 0) for point in points])
    for label, (colour, cycles) in shown.items():
        figure.add_bar(
            y=list(range(len(points))),
            x=[100 * value / point.cycles for value, point in zip(cycles, points, strict=True)],
            orientation="h",
            name=label,
            marker={"color": colour},
            customdata=cycles,
            hovertext=names,
            hovertemplate="%{hovertext}: %{x:.2f} %, %{customdata:,.0f} cycles<extra>"
            + label
            + "</extra>",
            **shares,
        )
    causes = [state for state in STATES if state != "busy"]
    table = np.array([[point.states.get(state, 0) for state in causes] for point in points])
    numbers = list(range(len(points)))
    hovers = [
        [
            f"{name}: {value:,} cycles<br>{STATES[state][0]}"
            for state, value in zip(causes, row, strict=True)
        ]
        for name, row in zip(names, table.tolist(), strict=True)
    ]
    add_cells(
        figure,
        np.log10(np.maximum(table, 1)),
        [[short(value) if value else "0" for value in row] for row in table.tolist()],
        hovers,
        lost,
        colorscale=[[0, "#ffffff"], [0.4, "#fef3c7"], [0.7, "#fbbf24"], [1, "#dc2626"]],
        cmin=0,
        cmax=7,
    )
    ends = {"range": [len(points) - 0.5, -0.5], "gridcolor": "#ffffff"}
    figure.update_yaxes(**axis("", tickvals=numbers, ticktext=names, **ends))
    figure.update_xaxes(**axis("% of cycles", range=[0, 100]), **shares)
    labels = cell_axis([_COLUMNS[state] for state in causes])
    figure.update_xaxes(**labels, side="bottom", tickfont={"size": 11}, tickangle=0, **lost)
    figure.update_layout(barmode="stack", bargap=0.25)
    height = drawn.height + 155
    margin = {"l": 130, "r": 45, "t": 40, "b": 115}
    return finish(figure, height, legend=below(height, 155), margin=margin)
