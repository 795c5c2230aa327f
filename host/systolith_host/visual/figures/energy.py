"""The energy of each layer, by what takes it."""

from collections.abc import Sequence

import plotly.graph_objects as go

from systolith_host.energy.energy import Energy
from systolith_host.visual.figures.style import COLOURS, INK, axis, below, finish
from systolith_host.visual.points import LayerPoint

__all__ = ["energy"]

_MJ = 1e9  # pJ

_DRAM = "#cbd5e1"


def energy(points: Sequence[LayerPoint]) -> go.Figure:
    """Draw each layer's energy as a bar of its parts, with the range of the whole.

    Parameters
    ----------
    points : sequence of LayerPoint
        With their energies.
    """
    figure = go.Figure()
    names = [point.title for point in points]
    spent = [point.energy for point in points if point.energy is not None]
    for number, (part, whole) in enumerate(Energy.of(spent).parts.items()):
        figure.add_bar(
            y=names,
            x=[one.parts[part].pj / _MJ for one in spent],
            orientation="h",
            name=f"{part}: {whole.pj / _MJ:,.3g} mJ",
            marker={"color": _DRAM if part == "DRAM" else COLOURS[number % len(COLOURS)]},
            hovertemplate="%{y}: %{x:,.3f} mJ<extra>" + part + "</extra>",
        )
    totals = [one.total for one in spent]
    figure.add_scatter(
        y=names,
        x=[total.pj / _MJ for total in totals],
        mode="markers",
        name=f"all: {sum(total.pj for total in totals) / _MJ:,.3g} mJ, with its range",
        marker={"color": INK, "size": 4},
        error_x={
            "type": "data",
            "array": [(total.high - total.pj) / _MJ for total in totals],
            "arrayminus": [(total.pj - total.low) / _MJ for total in totals],
            "color": INK,
            "thickness": 1,
            "width": 3,
        },
        hovertemplate="%{y}: %{x:,.3f} mJ<extra>all</extra>",
    )
    figure.update_yaxes(autorange="reversed", **axis("", gridcolor="#ffffff"))
    figure.update_xaxes(**axis("energy, mJ"), rangemode="tozero")
    figure.update_layout(barmode="stack", bargap=0.25)
    height = max(320, 140 + 25 * len(points))
    margin = {"l": 130, "r": 45, "t": 30, "b": 110}
    return finish(figure, height, legend=below(height, 140), margin=margin)
