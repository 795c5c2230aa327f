"""The report as one HTML page that needs nothing else: figures, tables and their explanation."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs
from plotly.utils import PlotlyJSONEncoder

from systolith_host.visual.assemble import PageData
from systolith_host.visual.energy import energy_text
from systolith_host.visual.figures.curves import bandwidth
from systolith_host.visual.figures.energy import energy
from systolith_host.visual.figures.network import network
from systolith_host.visual.figures.roofline import roofline
from systolith_host.visual.figures.stalls import stalls
from systolith_host.visual.figures.tilings import heat_maps
from systolith_host.visual.figures.timeline import buffers, timeline
from systolith_host.visual.names import Name, tilings_of
from systolith_host.visual.network import network_text
from systolith_host.visual.origins import origins
from systolith_host.visual.picture import Picture, Row
from systolith_host.visual.prose import (
    bandwidth_text,
    buffers_text,
    changes_html,
    facts,
    front_text,
    introduction,
    maps_text,
    roofline_text,
    stalls_text,
    timeline_text,
)
from systolith_host.visual.rows import (
    bandwidth_rows,
    buffer_rows,
    energy_rows,
    network_rows,
    roofline_rows,
    stall_rows,
    tiling_rows,
    timeline_rows,
)
from systolith_host.visual.single import front_picture
from systolith_hw.spec.winograd import MACS_PER_PRODUCT

__all__ = ["Section", "page", "sections"]

_WIDE, _NARROW = 1000, 330
"""Pixels for which figures are drawn, in wide windows and on a telephone."""

_CONFIG = {"displaylogo": False, "responsive": True, "toImageButtonOptions": {"format": "svg"}}


@dataclass(frozen=True, eq=False)
class Section:
    """A part of the page.

    Parameters
    ----------
    anchor, link, title : str
        The link is the title in a word or two.
    text : str
        HTML before the pictures: their message, and how to read them.
    pictures : sequence of Picture
    """

    anchor: str
    link: str
    title: str
    text: str
    pictures: Sequence[Picture] = ()


def sections(data: PageData) -> list[Section]:
    """Return the parts of a page, figures drawn."""
    subject = data.subject
    measured = data.measured.points if data.measured else ()
    multipliers = subject.config.multipliers
    higher = multipliers * (MACS_PER_PRODUCT if subject.config.winograd else 1)
    here = (subject.rate, data.cycles)
    roof = (data.points, measured, multipliers, subject.rate)
    names = [point.name for point in data.points]

    def one(
        name: Name,
        draw: Callable[[int], go.Figure],
        rows: Sequence[Row],
        link: str,
        title: str,
        text: str,
    ) -> Section:
        return Section(name, link, title, text, [Picture(name, draw, rows)])

    found = [
        one(
            Name.ROOFLINE,
            lambda width: roofline(*roof, width, winograd=higher > multipliers),
            roofline_rows(*roof, higher),
            "Roofline",
            "Roofline: the limit of each layer",
            roofline_text(data),
        ),
        one(
            Name.STALLS,
            lambda width: stalls(data.points, width),
            stall_rows(data.points),
            "Stalls",
            "Where the cycles go",
            stalls_text(data),
        ),
        one(
            Name.ENERGY,
            lambda _: energy(data.points),
            energy_rows(data.points),
            "Energy",
            "Energy: what takes it in each layer",
            energy_text(data),
        ),
        one(
            Name.BANDWIDTH,
            lambda width: bandwidth(data.curves, here, width),
            bandwidth_rows(data.curves, here),
            "Bandwidth",
            "Bandwidth: the gain from more of it, and its end",
            bandwidth_text(data),
        ),
        *_tilings(data),
        one(
            Name.NETWORK,
            lambda width: network(data.pieces, names, width),
            network_rows(data.pieces, names),
            "Network",
            "Timeline of the whole network",
            network_text(data),
        ),
        one(
            Name.TIMELINE,
            lambda _: timeline(data.timeline, data.window),
            timeline_rows(data.timeline, data.window),
            "Timeline",
            f"Timeline of {data.timeline.layer}",
            timeline_text(data),
        ),
        one(
            Name.BUFFERS,
            lambda _: buffers(data.occupancy, data.timeline.cycles, data.window),
            buffer_rows(data.occupancy, data.window),
            "Buffers",
            f"Buffers over time in {data.timeline.layer}",
            buffers_text(data),
        ),
    ]
    if data.sweep is not None:
        words = ("Pareto front", "Pareto front of a sweep", front_text(data.sweep))
        found.append(Section(Name.PARETO, *words, [front_picture(data.sweep)]))
    found.append(Section("origins", "Numbers", "Where the numbers come from", origins(data)))
    return found


def _tilings(data: PageData) -> list[Section]:
    if not data.studies:
        return []
    low, high = (data.studies[0].choices[i].bandwidth for i in (0, -1))
    title = f"How the best tiling changes from {low:g} to {high:g} bytes per cycle"
    return [
        Section("changes", "Best tilings", title, changes_html(data)),
        Section(
            Name.TILINGS,
            "Tile sizes",
            "Tile size against traffic and cycles",
            maps_text(data),
            [
                Picture(
                    tilings_of(study.operation.name),
                    partial(heat_maps, study),
                    tiling_rows(study),
                    study.operation.name,
                )
                for study in data.studies
            ],
        ),
    ]


def page(data: PageData, parts: Sequence[Section]) -> str:
    """Return the page's HTML; plotly's script is in it, once."""
    subject = data.subject
    title = f"{subject.name} on {subject.config.name}"
    tiles = "".join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(label)}</span></div>'
        for value, label in facts(data)
    )
    links = "".join(f'<a href="#{part.anchor}">{escape(part.link)}</a>' for part in parts)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # Without it browsers ask the server for an icon, and there is none.
        '<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)} - Systolith report</title>\n"
        f"<style>\n{Path(__file__).with_name('page.css').read_text()}</style>\n"
        f'<script type="text/javascript">{get_plotlyjs()}</script>\n'
        f"<script>\n{Path(__file__).with_name('page.js').read_text()}</script>\n</head>\n<body>\n"
        f"<header><h1>{escape(title)}</h1><p>{introduction(data)}</p>"
        f'<div class="tiles">{tiles}</div></header>\n<nav>{links}</nav>\n<main>\n'
        + "\n".join(_section(part) for part in parts)
        + "\n</main>\n<footer>Made by <code>systolith report</code>. It works offline: "
        "everything is in this file.</footer>\n</body>\n</html>\n"
    )


def _section(part: Section) -> str:
    figures = "\n".join(
        (f"<h3>{escape(picture.title)}</h3>\n" if picture.title else "") + _figure(picture)
        for picture in part.pictures
    )
    head = f"<h2>{escape(part.title)}</h2>\n{part.text}"
    return f'<section id="{part.anchor}">{head}\n{figures}</section>'


def _figure(picture: Picture) -> str:
    """Return a figure for wide windows, with its layout for narrow ones where that differs."""
    wide, narrow = (picture.draw(width) for width in (_WIDE, _NARROW))
    html = wide.to_html(
        full_html=False,
        include_plotlyjs=False,
        div_id=f"figure-{picture.name}",
        config=_CONFIG,
        default_height=f"{wide.layout.height}px",
    )
    if wide.layout == narrow.layout:
        return html
    layout = json.dumps(narrow.layout, cls=PlotlyJSONEncoder).replace("<", "\\u003c")
    return f"{html}<script>narrow('figure-{picture.name}', {layout});</script>"
