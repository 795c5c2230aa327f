"""Cycles by the performance model versus those of the RTL."""

from collections.abc import Sequence

import plotly.graph_objects as go

from systolith_host.visual.figures.style import COLOURS, INK, below, finish, log_axis

__all__ = ["validation"]

_SYMBOLS = ("circle-open", "diamond-open", "square-open")


def validation(cases: Sequence[tuple[str, int, int]]) -> go.Figure:
    """Draw each case as a point; on the line the model is exact.

    Parameters
    ----------
    cases : sequence of (str, int, int)
        The group of each, its cycles in the RTL, and those by the model.
    """
    figure = go.Figure()
    ends = [least(value for case in cases for value in case[1:]) for least in (min, max)]
    figure.add_scatter(x=ends, y=ends, mode="lines", name="equal", line={"color": INK, "width": 1})
    for number, group in enumerate(dict.fromkeys(case[0] for case in cases)):
        mine = [case for case in cases if case[0] == group]
        symbol = _SYMBOLS[number // len(COLOURS) % len(_SYMBOLS)]
        figure.add_scatter(
            x=[measured for _, measured, _ in mine],
            y=[modelled for _, _, modelled in mine],
            mode="markers",
            name=group,
            marker={"color": COLOURS[number % len(COLOURS)], "symbol": symbol, "size": 7},
            hovertemplate="%{x:,} cycles in the RTL, %{y:,} by the model<extra>"
            + group
            + "</extra>",
        )
    figure.update_xaxes(**log_axis("cycles in the RTL", *ends))
    figure.update_yaxes(**log_axis("cycles by the model", *ends))
    height = 520
    return finish(
        figure,
        height,
        legend=below(height, 130, font={"size": 11}),
        margin={"l": 75, "r": 45, "t": 20, "b": 110},
    )
