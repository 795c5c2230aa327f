"""Options of the commands that write pictures, and what is refused before their work begins."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from systolith_host.cli.output import show
from systolith_host.extras import need

if TYPE_CHECKING:
    from systolith_host.visual.draw import Size
    from systolith_host.visual.picture import Picture

__all__ = [
    "FontSizeOption",
    "WidthOption",
    "check_pictures",
    "picture_option",
    "save_picture",
    "show_sizes",
]


def picture_option(what: str) -> typer.models.OptionInfo:
    """Return the option --picture of a command.

    Parameters
    ----------
    what : str
        The figure that the command draws.
    """
    return typer.Option(
        "--picture",
        metavar="FILE",
        help=f"Also write {what} as .svg, .pdf or .png, and its numbers as .csv next to it; needs "
        "Chrome or Chromium. Repeat it for more.",
    )


WidthOption = Annotated[
    float,
    typer.Option("--width", min=40, max=600, metavar="MM", help="Width of pictures."),
]
FontSizeOption = Annotated[
    float,
    typer.Option("--font-size", min=4, max=24, metavar="PT", help="Size of text in pictures."),
]


def check_pictures(paths: Sequence[Path], width: float, font_size: float) -> "Size | None":
    """Return the size of the pictures, which can be drawn and written; None if there are none.

    Raises
    ------
    SystolithError
        If they cannot.
    """
    if not paths:
        return None
    need("--picture", "report", "choreographer", "plotly")
    # Plotly takes a second to import; a command without pictures need not.
    from systolith_host.visual.draw import Size
    from systolith_host.visual.pictures import check_pictures

    size = Size(width, font_size)
    check_pictures(paths, size)
    return size


def save_picture(picture: "Picture", paths: Sequence[Path], size: "Size") -> None:
    """Write one figure to each of the files, its numbers next to them, and say so.

    Raises
    ------
    SystolithError
        If the browser fails, or a file cannot be written.
    """
    from systolith_host.visual.pictures import save_pictures

    show_sizes(save_pictures([(picture, path) for path in dict.fromkeys(paths)], size))


def show_sizes(paths: Sequence[Path]) -> None:
    """Print the files that were written with their sizes."""
    for path in dict.fromkeys(paths):
        show(f"{path}: {path.stat().st_size:,} bytes")
