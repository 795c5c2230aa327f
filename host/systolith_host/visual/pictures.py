"""Saves figures as pictures for a paper, each with its numbers next to it."""

import math
from collections.abc import Sequence
from pathlib import Path

from choreographer.errors import BrowserClosedError, BrowserFailedError

from systolith_host.errors import SystolithError
from systolith_host.visual.browser import find_browser
from systolith_host.visual.draw import FORMATS, Size, draw
from systolith_host.visual.picture import Picture, csv_text

__all__ = ["check_pictures", "save_pictures"]

_LEAST = 300
"""Pixels in which a figure can still be read."""


def check_pictures(paths: Sequence[Path], size: Size) -> None:
    """Refuse pictures that cannot be drawn or written, before the work whose results they show.

    Raises
    ------
    SystolithError
        If a file's ending is no format, its folder is not there, the width is too small for the
        text, or there is no Chrome or Chromium.
    """
    for path in paths:
        if path.suffix not in FORMATS:
            raise SystolithError(
                f"--picture {path}: must end with {', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
            )
        if not path.absolute().parent.is_dir():
            raise SystolithError(f"--picture {path}: there is no folder {path.parent}")
    if paths and size.pixels < _LEAST:
        # Rounded up, so that what the line says is accepted.
        least = math.ceil(size.width * _LEAST / size.pixels)
        font = size.font_size * size.pixels / _LEAST
        raise SystolithError(
            f"--width {size.width:g} is too narrow for text of {size.font_size:g} points: "
            f"--width {least} has room for it, or a --font-size of {math.floor(10 * font) / 10:g}"
        )
    if paths and find_browser() is None:
        raise SystolithError(
            "--picture needs Chrome or Chromium, which draws it: apt-get install chromium"
        )


def save_pictures(pictures: Sequence[tuple[Picture, Path]], size: Size) -> list[Path]:
    """Write figures, and the numbers of each as CSV under the same name; return the paths.

    Parameters
    ----------
    pictures : sequence of (Picture, Path)
        The ending of a path is one of FORMATS.
    size : Size

    Raises
    ------
    SystolithError
        If the browser fails, or a file cannot be written.
    """
    try:
        drawn = draw([(picture.draw(size.pixels), path.suffix) for picture, path in pictures], size)
    except (BrowserFailedError, BrowserClosedError, RuntimeError) as error:
        raise SystolithError(f"--picture: the browser failed: {error}") from None
    written = []
    for (picture, path), image in zip(pictures, drawn, strict=True):
        table = path.with_suffix(".csv")
        try:
            path.write_bytes(image)
            table.write_text(csv_text(picture.rows), "utf-8")
        except OSError as error:
            raise SystolithError(f"{path}: cannot be written: {error.strerror}") from None
        written += [path, table]
    return written
