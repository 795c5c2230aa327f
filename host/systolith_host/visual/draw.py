"""Draws figures as SVG, PDF or PNG by plotly's own script, in a headless browser."""

import asyncio
import base64
import json
import re
import struct
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from systolith_host.visual.browser import Sight, opened
from systolith_host.visual.figures.style import FONT_SIZE

__all__ = ["FORMATS", "Size", "draw"]

FORMATS = (".svg", ".pdf", ".png")
"""Endings of a picture's file; each names the format."""

_TITLES = 40
"""Pixels above the panels of a figure that has no buttons."""

_DPI = 300
_MM = 96 / 25.4
_POINT = 96 / 72
"""CSS pixels."""


@dataclass(frozen=True)
class Size:
    """The size of a picture on paper.

    Parameters
    ----------
    width : float
        In millimetres. The height follows from the figure.
    font_size : float
        Of labels, in points; lines, marks and margins grow with it.
    """

    width: float = 180.0
    font_size: float = 8.0

    @property
    def scale(self) -> float:
        """CSS pixels on paper for one of the figure."""
        return self.font_size * _POINT / FONT_SIZE

    @property
    def pixels(self) -> int:
        """The width for which the figure is laid out, in its own pixels."""
        return round(self.width * _MM / self.scale)


def draw(figures: Sequence[tuple[go.Figure, str]], size: Size) -> list[bytes]:
    """Return figures as the contents of files, without their buttons.

    Parameters
    ----------
    figures : sequence of (Figure, str)
        Each with its format, one of FORMATS.
    size : Size

    Raises
    ------
    RuntimeError
        If the browser cannot draw them.
    """
    return asyncio.run(_draw(figures, size))


async def _draw(figures: Sequence[tuple[go.Figure, str]], size: Size) -> list[bytes]:
    with tempfile.TemporaryDirectory(prefix="systolith-pictures-") as folder:
        page = Path(folder) / "page.html"
        texts = ",".join(figure.to_json() or "" for figure, _ in figures).replace("</", "<\\/")
        page.write_text(
            '<!DOCTYPE html><html><head><meta charset="utf-8">'
            "<style>@page { margin: 0 } body { margin: 0 } svg { display: block }</style>"
            f"<script>{get_plotlyjs()}</script></head><body>"
            f"<script>const figures = [{texts}];</script></body></html>",
            "utf-8",
        )
        drawn = []
        async with opened(page, Sight()) as (send, evaluate):
            for number, (_, kind) in enumerate(figures):
                drawn.append(await _one(send, evaluate, number, kind, size))
        return drawn


async def _one(send: Any, evaluate: Any, number: int, kind: str, size: Size) -> bytes:
    options = {"format": kind[1:] if kind == ".png" else "svg", "width": size.pixels}
    if kind == ".png":
        options["scale"] = size.scale * _DPI / 96
    url: str = await evaluate(
        f"""(function (figure, options) {{
          const layout = Object.assign({{}}, figure.layout, {{updatemenus: []}});
          if ((figure.layout.updatemenus || []).length) {{
            // Nothing is left above the panels but their titles.
            const room = layout.margin.t - {_TITLES};
            layout.margin = Object.assign({{}}, layout.margin, {{t: {_TITLES}}});
            layout.height -= room;
          }}
          options.height = layout.height;
          return Plotly.toImage({{data: figure.data, layout: layout}}, options);
        }})(figures[{number}], {json.dumps(options)})"""
    )
    content = url.partition(",")[2]
    if kind == ".png":
        return _with_density(base64.b64decode(content))
    svg, width, height = _on_paper(unquote(content), size)
    if kind == ".svg":
        return svg.encode()
    await evaluate(f"document.body.innerHTML = {json.dumps(svg)}; 1")
    printed = await send(
        "Page.printToPDF",
        paperWidth=width / 25.4,
        paperHeight=height / 25.4,
        printBackground=True,
        **dict.fromkeys(("marginTop", "marginBottom", "marginLeft", "marginRight"), 0),
        # A height that is rounded up by the browser would give a second, empty page.
        pageRanges="1",
    )
    return base64.b64decode(printed["data"])


def _on_paper(svg: str, size: Size) -> tuple[str, float, float]:
    """Return a picture with its size in millimetres, and that size."""
    root = re.match(r'<svg\b[^>]*?\bwidth="([\d.]+)"[^>]*?\bheight="([\d.]+)"[^>]*>', svg)
    if root is None:
        raise RuntimeError("what plotly drew is no SVG with a size")
    wide, high = (float(value) for value in root.groups())
    width, height = size.width, size.width * high / wide
    tag = re.sub(r'\b(width|height)="[\d.]+"', "", root[0], count=2)
    if "viewBox" not in tag:
        tag = tag.replace("<svg", f'<svg viewBox="0 0 {wide:g} {high:g}"', 1)
    tag = tag.replace("<svg", f'<svg width="{width:g}mm" height="{height:.2f}mm"', 1)
    return tag + svg[root.end() :], width, height


def _with_density(png: bytes) -> bytes:
    """Return a PNG that says how large it is on paper."""
    density = round(_DPI / 0.0254)
    body = b"pHYs" + struct.pack(">IIB", density, density, 1)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    head = 8 + 25  # the signature and IHDR
    return png[:head] + chunk + png[head:]
