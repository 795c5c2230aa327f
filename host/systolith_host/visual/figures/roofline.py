"""The roofline: the speed of each layer versus the limits of array and memory."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import plotly.graph_objects as go

from systolith_host.visual.figures.labels import Box, Line, place, text_box
from systolith_host.visual.figures.style import COLOURS, INK, KINDS, axis, below, finish, short
from systolith_host.visual.points import LayerPoint
from systolith_hw.spec.winograd import MACS_PER_PRODUCT

__all__ = ["roofline"]

_HIGH = 420
"""Pixels between the axes, from bottom to top."""

_MARGIN = {"l": 70, "r": 30, "t": 20}
_ENTRY = 250
"""Pixels that an entry of the legend takes."""

_NAME_SIZE = 10.5
_MARK, _DIAMOND = 13, 20
"""Pixels that a point takes, modelled or measured."""


def roofline(
    points: Sequence[LayerPoint],
    measured: Sequence[LayerPoint],
    multipliers: int,
    rate: float,
    width: int,
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
    width : int
        In pixels; names of layers stand where it leaves them room.
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
    peak = MACS_PER_PRODUCT * multipliers if winograd else multipliers
    roofs = [[(low, rate * low), (ridge, multipliers), (high, multipliers)]]
    if winograd:
        roofs.append([(ridge, multipliers), (higher, peak), (high, peak)])
    figure = go.Figure()
    figure.add_scatter(
        x=[x for x, _ in roofs[0]],
        y=[y for _, y in roofs[0]],
        mode="lines",
        line={"color": INK, "width": 2},
        name=f"roof: {multipliers:,} MACs, {rate:g} bytes per cycle",
        hoverinfo="skip",
    )
    if winograd:
        figure.add_scatter(
            x=[x for x, _ in roofs[1]],
            y=[y for _, y in roofs[1]],
            mode="lines",
            line={"color": INK, "width": 2, "dash": "dash"},
            name=f"Winograd's roof: {peak:,} MACs",
            hoverinfo="skip",
        )
    figure.add_scatter(
        x=[ridge],
        y=[multipliers],
        mode="markers",
        marker={"color": INK, "symbol": "line-ns-open", "size": 14},
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
    top = 2 * peak
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
    _name(
        figure,
        {
            f"ridge: {ridge:.3g} MACs per byte": (ridge, multipliers),
            **{
                point.name: (point.intensity, point.rate)
                for point in sorted(points, key=lambda point: -point.cycles)
            },
        },
        _Plane((low, high), (least, top), width - _MARGIN["l"] - _MARGIN["r"]),
        [(point.intensity, point.rate) for point in measured],
        roofs,
    )
    entries = len(roofs) + len({point.kind for point in points}) + bool(measured)
    rows = math.ceil(entries / max(1, (width - _MARGIN["l"]) // _ENTRY))
    margin = {**_MARGIN, "b": 70 + 21 * rows}
    height = _HIGH + margin["t"] + margin["b"]
    return finish(figure, height, margin=margin, legend=below(height, height - _HIGH))


@dataclass(frozen=True)
class _Plane:
    """The logarithmic plane between the axes.

    Parameters
    ----------
    intensities, rates : (float, float)
        Its ends.
    wide : int
        In pixels; it is _HIGH pixels high.
    """

    intensities: tuple[float, float]
    rates: tuple[float, float]
    wide: int

    def pixels(self, intensity: float, rate: float) -> tuple[float, float]:
        """Return pixels to the right and down."""
        right = math.log(intensity / self.intensities[0], self.intensities[1] / self.intensities[0])
        up = math.log(rate / self.rates[0], self.rates[1] / self.rates[0])
        return right * self.wide, (1 - up) * _HIGH


def _name(
    figure: go.Figure,
    names: Mapping[str, tuple[float, float]],
    plane: _Plane,
    measured: Sequence[tuple[float, float]],
    roofs: Sequence[Sequence[tuple[float, float]]],
) -> None:
    """Write names next to points, on no point, line or other name; those that matter most first."""
    lines: list[Line] = []
    for roof in roofs:
        lines += pairwise(plane.pixels(*point) for point in roof)
    marks = [Box(*plane.pixels(*point), _MARK, _MARK) for point in names.values()]
    sizes = [text_box(name, _NAME_SIZE) for name in names]
    others = [Box(*plane.pixels(*point), _DIAMOND, _DIAMOND) for point in measured]
    frame = Box(plane.wide / 2, _HIGH / 2, plane.wide, _HIGH)
    found = place(list(zip(marks, sizes, strict=True)), others, lines, frame)
    for (name, point), mark, chosen in zip(names.items(), marks, found, strict=True):
        if chosen is None:
            continue
        text, joined = chosen
        right, down = text.right - mark.right, text.down - mark.down
        look: dict[str, Any] = {"showarrow": False, "xshift": right, "yshift": -down}
        if joined:
            look = {"showarrow": True, "ax": right, "ay": down, "arrowhead": 0, "standoff": 6}
            look |= {"arrowwidth": 0.6, "arrowcolor": "#9aa5b1"}
        figure.add_annotation(
            x=math.log10(point[0]),
            y=math.log10(point[1]),
            text=name,
            font={"size": _NAME_SIZE, "color": INK},
            xanchor="center",
            yanchor="middle",
            borderpad=0,
            **look,
        )


def _hover(point: LayerPoint, multipliers: int) -> str:
    return (
        f"<b>{point.title}</b><br>{point.cycles:,} cycles, {point.macs / 1e6:,.1f} MMACs<br>"
        f"{point.rate:,.1f} MACs per cycle, {point.rate / multipliers:.1%} of the array<br>"
        f"{short(point.traffic)}B of traffic, {point.traffic / point.compulsory_bytes:.2f} times "
        f"the least<br>{point.bound_cycles / point.cycles:.1%} of the lower bound's speed"
    )
