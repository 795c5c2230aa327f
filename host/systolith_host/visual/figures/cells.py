"""Coloured cells of a table as vector graphics: plotly's own heat map is a bitmap."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from systolith_host.visual.figures.style import INK

__all__ = ["add_cells", "cell_axis"]


def add_cells(
    figure: go.Figure,
    values: np.ndarray,
    texts: Sequence[Sequence[str]] | None,
    hovers: Sequence[Sequence[str]],
    place: dict[str, int],
    **marker: Any,
) -> None:
    """Draw each value as a cell around whole numbers of both axes; NaN leaves its place blank.

    Parameters
    ----------
    values : ndarray of shape (rows, columns)
    texts, hovers : sequence of sequence of str, optional
        What stands in each cell, and what the pointer finds there.
    place : dict
        Row and column of the panel.
    marker : object
        The colours, as plotly names them.
    """
    rows, columns = np.nonzero(~np.isnan(values))
    found = list(zip(rows.tolist(), columns.tolist(), strict=True))
    figure.add_bar(
        x=[0.97] * len(found),
        base=[column - 0.485 for _, column in found],
        y=[row for row, _ in found],
        width=0.94,
        orientation="h",
        marker={"color": values[rows, columns].tolist(), "line": {"width": 0}, **marker},
        text=[texts[row][column] for row, column in found] if texts is not None else None,
        textposition="inside",
        insidetextanchor="middle",
        textangle=0,
        insidetextfont={"color": INK},
        hovertext=[hovers[row][column] for row, column in found],
        hovertemplate="%{hovertext}<extra></extra>",
        showlegend=False,
        **place,
    )


def cell_axis(labels: Sequence[str], **more: Any) -> dict[str, Any]:
    """Return the settings of an axis with a label for each row or column of cells."""
    ends = [-0.5, len(labels) - 0.5]
    return {
        "tickvals": list(range(len(labels))),
        "ticktext": list(labels),
        "range": ends,
        "showgrid": False,
        **more,
    }
