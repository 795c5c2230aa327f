"""Looks at a report in a headless browser as a person would: console, figures, pointer."""

import asyncio
import base64
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from choreographer import Browser
from choreographer.browsers.chromium import Chromium
from choreographer.errors import ChromeNotFoundError

__all__ = ["Figure", "Sight", "draw_figures", "find_browser", "look_at"]

WIDTH, HEIGHT = 1280, 900

PATIENCE = 90.0
"""Seconds that a page has to draw itself."""

_DRAWN = """
Array.from(document.querySelectorAll('.plotly-graph-div')).map(div => ({
  name: div.id,
  width: div.clientWidth,
  height: div.clientHeight,
  traces: div._fullData ? div._fullData.filter(t => t.visible === true).length : 0,
  marks: div.querySelectorAll(
    '.scatterlayer path, .barlayer path, .heatmaplayer image, .contourlayer path').length,
  overflow: div._fullLayout ? Math.max(0, div.scrollWidth - div.clientWidth) : -1,
}))
"""

_POINT_AT = """
(function (name) {
  const div = document.getElementById(name);
  div.scrollIntoView({block: 'center', behavior: 'instant'});
  const at = div.getBoundingClientRect();
  for (const trace of div._fullData || []) {
    if (trace.visible !== true || trace.hoverinfo === 'skip') continue;
    const axis = letter => div._fullLayout[
      letter + 'axis' + (trace[letter + 'axis'] || letter).slice(1)];
    const xaxis = axis('x'), yaxis = axis('y');
    const heat = trace.type === 'heatmap';
    const count = heat ? trace.x.length * trace.y.length : trace.x.length;
    for (let i = 0; i < count; i++) {
      let x = heat ? trace.x[i % trace.x.length] : trace.x[i];
      let y = heat ? trace.y[Math.floor(i / trace.x.length)] : trace.y[i];
      if (x === null || y === null || x === undefined) continue;
      if (heat && !isFinite(trace.z[Math.floor(i / trace.x.length)][i % trace.x.length])) continue;
      if (heat && trace.z[Math.floor(i / trace.x.length)][i % trace.x.length] === null) continue;
      if (trace.type === 'bar') x = x / 2;
      const right = xaxis.d2p(x), down = yaxis.d2p(y);
      if (!(right > 2 && right < xaxis._length - 2 && down >= 0 && down <= yaxis._length)) continue;
      return {x: at.left + xaxis._offset + right, y: at.top + yaxis._offset + down};
    }
  }
  return null;
})("NAME")
"""

_IMAGE = """
(function (name) {
  const div = document.getElementById(name);
  const layout = Object.assign({}, div.layout, {updatemenus: []});
  const options = {format: 'FORMAT', width: WIDTH, height: div.layout.height};
  if (options.format === 'png') options.scale = 2;
  return Plotly.toImage({data: div.data, layout: layout}, options);
})("NAME")
"""

_WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"

_HOVER = "document.getElementById('NAME').querySelectorAll('.hoverlayer .hovertext').length"


@dataclass
class Figure:
    """A figure on the page: its size, what is drawn in it, and whether the pointer finds a point.

    Parameters
    ----------
    name : str
    width, height : int
        In pixels.
    traces, marks : int
        Visible traces, and the shapes drawn for them.
    overflow : int
        Pixels by which it is wider than its place.
    hover : bool
        Whether a label appeared under the pointer.
    """

    name: str
    width: int
    height: int
    traces: int
    marks: int
    overflow: int
    hover: bool = False


@dataclass
class Sight:
    """The observations.

    Parameters
    ----------
    console : list of str
        Errors, warnings and uncaught exceptions.
    requests : list of str
        Everything that the page asked for, other than itself.
    figures : list of Figure
    overflow : int
        Pixels by which the page is wider than its window.
    """

    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    overflow: int = 0


def find_browser() -> str | None:
    """Return the path of an installed Chrome or Chromium, if there is one."""
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if path := shutil.which(name):
            return path
    try:
        found = Chromium.find_browser(skip_local=False)
    except ChromeNotFoundError:
        return None
    return str(found) if found else None


def look_at(
    page: Path,
    screenshots: Path | None = None,
    patience: float = PATIENCE,
    *,
    width: int = WIDTH,
    dark: bool = False,
    printed: bool = False,
) -> Sight:
    """Open a page, wait until it has drawn itself, and point at a mark in every figure.

    Parameters
    ----------
    page : Path
        The HTML file.
    screenshots : Path, optional
        Folder for pictures: ``page.png``, and each section by its anchor.
    patience : float
        Seconds for the page to draw itself.
    width : int
        Of the window, in CSS pixels.
    dark, printed : bool
        Whether the person wants dark pages, and whether the page is on paper.
    """
    media = {"media": "print" if printed else "screen"}
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    return asyncio.run(
        _look(page.absolute(), screenshots, patience, width, {**media, "features": [scheme]})
    )


async def _look(
    page: Path, screenshots: Path | None, patience: float, width: int, media: dict[str, Any]
) -> Sight:
    sight = Sight()
    async with _opened(page, patience, sight, width, media) as (send, evaluate, found):
        sight.overflow = await evaluate(_WIDER)
        for values in found:
            figure = Figure(**values)
            sight.figures.append(figure)
            point = await evaluate(_POINT_AT.replace("NAME", figure.name))
            if point is None:
                continue
            figure.hover = await _points_at(send, evaluate, figure.name, point)
        if screenshots is not None:
            await _shoot(send, evaluate, screenshots)
        # Messages of the console arrive with the next answer at the latest.
        await evaluate("1")
    sight.requests = [url for url in sight.requests if url != page.as_uri()]
    return sight


async def _points_at(send: Any, evaluate: Any, name: str, point: dict[str, float]) -> bool:
    """Move the pointer to a mark; return whether a label appears soon."""
    for attempt in range(10):
        for shift in (-3 - attempt, 0):
            where = {"x": point["x"] + shift, "y": point["y"]}
            await send("Input.dispatchMouseEvent", type="mouseMoved", **where)
            await asyncio.sleep(0.1)
        if await evaluate(_HOVER.replace("NAME", name)):
            return True
    return False


def draw_figures(
    page: Path, names: Sequence[str], image_format: str, width: int
) -> dict[str, bytes]:
    """Return figures of a page as pictures, without their buttons.

    Parameters
    ----------
    page : Path
    names : sequence of str
        Of the figures' elements.
    image_format : "svg" or "png"
    width : int
        In CSS pixels; the height is the figure's own.

    Raises
    ------
    RuntimeError
        If the page cannot draw them.
    """
    return asyncio.run(_draw(page.absolute(), names, image_format, width))


async def _draw(
    page: Path, names: Sequence[str], image_format: str, width: int
) -> dict[str, bytes]:
    drawn = {}
    async with _opened(page, PATIENCE, Sight()) as (_, evaluate, _):
        for name in names:
            text = _IMAGE.replace("NAME", name).replace("FORMAT", image_format)
            url: str = await evaluate(text.replace("WIDTH", str(width)))
            _, _, content = url.partition(",")
            drawn[name] = (
                base64.b64decode(content) if ";base64," in url[:40] else unquote(content).encode()
            )
    return drawn


@asynccontextmanager
async def _opened(
    page: Path,
    patience: float,
    sight: Sight,
    width: int = WIDTH,
    media: dict[str, Any] | None = None,
) -> AsyncIterator[tuple[Any, Any, Any]]:
    """Open a page and wait until its figures are drawn.

    Yields functions that send a command and that evaluate JavaScript, and the result of _DRAWN.
    """
    # As root, as in most containers, Chrome runs without its sandbox only; the page is our own.
    async with Browser(find_browser(), headless=True, enable_sandbox=False) as browser:
        tab = await browser.create_tab("about:blank")

        async def send(command: str, **parameters: Any) -> dict[str, Any]:
            answer: Any = await tab.send_command(command, parameters or None)
            if "error" in answer:
                raise RuntimeError(f"{command}: {answer['error']}")
            return answer["result"]

        async def evaluate(text: str) -> Any:
            answer = await send(
                "Runtime.evaluate", expression=text, returnByValue=True, awaitPromise=True
            )
            if "exceptionDetails" in answer:
                raise RuntimeError(str(answer["exceptionDetails"]))
            return answer["result"].get("value")

        _listen(tab, sight)
        for domain in ("Runtime", "Log", "Network", "Page"):
            await send(f"{domain}.enable")
        await send("Emulation.setEmulatedMedia", **(media or {}))
        size = {"width": width, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
        await send("Emulation.setDeviceMetricsOverride", **size)
        await send("Page.navigate", url=page.as_uri())
        loop = asyncio.get_running_loop()
        end = loop.time() + patience
        found: list[dict[str, Any]] = []
        while loop.time() < end:
            await asyncio.sleep(0.3)
            if await evaluate("document.readyState") != "complete":
                continue
            found = await evaluate(_DRAWN)
            if found and all(one["marks"] for one in found):
                break
        yield send, evaluate, found


def _listen(tab: Any, sight: Sight) -> None:
    async def console(event: dict[str, Any]) -> None:
        told = event["params"]
        if told["type"] in ("error", "warning", "assert"):
            sight.console.append(" ".join(str(one.get("value")) for one in told["args"]))

    async def thrown(event: dict[str, Any]) -> None:
        details = event["params"]["exceptionDetails"]
        sight.console.append(str(details.get("exception", {}).get("description", details["text"])))

    async def logged(event: dict[str, Any]) -> None:
        entry = event["params"]["entry"]
        if entry["level"] in ("error", "warning"):
            sight.console.append(f"{entry['text']} ({entry.get('url', '')})")

    async def asked(event: dict[str, Any]) -> None:
        url = event["params"]["request"]["url"]
        if not url.startswith(("data:", "blob:")):
            sight.requests.append(url)

    tab.subscribe("Runtime.consoleAPICalled", console)
    tab.subscribe("Runtime.exceptionThrown", thrown)
    tab.subscribe("Log.entryAdded", logged)
    tab.subscribe("Network.requestWillBeSent", asked)


async def _shoot(send: Any, evaluate: Any, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    await send("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
    await evaluate("window.scrollTo({top: 0, behavior: 'instant'})")
    await asyncio.sleep(0.3)
    places = await evaluate(
        "[['page', document.body]].concat(Array.from(document.querySelectorAll('section'))"
        ".map(s => [s.id, s])).map(([name, e]) => {const r = e.getBoundingClientRect();"
        "return [name, r.left + scrollX, r.top + scrollY, r.width, r.height]})"
    )
    for name, left, top, width, height in places:
        clip = {"x": left, "y": top, "width": width, "height": height, "scale": 1}
        if name == "page":
            clip["height"] = min(height, HEIGHT)
        picture = await send("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        (folder / f"{name}.png").write_bytes(base64.b64decode(picture["data"]))
