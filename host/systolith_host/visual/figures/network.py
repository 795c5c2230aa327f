"""The timeline of a whole network: the share of time in which each engine is busy."""

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from systolith_host.visual.activity import LANES, Piece
from systolith_host.visual.figures.labels import text_box
from systolith_host.visual.figures.panels import NARROW
from systolith_host.visual.figures.style import INK, axis, finish

__all__ = ["network"]

_NAME_SIZE = 11

_SHADES = {
    "load": ("#1d4ed8", "#60a5fa"),
    "array": ("#0f766e", "#2dd4bf"),
    "drain": ("#7e22ce", "#c084fc"),
    "store": ("#be185d", "#f472b6"),
}
"""Of layers in turn."""

_MARGIN = {"l": 75, "r": 45, "t": 50, "b": 60}


def network(pieces: Sequence[Piece], names: Sequence[str], width: int) -> go.Figure:
    """Draw a row for each engine; the filled area of a layer is its busy time.

    Parameters
    ----------
    pieces : sequence of Piece
    names : sequence of str
        Of the layers.
    width : int
        In pixels.
    """
    figure = make_subplots(rows=len(LANES), shared_xaxes=True, vertical_spacing=0.04)
    total = pieces[-1].end
    for row, lane in enumerate(LANES, 1):
        for parity, colour in enumerate(_SHADES[lane]):
            x: list[int] = []
            y: list[float] = []
            text: list[str] = []
            for one in pieces:
                share = 100 * one.busy[lane] / (one.end - one.begin)
                x.append(one.begin)
                y.append(round(share, 2) if one.layer % 2 == parity else 0)
                text.append(
                    f"{names[one.layer]}: {lane} busy in {one.busy[lane]:,} of "
                    f"{one.end - one.begin:,} cycles from {one.begin + 1:,}"
                )
            figure.add_scatter(
                x=[*x, total],
                y=[*y, 0],
                mode="lines",
                line={"shape": "hv", "width": 0, "color": colour},
                fill="tozeroy",
                fillcolor=colour,
                name=lane,
                text=[*text, text[-1]],
                hovertemplate="%{text}<extra></extra>",
                showlegend=False,
                row=row,
                col=1,
            )
        figure.update_yaxes(**axis(f"{lane}<br>busy, %", range=[0, 105]), row=row, col=1)
    wide = width - _MARGIN["l"] - _MARGIN["r"]
    _name(figure, pieces, names, wide)
    figure.update_xaxes(**axis("", tickformat="," if width >= NARROW else "~s", range=[0, total]))
    figure.update_xaxes(title={"text": "cycle"}, row=len(LANES), col=1)
    return finish(figure, 520, margin=_MARGIN)


def _name(figure: go.Figure, pieces: Sequence[Piece], names: Sequence[str], wide: int) -> None:
    """Write the names of layers above them, where they have room in so many pixels."""
    total = pieces[-1].end
    for number, name in enumerate(names):
        mine = [one for one in pieces if one.layer == number]
        begin, end = mine[0].begin, mine[-1].end
        if (end - begin) * wide < text_box(name, _NAME_SIZE)[0] * total:
            continue
        figure.add_annotation(
            x=(begin + end) / 2,
            xref="x",
            y=1.01,
            yref="paper",
            yanchor="bottom",
            text=name,
            showarrow=False,
            font={"color": INK, "size": _NAME_SIZE},
        )
