"""The report as one HTML page that needs nothing else: figures, tables and their explanation."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from systolith_host.escape import slug
from systolith_host.visual.assemble import PageData
from systolith_host.visual.energy import energy_text
from systolith_host.visual.figures.curves import bandwidth
from systolith_host.visual.figures.energy import energy
from systolith_host.visual.figures.front import front
from systolith_host.visual.figures.network import network
from systolith_host.visual.figures.roofline import roofline
from systolith_host.visual.figures.stalls import stalls
from systolith_host.visual.figures.tilings import heat_maps
from systolith_host.visual.figures.timeline import buffers, timeline
from systolith_host.visual.network import network_text
from systolith_host.visual.picture import Picture
from systolith_host.visual.prose import (
    bandwidth_text,
    buffers_text,
    changes_html,
    facts,
    front_text,
    introduction,
    maps_text,
    origins,
    roofline_text,
    stalls_text,
    timeline_text,
)
from systolith_host.visual.rows import (
    bandwidth_rows,
    buffer_rows,
    energy_rows,
    front_rows,
    network_rows,
    roofline_rows,
    stall_rows,
    tiling_rows,
    timeline_rows,
)
from systolith_hw.spec.winograd import MACS_PER_PRODUCT

__all__ = ["Section", "page", "sections", "side_by_side"]

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
    found = [
        Section(
            "roofline",
            "Roofline",
            "Roofline: the limit of each layer",
            roofline_text(data),
            [
                Picture(
                    "roofline",
                    roofline(
                        data.points,
                        measured,
                        multipliers,
                        subject.rate,
                        winograd=higher > multipliers,
                    ),
                    roofline_rows(data.points, measured, multipliers, subject.rate, higher),
                )
            ],
        ),
        Section(
            "stalls",
            "Stalls",
            "Where the cycles go",
            stalls_text(data),
            [Picture("stalls", stalls(data.points), stall_rows(data.points))],
        ),
        Section(
            "energy",
            "Energy",
            "Energy: what takes it in each layer",
            energy_text(data),
            [Picture("energy", energy(data.points), energy_rows(data.points))],
        ),
        Section(
            "bandwidth",
            "Bandwidth",
            "Bandwidth: the gain from more of it, and its end",
            bandwidth_text(data),
            [Picture("bandwidth", bandwidth(data.curves, here), bandwidth_rows(data.curves, here))],
        ),
    ]
    if data.studies:
        maps = [
            Picture(
                slug(f"tilings-{study.operation.name}"),
                heat_maps(study),
                tiling_rows(study),
                study.operation.name,
            )
            for study in data.studies
        ]
        low, high = (data.studies[0].choices[i].bandwidth for i in (0, -1))
        title = f"How the best tiling changes from {low:g} to {high:g} bytes per cycle"
        found += [
            Section("changes", "Best tilings", title, changes_html(data)),
            Section(
                "tilings",
                "Tile sizes",
                "Tile size against traffic and cycles",
                maps_text(data),
                maps,
            ),
        ]
    names = [point.name for point in data.points]
    found += [
        Section(
            "network",
            "Network",
            "Timeline of the whole network",
            network_text(data),
            [Picture("network", network(data.pieces, names), network_rows(data.pieces, names))],
        ),
        Section(
            "timeline",
            "Timeline",
            f"Timeline of {data.timeline.layer}",
            timeline_text(data),
            [Picture("timeline", timeline(data.timeline), timeline_rows(data.timeline))],
        ),
        Section(
            "buffers",
            "Buffers",
            f"Buffers over time in {data.timeline.layer}",
            buffers_text(data),
            [
                Picture(
                    "buffers",
                    buffers(data.occupancy, data.timeline.cycles),
                    buffer_rows(data.occupancy),
                )
            ],
        ),
    ]
    if data.sweep is not None:
        pictures = [Picture("pareto", front(data.sweep), front_rows(data.sweep))]
        found.append(
            Section(
                "pareto",
                "Pareto front",
                "Pareto front of a sweep",
                front_text(data.sweep),
                pictures,
            )
        )
    found.append(Section("origins", "Numbers", "Where the numbers come from", origins(data)))
    return found


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
        f'<script type="text/javascript">{get_plotlyjs()}</script>\n</head>\n<body>\n'
        f"<header><h1>{escape(title)}</h1><p>{introduction(data)}</p>"
        f'<div class="tiles">{tiles}</div></header>\n<nav>{links}</nav>\n<main>\n'
        + "\n".join(_section(part) for part in parts)
        + "\n</main>\n<footer>Made by <code>systolith report</code>. It works offline: "
        "everything is in this file.</footer>\n</body>\n</html>\n"
    )


def side_by_side(figure: go.Figure) -> bool:
    """Return whether a figure has pictures next to each other."""
    return any(axis.domain and axis.domain[0] > 0 for axis in figure.select_xaxes())


def _section(part: Section) -> str:
    figures = "\n".join(
        (f"<h3>{escape(picture.title)}</h3>\n" if picture.title else "")
        + f'<div class="{"beside" if side_by_side(picture.figure) else "alone"}">'
        + picture.figure.to_html(
            full_html=False,
            include_plotlyjs=False,
            div_id=f"figure-{picture.name}",
            config=_CONFIG,
            default_height=f"{picture.figure.layout.height}px",
        )
        + "</div>"
        for picture in part.pictures
    )
    head = f"<h2>{escape(part.title)}</h2>\n{part.text}"
    return f'<section id="{part.anchor}">{head}\n{figures}</section>'
