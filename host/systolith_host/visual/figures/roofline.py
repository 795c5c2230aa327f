"""The roofline: the speed of each layer versus the limits of array and memory."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from systolith_host.visual.figures.style import COLOURS, INK, KINDS, axis, finish, short
from systolith_host.visual.points import LayerPoint
from systolith_hw.spec.winograd import MACS_PER_PRODUCT

__all__ = ["roofline"]


def roofline(
    points: Sequence[LayerPoint],
    measured: Sequence[LayerPoint],
    multipliers: int,
    rate: float,
    *,
    winograd: bool = False,
) -> go.Figure:
    """Draw modelled (and measured) layers under the roof of array and memory.

    Parameters
    ----------
    multipliers : int
        Multiply-accumulates per cycle at most.
    rate : float
        Bytes per cycle at most.
    winograd : bool
        Also draw the roof of layers that Winograd's convolution gives.
    """
    # Layers that multiply nothing have no place on these axes.
    points = [point for point in points if point.macs]
    measured = [point for point in measured if point.macs]
    everything = [*points, *measured]
    ridge = multipliers / rate
    higher = MACS_PER_PRODUCT * ridge if winograd else ridge
    low = min([ridge, *(point.intensity for point in everything)]) / 2
    high = max([higher, *(point.intensity for point in everything)]) * 2
    x = np.array([low, ridge, high])
    figure = go.Figure()
    figure.add_scatter(
        x=x,
        y=np.minimum(multipliers, rate * x),
        mode="lines",
        line={"color": INK, "width": 2},
        name=f"roof: {multipliers:,} MACs, {rate:g} bytes per cycle",
        hoverinfo="skip",
    )
    if winograd:
        figure.add_scatter(
            x=[ridge, higher, high],
            y=[multipliers, *[MACS_PER_PRODUCT * multipliers] * 2],
            mode="lines",
            line={"color": INK, "width": 2, "dash": "dash"},
            name=f"Winograd's roof: {MACS_PER_PRODUCT * multipliers:,} MACs",
            hoverinfo="skip",
        )
    figure.add_scatter(
        x=[ridge],
        y=[multipliers],
        mode="markers+text",
        marker={"color": INK, "symbol": "line-ns-open", "size": 14},
        text=[f"ridge: {ridge:.3g} MACs per byte"],
        textposition="top left",  # both roofs begin to its right
        showlegend=False,
        hoverinfo="skip",
    )
    for kind in dict.fromkeys(point.kind for point in points):
        mine = [point for point in points if point.kind == kind]
        figure.add_scatter(
            x=[point.intensity for point in mine],
            y=[point.rate for point in mine],
            mode="markers",
            name=f"{kind}, modelled",
            marker={"size": 11, "color": KINDS.get(kind, COLOURS[-1]), "opacity": 0.8},
            text=[_hover(point, multipliers) for point in mine],
            hovertemplate="%{text}<extra>modelled</extra>",
        )
    if measured:
        figure.add_scatter(
            x=[point.intensity for point in measured],
            y=[point.rate for point in measured],
            mode="markers",
            name="measured in RTL",
            marker={"size": 18, "symbol": "diamond-open", "color": INK, "line": {"width": 1.5}},
            text=[_hover(point, multipliers) for point in measured],
            hovertemplate="%{text}<extra>measured in RTL</extra>",
        )
    _label(figure, points)
    top = multipliers * 2 * (MACS_PER_PRODUCT if winograd else 1)
    least = min(min(point.rate for point in everything), rate * low) / 1.5
    figure.update_xaxes(
        **axis(
            "multiply-accumulates per byte of DRAM traffic",
            type="log",
            range=[np.log10(low), np.log10(high)],
            dtick=1,
            minor={"showgrid": True, "gridcolor": "#f3f4f6"},
        )
    )
    figure.update_yaxes(
        **axis(
            "multiply-accumulates per cycle",
            type="log",
            range=[np.log10(least), np.log10(top)],
            dtick=1,
            minor={"showgrid": True, "gridcolor": "#f3f4f6"},
        )
    )
    return finish(figure, 520)


def _label(figure: go.Figure, points: Sequence[LayerPoint]) -> None:
    """Name the layers below the crowd; those near the roof form one line, by intensity."""
    placed: list[tuple[float, float, int]] = []
    for point in sorted(points, key=lambda point: point.intensity):
        x, y = float(np.log10(point.intensity)), float(np.log10(point.rate))
        level = 0
        while any(abs(x - a) < 0.17 and abs(y - b) < 0.3 and level == c for a, b, c in placed):
            level += 1
        placed.append((x, y, level))
        figure.add_annotation(
            x=x,
            y=y,
            text=point.name,
            font={"size": 10.5, "color": INK},
            showarrow=True,
            arrowwidth=0.6,
            arrowcolor="#9aa5b1",
            arrowhead=0,
            ax=0,
            ay=26 + 15 * level,
            standoff=6,
        )


def _hover(point: LayerPoint, multipliers: int) -> str:
    return (
        f"<b>{point.title}</b><br>{point.cycles:,} cycles, {point.macs / 1e6:,.1f} MMACs<br>"
        f"{point.rate:,.1f} MACs per cycle, {point.rate / multipliers:.1%} of the array<br>"
        f"{short(point.traffic)}B of traffic, {point.traffic / point.compulsory_bytes:.2f} times "
        f"the least<br>{point.bound_cycles / point.cycles:.1%} of the lower bound's speed"
    )
