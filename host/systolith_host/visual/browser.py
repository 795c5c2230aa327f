"""Looks at a report in a headless browser as a person would: console, figures, pointer."""

import asyncio
import base64
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from choreographer import Browser
from choreographer.browsers.chromium import Chromium
from choreographer.errors import ChromeNotFoundError

__all__ = ["Figure", "Sight", "find_browser", "look_at", "opened"]

WIDTH, HEIGHT = 1280, 900

PATIENCE = 90.0
"""Seconds that a page has to draw itself."""

_BEAT = 0.3
"""Seconds between two looks."""

_DRAWN = """
Array.from(document.querySelectorAll('.plotly-graph-div')).map(div => ({
  name: div.id,
  width: div.clientWidth,
  height: div.clientHeight,
  traces: div._fullData ? div._fullData.filter(t => t.visible === true).length : 0,
  marks: div.querySelectorAll(
    '.scatterlayer path, .barlayer path').length,
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
    for (let i = 0; i < trace.x.length; i++) {
      let x = trace.x[i], y = trace.y[i];
      if (x === null || y === null || x === undefined) continue;
      if (trace.type === 'bar') x = (trace.base ? trace.base[i] : 0) + x / 2;
      const right = xaxis.d2p(x), down = yaxis.d2p(y);
      if (!(right > 2 && right < xaxis._length - 2 && down >= 0 && down <= yaxis._length)) continue;
      return {x: at.left + xaxis._offset + right, y: at.top + yaxis._offset + down};
    }
  }
  return null;
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
    async with opened(page, sight, width, media) as (send, evaluate):
        found = await _drawn(evaluate, patience)
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


@asynccontextmanager
async def opened(
    page: Path, sight: Sight, width: int = WIDTH, media: dict[str, Any] | None = None
) -> AsyncIterator[tuple[Any, Any]]:
    """Open a page; yield functions that send a command and that evaluate JavaScript.

    Parameters
    ----------
    page : Path
        The HTML file.
    sight : Sight
        Takes messages of the console, and requests.
    width : int
        Of the window, in CSS pixels.
    media : dict, optional
        Arguments of the protocol's ``Emulation.setEmulatedMedia``.
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
        for _ in range(round(PATIENCE / _BEAT)):
            if await evaluate("document.readyState") == "complete":
                break
            await asyncio.sleep(_BEAT)
        yield send, evaluate


async def _drawn(evaluate: Any, patience: float) -> list[dict[str, Any]]:
    """Wait until the figures of a page are drawn; return what _DRAWN finds."""
    found: list[dict[str, Any]] = []
    for _ in range(round(patience / _BEAT)):
        await asyncio.sleep(_BEAT)
        found = await evaluate(_DRAWN)
        if found and all(one["marks"] for one in found):
            break
    return found


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
