"""The points of a sweep: what cycles cost in multipliers, buffers and traffic."""

import plotly.graph_objects as go

from systolith_host.explore.results import Result
from systolith_host.visual.figures.panels import NARROW, panels
from systolith_host.visual.figures.style import COLOURS, INK, finish, log_axis
from systolith_host.visual.sweep import Sweep

__all__ = ["front"]

_COSTS = (
    ("multipliers", "multipliers", 1),
    ("memory_bytes", "buffers, KiB", 1024),
    ("known_bytes", "DRAM traffic, MB", 1_000_000),
    ("energy_pj", "energy, mJ", 10**9),
)

_BEATEN = {"color": "#9aa5b1", "size": 7}
_BEST = {"color": COLOURS[1], "size": 10, "line": {"color": INK, "width": 0.8}}
_EXACT = {"symbol": "circle"}
_ESTIMATED = {"symbol": "circle-open"}


def front(sweep: Sweep, width: int) -> go.Figure:
    """Draw cycles against each cost; the points that nothing beats in everything stand out.

    Exact points are filled, estimated ones are rings. Only exact ones have an energy.
    """
    known = any(result.energy_pj is not None for result in sweep.points)
    costs = [cost for cost in _COSTS if cost[0] != "energy_pj" or known]
    drawn = panels(len(costs), width, 360 if width >= NARROW else 200, 0.03, shared_yaxes=True)
    figure = drawn.figure
    best = {result.key for result in sweep.front.results}
    groups = []
    for name, look, among in (
        ("beaten by another point", _BEATEN, False),
        ("Pareto front", _BEST, True),
    ):
        for exact, mark, number in ((False, _ESTIMATED, "estimated"), (True, _EXACT, "exact")):
            members = [
                result
                for result in sweep.points
                if (result.key in best) == among and result.exact == exact
            ]
            if members:
                groups.append((members, f"{name}, {number}", look | mark))
    for place, (field, title, unit) in zip(drawn.places, costs, strict=True):
        for members, name, look in groups:
            points = [result for result in members if getattr(result, field) is not None]
            figure.add_scatter(
                x=[getattr(result, field) / unit for result in points],
                y=[result.known_cycles for result in points],
                mode="markers",
                name=name,
                legendgroup=name,
                showlegend=place == drawn.places[0],
                marker=look,
                text=[_hover(sweep, result) for result in points],
                hovertemplate="%{text}<extra></extra>",
                **place,
            )
        found = [getattr(result, field) for result in sweep.points]
        values = [value / unit for value in found if value is not None]
        figure.update_xaxes(**log_axis(title, min(values), max(values)), **place)
    cycles = [result.known_cycles for result in sweep.points]
    figure.update_yaxes(**log_axis("", min(cycles), max(cycles)))
    for place in drawn.places[:1] if drawn.beside else drawn.places:
        figure.update_yaxes(title={"text": "cycles"}, **place)
    return finish(figure, drawn.height + 100)


def _hover(sweep: Sweep, result: Result) -> str:
    values = "<br>".join(
        f"{axis_name.replace('_', ' ')}: {result.values[axis_name]:,g}"
        for axis_name in sweep.axes
        if axis_name in result.values
    )
    cycles, about = result.known_cycles, "" if result.exact else "~"
    return (
        f"<b>{about}{cycles:,} cycles</b> ({about}{result.bound_cycles / cycles:.1%} of the "
        f"bound's speed)<br>{values}<br>{result.multipliers:,} multipliers, "
        f"{result.memory_bytes / 1024:,.0f} KiB of buffers, "
        f"{about}{result.known_bytes / 1e6:,.1f} MB of traffic<br>{result.dsps:,} DSPs, "
        f"{result.block_rams:,} block RAMs of an ECP5"
    )
