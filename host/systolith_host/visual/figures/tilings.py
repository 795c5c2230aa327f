"""Heat maps of a layer's tilings: tile size against traffic and against cycles."""

import math

import numpy as np
import plotly.graph_objects as go

from systolith_host.visual.explain import loop_order, weights_text
from systolith_host.visual.figures.cells import add_cells, cell_axis
from systolith_host.visual.figures.panels import Panels, panels
from systolith_host.visual.figures.style import INK, axis, finish
from systolith_host.visual.tilings import TilingMap, TilingStudy

__all__ = ["heat_maps"]

_CLIP = 85
"""Percentile beyond which all tiles have the darkest colour: the worst ones would hide the rest."""

_BAR = {"x": 1.005, "y": 0.5, "len": 0.95}
"""Where a scale stands."""

_TRACES = 4
"""Of each map: two tables of cells, and the best tile marked in both."""


def heat_maps(study: TilingStudy, width: int) -> go.Figure:
    """Draw traffic and cycles of every tile size; buttons change the bandwidth."""
    tiles = {key for one in study.maps for key in one.tiles}
    rows = sorted({row for row, _ in tiles})
    columns = sorted({column for _, column in tiles})
    drawn = panels(
        2,
        width,
        max(270, 20 + 17 * len(rows)),
        0.13,
        shared_yaxes=True,
        subplot_titles=(
            _traffic(study.maps[0]),
            "estimated cycles above the array's least, %",
        ),
    )
    figure = drawn.figure
    for number in range(len(study.maps)):
        _draw(drawn, study, number, rows, columns)
    traces = _TRACES * len(study.maps)
    buttons = [
        {
            "label": f"{one.bandwidth:g} {'bytes per cycle' if drawn.beside else 'B/cycle'}",
            "method": "update",
            "args": [
                {"visible": [i // _TRACES == number for i in range(traces)]},
                {"annotations[0].text": _traffic(one)},
            ],
        }
        for number, one in enumerate(study.maps)
    ]
    menus = [
        {
            "type": "buttons",
            "direction": "right",
            "buttons": buttons,
            "x": 0,
            "y": 1,
            "xanchor": "left",
            "yanchor": "bottom",
            "showactive": True,
            "pad": {"b": 28},
        }
    ]
    # Labels of two digits take some 20 pixels.
    room = (width / 2 if drawn.beside else width) - 160
    step = math.ceil(20 * len(columns) / room)
    labels = [str(value) if not place % step else "" for place, value in enumerate(columns)]
    numbers = cell_axis(labels, tickangle=0, tickfont={"size": 10.5})
    figure.update_xaxes(**axis("columns of the accumulator tile, outputs", **numbers))
    numbers = cell_axis([str(value) for value in rows])
    figure.update_yaxes(**axis("", **numbers))
    named = drawn.places[:1] if drawn.beside else drawn.places
    for place in named:
        figure.update_yaxes(title={"text": "rows of the accumulator tile, outputs"}, **place)
    figure.update_layout(barmode="overlay")
    return finish(
        figure,
        drawn.height + 150,
        updatemenus=menus if len(study.maps) > 1 else [],
        margin={"l": 70, "r": 115, "t": 90, "b": 60},
        showlegend=False,
    )


def _traffic(one: TilingMap) -> str:
    return f"DRAM traffic at {one.bandwidth:g} bytes per cycle, estimated, MB"


def _draw(
    drawn: Panels,
    study: TilingStudy,
    number: int,
    rows: list[int],
    columns: list[int],
) -> None:
    """Draw a map of a study; that of the first bandwidth can be seen."""
    figure, one, visible = drawn.figure, study.maps[number], number == 0
    shape = (len(rows), len(columns))
    traffic, cycles = np.full(shape, np.nan), np.full(shape, np.nan)
    text = np.full(shape, "", object)
    for (high, wide), tiling in one.tiles.items():
        place = (rows.index(high), columns.index(wide))
        traffic[place] = tiling.traffic / 1e6
        cycles[place] = 100 * (tiling.cycles / study.array_cycles - 1)
        schedule = tiling.schedule
        text[place] = (
            f"<b>{high}x{wide}</b>, {schedule.pixels:,} sums a column<br>"
            f"~{tiling.cycles:,} cycles, ~{tiling.traffic:,} bytes<br>"
            f"weights {weights_text(schedule)}<br>{loop_order(schedule)}"
        )
    bars = ({"x": 0.445}, {"x": 1.005})
    if not drawn.beside:
        bars = ({"y": 0.8, "len": 0.45}, {"y": 0.2, "len": 0.45})
    for panel, (values, colours) in enumerate(((traffic, "Blues"), (cycles, "Oranges"))):
        # The scale stands in the layout, as its place depends on the width.
        scale = f"coloraxis{2 * number + panel + 1}"
        figure.update_layout(
            {
                scale: {
                    "colorscale": colours,
                    "cmin": float(np.nanmin(values)),
                    "cmax": float(np.nanpercentile(values, _CLIP)) or None,
                    "colorbar": {"thickness": 12, **_BAR | bars[panel]},
                }
            }
        )
        add_cells(figure, values, None, text.tolist(), drawn.places[panel], coloraxis=scale)
        figure.data[-1].visible = visible
    best, chosen = one.best.schedule, one.chosen.schedule
    marks = [(best.columns, best.rows, "best", "square-open")]
    if (best.columns, best.rows) != (chosen.columns, chosen.rows):
        marks.append((chosen.columns, chosen.rows, "compiler's", "circle-open"))
    columns_of, rows_of, names, symbols = zip(*marks, strict=True)
    for place in drawn.places:
        figure.add_scatter(
            x=[columns.index(value) for value in columns_of],
            y=[rows.index(value) for value in rows_of],
            mode="markers+text",
            marker={"symbol": symbols, "size": 15, "color": INK, "line": {"width": 2.5}},
            text=[f"<b>{name}</b>" for name in names],
            textposition="top center",
            cliponaxis=False,
            textfont={"color": INK, "size": 12},
            hoverinfo="skip",
            visible=visible,
            **place,
        )
