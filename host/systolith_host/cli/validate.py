"""The command `systolith lab validate`."""

from pathlib import Path
from typing import Annotated

import typer

from systolith_host.cli.output import MISMATCH, show
from systolith_host.cli.pictures import (
    FontSizeOption,
    WidthOption,
    check_pictures,
    picture_option,
    save_picture,
)
from systolith_host.errors import SystolithError
from systolith_host.explore.space import parse_values
from systolith_host.extras import RTL, need
from systolith_hw.spec.presets import PRESETS

__all__ = ["validate"]


def validate(
    cases: Annotated[
        int, typer.Option(min=1, help="Random cases of direct convolutions, at least.")
    ] = 300,
    winograd: Annotated[
        int, typer.Option(min=0, help="Random cases of Winograd's convolution, at least.")
    ] = 150,
    gather: Annotated[
        int, typer.Option(min=0, help="Random cases of gathered weights, at least.")
    ] = 150,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random cases.")] = 0,
    turnaround: Annotated[
        str | None,
        typer.Option(
            metavar="VALUES", help="Turnarounds of the memories in cycles, as in `explore`."
        ),
    ] = None,
    vgg16: Annotated[
        list[str] | None,
        typer.Option(metavar="PRESET", help="Also all layers of VGG-16 on it; repeat it for more."),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the results.")] = Path("docs"),
    picture: Annotated[list[Path] | None, picture_option("the comparison")] = None,
    width: WidthOption = 180,
    font_size: FontSizeOption = 8,
) -> None:
    """Compare the replay with the RTL: random layers, tilings and memories, every counter.

    The result is a page, model-validation.md, which shows the first picture.

    Exit status: 1 if a counter of a case differs.
    """
    unknown = [name for name in vgg16 or () if name not in PRESETS]
    if unknown:
        raise SystolithError(f"--vgg16: no preset {unknown[0]}; there are {', '.join(PRESETS)}")
    need("lab validate", "sim", *RTL)
    need("lab validate", "explore")
    size = check_pictures(picture or [], width, font_size)
    from systolith_host.lab.fuzz.cases import TURNAROUNDS
    from systolith_host.lab.validate import validate as compare_cases

    values = TURNAROUNDS
    if turnaround is not None:
        values = tuple(map(int, parse_values("turnaround", turnaround)))
    counts = {"direct": cases, "winograd": winograd, "gather": gather}
    shown = picture[0] if picture else None
    found = compare_cases(counts, seed, values, vgg16 or (), out, shown, show)
    if size is not None:
        from systolith_host.visual.single import validation_picture

        save_picture(validation_picture(found.points), picture or [], size)
    if not found.exact:
        raise typer.Exit(MISMATCH)
