"""Options of the commands that write pictures."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["FontSizeOption", "PictureOption", "PicturesOption", "WidthOption"]

_FORMATS = "as .svg, .pdf or .png, and its numbers as .csv next to it; needs Chrome or Chromium."

PictureOption = Annotated[
    Path | None,
    typer.Option("--picture", metavar="FILE", help=f"Also write the figure {_FORMATS}"),
]
PicturesOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--picture",
        metavar="FILE",
        help="Also write a figure of the page, which the file's name names (roofline.pdf; all.pdf "
        f"stands for every one), {_FORMATS} Repeat it for more.",
    ),
]
WidthOption = Annotated[
    float,
    typer.Option("--width", min=40, max=600, metavar="MM", help="Width of pictures."),
]
FontSizeOption = Annotated[
    float,
    typer.Option("--font-size", min=4, max=24, metavar="PT", help="Size of text in pictures."),
]
