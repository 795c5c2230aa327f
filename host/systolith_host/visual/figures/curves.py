"""Cycles over the memory's bandwidth: all layers together, and each versus its own best."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from systolith_host.visual.curves import Curve, Curves
from systolith_host.visual.figures.panels import panels
from systolith_host.visual.figures.style import COLOURS, INK, axis, below, finish, log_axis

__all__ = ["bandwidth"]


_DASHES = ("solid", "8px,4px", "5px,5px", "2px,4px")


def _equal(curve: Curve, before: Sequence[Curve]) -> str:
    """Return the note that a curve has the very values of one that is drawn before."""
    mine = [cycles * min(other.cycles) for other in before for cycles in curve.cycles]
    theirs = [cycles * min(curve.cycles) for other in before for cycles in other.cycles]
    count = len(curve.cycles)
    for number, other in enumerate(before):
        part = slice(number * count, (number + 1) * count)
        if mine[part] == theirs[part]:
            return f" (equal to {other.name})"
    return ""


def bandwidth(curves: Curves, here: tuple[float, int], width: int) -> go.Figure:
    """Draw the curves.

    Parameters
    ----------
    here : (float, int)
        The page's own bandwidth, and the total of the replay there.
    width : int
        In pixels.
    """
    drawn = panels(
        2,
        width,
        380,
        0.11,
        subplot_titles=("all layers together", "each layer, in times its least"),
    )
    figure, (together, each) = drawn.figure, drawn.places
    x = list(curves.bandwidths)
    total = curves.total
    figure.add_scatter(
        x=x,
        y=total.cycles,
        mode="lines+markers",
        name="all layers, estimated",
        line={"color": INK, "width": 3},
        customdata=np.array(total.traffic) / 1e6,
        hovertemplate="%{x:g} bytes per cycle: ~%{y:,} cycles<br>~%{customdata:,.1f} MB moved"
        "<extra>all layers</extra>",
        **together,
    )
    figure.add_scatter(
        x=[here[0]],
        y=[here[1]],
        mode="markers",
        name="exact, replayed",
        marker={"symbol": "diamond-open", "size": 15, "color": COLOURS[1], "line": {"width": 2}},
        hovertemplate="%{x:g} bytes per cycle: %{y:,} cycles<extra>the page's memory</extra>",
        **together,
    )
    figure.add_hline(
        y=total.array_cycles,
        line={"dash": "dot", "color": COLOURS[2]},
        **together,  # pyright: ignore[reportArgumentType]  # plotly's stubs want a text
    )
    # The line's own annotation would stand at the wrong place of a logarithmic axis.
    figure.add_annotation(
        x=np.log10(x[0]),
        y=np.log10(total.array_cycles),
        text="products / multipliers",
        font={"size": 11, "color": COLOURS[2]},
        showarrow=False,
        xanchor="left",
        yanchor="bottom",
        **together,
    )
    knee = total.knee
    figure.add_annotation(
        x=np.log10(x[knee]),
        y=np.log10(total.cycles[knee]),
        text=f"<b>knee: {x[knee]:g}<br>bytes per cycle</b>",
        ax=0,
        ay=-60,
        # At the right end the text would stand in the next panel.
        xanchor="right" if knee == len(x) - 1 else "center",
        arrowhead=2,
        arrowcolor=INK,
        **together,
    )
    for index, layer in enumerate(curves.layers):
        least = min(layer.cycles)
        colour = COLOURS[index % len(COLOURS)]
        # Of curves that run on top of each other the later ones are thinner and broken, so that
        # all of them can be seen.
        repeats = index % len(_DASHES)
        figure.add_scatter(
            x=x,
            y=[cycles / least for cycles in layer.cycles],
            mode="lines",
            name=layer.name + _equal(layer, curves.layers[:index]),
            line={"color": colour, "width": 3.4 - 0.5 * repeats, "dash": _DASHES[repeats]},
            customdata=layer.cycles,
            hovertemplate="%{x:g} bytes per cycle: %{y:.2f} times its least, "
            f"~%{{customdata:,}} cycles<extra>{layer.name}</extra>",
            **each,
        )
        figure.add_scatter(
            x=[x[layer.knee]],
            y=[layer.cycles[layer.knee] / least],
            mode="markers",
            marker={"color": colour, "size": 8, "line": {"color": "white", "width": 1}},
            showlegend=False,
            hovertemplate="knee at %{x:g} bytes per cycle<extra>" + layer.name + "</extra>",
            **each,
        )
    ticks = [value for value in x if np.log2(value) == int(np.log2(value))] or x
    labels = [f"{value:g}" for value in ticks]
    figure.update_xaxes(
        **axis("memory bandwidth, bytes per cycle", type="log", tickvals=ticks, ticktext=labels)
    )
    ends = [np.log10(x[0]) - 0.05, np.log10(x[-1]) + 0.05]
    figure.update_xaxes(range=ends)
    ends = [np.log10(total.array_cycles * 0.93), np.log10(max(total.cycles) * 1.07)]
    figure.update_yaxes(**axis("cycles", type="log", exponentformat="SI", range=ends), **together)
    most = max(max(layer.cycles) / min(layer.cycles) for layer in curves.layers)
    figure.update_yaxes(
        **log_axis("times the layer's least cycles, estimated", 1.0, max(most, 2.0)), **each
    )
    height = drawn.height + 160
    legend = below(height, 160, font={"size": 11})
    return finish(figure, height, legend=legend, margin={"l": 75, "r": 45, "t": 40, "b": 120})
