"""Heat maps of a layer's tilings: tile size against traffic and against cycles."""

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from systolith_host.visual.explain import loop_order, weights_text
from systolith_host.visual.figures.cells import add_cells, cell_axis
from systolith_host.visual.figures.style import INK, axis, finish
from systolith_host.visual.tilings import TilingMap, TilingStudy

__all__ = ["heat_maps"]

_CLIP = 85
"""Percentile beyond which all tiles have the darkest colour: the worst ones would hide the rest."""

_TRACES = 4
"""Of each map: two tables of cells, and the best tile marked in both."""


def heat_maps(study: TilingStudy) -> go.Figure:
    """Draw traffic and cycles of every tile size; buttons change the bandwidth."""
    figure = make_subplots(
        cols=2,
        horizontal_spacing=0.13,
        shared_yaxes=True,
        subplot_titles=(
            "DRAM traffic, estimated, MB",
            "estimated cycles above the array's least, %",
        ),
    )
    tiles = {key for one in study.maps for key in one.tiles}
    rows = sorted({row for row, _ in tiles})
    columns = sorted({column for _, column in tiles})
    for number, one in enumerate(study.maps):
        _draw(figure, study, one, rows, columns, number == 0)
    traces = _TRACES * len(study.maps)
    buttons = [
        {
            "label": f"{one.bandwidth:g} bytes per cycle",
            "method": "update",
            "args": [
                {"visible": [i // _TRACES == number for i in range(traces)]},
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
    numbers = cell_axis([str(value) for value in columns], tickangle=0, tickfont={"size": 10.5})
    figure.update_xaxes(**axis("columns of the accumulator tile, outputs", **numbers))
    numbers = cell_axis([str(value) for value in rows])
    figure.update_yaxes(**axis("", **numbers))
    figure.update_yaxes(title={"text": "rows of the accumulator tile, outputs"}, row=1, col=1)
    figure.update_layout(barmode="overlay")
    return finish(
        figure,
        max(420, 170 + 17 * len(rows)),
        updatemenus=menus if len(study.maps) > 1 else [],
        margin={"l": 70, "r": 115, "t": 90, "b": 60},
        showlegend=False,
    )


def _draw(
    figure: go.Figure,
    study: TilingStudy,
    one: TilingMap,
    rows: list[int],
    columns: list[int],
    visible: bool,
) -> None:
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
    panels = ((traffic, "MB", 0.445, "Blues"), (cycles, "%", 1.005, "Oranges"))
    for number, (values, unit, place, colours) in enumerate(panels):
        add_cells(
            figure,
            values,
            None,
            text.tolist(),
            {"row": 1, "col": number + 1},
            colorscale=colours,
            cmin=float(np.nanmin(values)),
            cmax=float(np.nanpercentile(values, _CLIP)) or None,
            colorbar={"title": {"text": unit}, "x": place, "thickness": 12, "len": 0.95},
        )
        figure.data[-1].visible = visible
    best, chosen = one.best.schedule, one.chosen.schedule
    marks = [(best.columns, best.rows, "best", "square-open")]
    if (best.columns, best.rows) != (chosen.columns, chosen.rows):
        marks.append((chosen.columns, chosen.rows, "compiler's", "circle-open"))
    columns_of, rows_of, names, symbols = zip(*marks, strict=True)
    for number in range(2):
        figure.add_scatter(
            x=[columns.index(value) for value in columns_of],
            y=[rows.index(value) for value in rows_of],
            mode="markers+text",
            marker={"symbol": symbols, "size": 15, "color": INK, "line": {"width": 2.5}},
            text=[f"<b>{name}</b>" for name in names],
            textposition="top center",
            textfont={"color": INK, "size": 12},
            hoverinfo="skip",
            visible=visible,
            row=1,
            col=number + 1,
        )
