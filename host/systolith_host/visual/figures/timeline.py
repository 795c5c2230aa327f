"""A layer's timeline: load, array, drain, store and bus, and the use of the buffers."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from systolith_host.visual.figures.style import COLOURS, INK, axis, finish
from systolith_host.visual.occupancy import Occupancy
from systolith_host.visual.timeline import Timeline
from systolith_hw.spec.isa import Buffer, Opcode

__all__ = ["buffers", "timeline"]

_LANES = {
    "load": ("activations", "weights", "parameters"),
    "array": ("even tile", "odd tile"),
    "drain": ("drain",),
    "store": ("until acknowledged",),
}
_COLOURS = {
    "activations": COLOURS[0],
    "weights": COLOURS[1],
    "parameters": COLOURS[6],
    "even tile": "#0f766e",
    "odd tile": "#5eead4",
    "drain": COLOURS[3],
    "until acknowledged": "#f0abfc",
}
_CURVES = 5
"""Busy load, array and drain, and the bus read and written."""

_MOST_POINTS = 4000


def timeline(one: Timeline, window: tuple[int, int]) -> go.Figure:
    """Draw instructions in lanes, and the bus below; buttons show all, start, middle or end.

    Parameters
    ----------
    window : (int, int)
        Cycles before those that are shown at first, and with them.
    """
    figure = make_subplots(
        rows=3,
        shared_xaxes=True,
        vertical_spacing=0.05,
        row_heights=[0.5, 0.2, 0.3],
    )
    for lane, groups in _LANES.items():
        for group in groups:
            _bars(figure, one, lane, group)
    windows = _windows(one)
    if window not in windows.values():
        windows = {f"{window[0] + 1:,} to {window[1]:,}": window, **windows}
    chosen = one.averaged(window)
    averages = sorted({chosen, *map(one.averaged, windows.values())})
    bars = sum(map(len, _LANES.values()))
    for every in averages:
        _rates(figure, one, every, visible=every == chosen)
    figure.update_yaxes(
        **axis("", categoryorder="array", categoryarray=list(_LANES)[::-1], range=[-0.6, 3.6]),
        row=1,
        col=1,
    )
    figure.update_yaxes(**axis("busy, %", range=[0, 105]), row=2, col=1)
    figure.update_yaxes(**axis("bus,<br>bytes per cycle", rangemode="tozero"), row=3, col=1)
    figure.update_xaxes(**axis("", tickformat=","))
    figure.update_xaxes(title={"text": "cycle"}, row=3, col=1)
    figure.update_xaxes(range=list(window))
    buttons = [
        {
            "label": label,
            "method": "update",
            "args": [
                {
                    "visible": [True] * bars
                    + [one.averaged(part) == every for every in averages for _ in range(_CURVES)]
                },
                {f"xaxis{n}.range": list(part) for n in ("", "2", "3")},
            ],
        }
        for label, part in windows.items()
    ]
    menu = {"type": "buttons", "direction": "right", "buttons": buttons, "x": 0, "y": 1.14}
    menu |= {"xanchor": "left", "yanchor": "top", "showactive": True}
    legend = {"orientation": "h", "yanchor": "top", "y": -0.13, "x": 0, "traceorder": "normal"}
    return finish(
        figure,
        660,
        updatemenus=[menu],
        legend=legend,
        margin={"l": 75, "r": 45, "t": 75, "b": 110},
    )


def _rates(figure: go.Figure, one: Timeline, every: int, *, visible: bool) -> None:
    """Draw how busy engines and bus are, on average of so many intervals each."""
    shares = (("LOAD busy", "load", COLOURS[0]), ("COMPUTE busy", "array", "#0f766e"))
    # Each average from its first interval's begin to its last one's end.
    x = np.arange(len(one.samples) // every + 1) * one.interval * every
    for column, name, colour in (*shares, ("STORE busy", "drain", COLOURS[3])):
        figure.add_scatter(
            x=x,
            y=100 * _held(one.rates(column, every)),
            mode="lines",
            line={"shape": "hv", "width": 1.5, "color": colour},
            name=f"{name} busy",
            showlegend=False,
            visible=visible,
            hovertemplate="cycle %{x:,.0f}: " + name + " busy %{y:.1f} %<extra></extra>",
            row=2,
            col=1,
        )
    bus = one.config.bus_bytes
    for column, name, colour in (
        ("read_beats", "bus: read", "#93b4f5"),
        ("write_beats", "bus: written", "#db2777"),
    ):
        figure.add_scatter(
            x=x,
            y=_held(one.rates(column, every)) * bus,
            mode="lines",
            # A line around the area would cover it where the picture is dense.
            line={"shape": "hv", "width": 0, "color": colour},
            fillcolor=colour,
            stackgroup=f"bus{every}",
            name=name,
            visible=visible,
            hovertemplate="cycle %{x:,.0f}: %{y:.2f} bytes per cycle<extra>" + name + "</extra>",
            row=3,
            col=1,
        )


def _held(values: np.ndarray) -> np.ndarray:
    """Return values with the last one twice, so that its step is drawn to the end."""
    return np.append(values, values[-1:])


def _windows(one: Timeline) -> dict[str, tuple[int, int]]:
    """Return parts of the layer worth seeing: about a hundred instructions each."""
    cycles = one.cycles
    part = max(cycles * 60 // max(len(one.instructions), 60), min(cycles, 4000))
    middle = (cycles - part) // 2
    return {
        "whole layer": (0, cycles),
        "start": (0, part),
        "middle": (middle, middle + part),
        "end": (cycles - part, cycles),
    }


def _bars(figure: go.Figure, one: Timeline, lane: str, group: str) -> None:
    opcode = {"load": Opcode.LOAD, "array": Opcode.CONV}.get(lane, Opcode.STORE)
    x: list[float | None] = []
    text: list[str] = []
    for number, instruction in enumerate(one.instructions):
        if instruction.opcode != opcode or not _belongs(instruction.fields, group):
            continue
        passed, begin, end, stored = map(int, one.times[number])
        first, last = (passed, stored) if lane == "store" else (begin, end)
        what = (
            f"{instruction.opcode.name} {number}, {group}<br>cycles {first:,} to {last:,} "
            f"({last + 1 - first:,})"
        )
        # Three points and a gap: the one in the middle makes long bars easy to point at.
        x += [first, (first + last + 1) / 2, last + 1, None]
        text += [what, what, what, ""]
    figure.add_scatter(
        x=x,
        y=[lane] * len(x),
        mode="lines",
        # Simplified, bars narrower than a pixel would be left out: the lane of a long layer empty.
        line={"color": _COLOURS[group], "width": 22, "simplify": False},
        opacity=0.55 if lane == "store" else 1.0,
        name=f"{lane}: {group}" if group != lane else lane,
        text=text,
        hovertemplate="%{text}<extra></extra>",
        connectgaps=False,
        row=1,
        col=1,
    )


def _belongs(fields, group: str) -> bool:
    buffers = {
        "activations": Buffer.ACT,
        "weights": Buffer.WEIGHT,
        "parameters": Buffer.PARAM,
    }
    if group in buffers:
        return fields["buffer"] == buffers[group]
    if group in ("even tile", "odd tile"):
        return fields["bank"] == (group == "odd tile")
    return True


def buffers(found: Sequence[Occupancy], cycles: int, window: tuple[int, int]) -> go.Figure:
    """Draw the use of each buffer over a layer, in percent of its size.

    Parameters
    ----------
    cycles : int
        Of the layer.
    window : (int, int)
        Cycles before those that are shown, and with them.
    """
    figure = make_subplots(
        rows=len(found),
        shared_xaxes=True,
        vertical_spacing=0.06,
        subplot_titles=[
            f"{one.name}: at most {one.peak:,} of {one.capacity:,} bytes "
            f"({one.peak / one.capacity:.0%})"
            for one in found
        ],
    )
    for row, one in enumerate(found, 1):
        at, used = _thinned(one, cycles)
        figure.add_scatter(
            x=at,
            y=100 * used / one.capacity,
            customdata=used,
            mode="lines",
            line={"shape": "hv", "width": 1, "color": COLOURS[row - 1]},
            fill="tozeroy",
            name=one.name,
            showlegend=False,
            hovertemplate="cycle %{x:,}: %{customdata:,} bytes, %{y:.1f} %<extra>"
            + one.name
            + "</extra>",
            row=row,
            col=1,
        )
        figure.add_hline(
            y=100,
            line={"dash": "dot", "color": INK, "width": 1},
            row=row,  # pyright: ignore[reportArgumentType]  # plotly's stubs want a text
            col=1,  # pyright: ignore[reportArgumentType]
        )
        figure.update_yaxes(**axis("% in use", range=[0, 108]), row=row, col=1)
    figure.update_xaxes(**axis("", tickformat=",", range=list(window)))
    figure.update_xaxes(title={"text": "cycle"}, row=len(found), col=1)
    figure.update_annotations(font={"size": 12.5}, x=0, xanchor="left")
    return finish(figure, 130 + 140 * len(found))


def _thinned(one: Occupancy, cycles: int) -> tuple[np.ndarray, np.ndarray]:
    """Return at most so many points that a browser stays quick; of each stretch the most used."""
    at = np.concatenate([[0], one.cycles, [cycles]])
    used = np.concatenate([[0], one.used, one.used[-1:]])
    if len(at) <= _MOST_POINTS:
        return at, used
    cuts = np.linspace(0, len(at), _MOST_POINTS + 1).astype(int)[:-1]
    return at[cuts], np.maximum.reduceat(used, cuts)
