"""The page's figures as SVG or PNG files: drawn by the page's own script, in a headless browser."""

from collections.abc import Iterable
from pathlib import Path

from choreographer.errors import BrowserClosedError, BrowserFailedError

from systolith_host.errors import SystolithError
from systolith_host.visual.browser import draw_figures, find_browser
from systolith_host.visual.page import Picture

__all__ = ["save_pictures"]

WIDTH = 1000
"""Of a picture, in CSS pixels."""


def save_pictures(
    page: Path, pictures: Iterable[Picture], folder: Path, picture_format: str
) -> list[Path]:
    """Write each picture of a page to a file in a folder; return the paths.

    Parameters
    ----------
    page : Path
        The HTML file that holds them.
    pictures : iterable of Picture
    folder : Path
        Is made if it does not exist.
    picture_format : "svg" or "png"

    Raises
    ------
    SystolithError
        If there is no Chrome or Chromium, or a file cannot be written.
    """
    if find_browser() is None:
        raise SystolithError(
            "--pictures needs Chrome or Chromium, which draws them: apt-get install chromium"
        )
    names = {f"figure-{picture.name}": picture.name for picture in pictures}
    try:
        drawn = draw_figures(page, list(names), picture_format, WIDTH)
    except (BrowserFailedError, BrowserClosedError, RuntimeError) as error:
        raise SystolithError(f"--pictures: the browser failed: {error}") from None
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, image in drawn.items():
            paths.append(folder / f"{names[name]}.{picture_format}")
            paths[-1].write_bytes(image)
    except OSError as error:
        raise SystolithError(f"{folder}: cannot be written: {error.strerror}") from None
    return paths
