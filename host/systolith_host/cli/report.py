"""The command `systolith report`."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from systolith_host.cli.options import (
    DEFAULT_LATENCY,
    AcceleratorOption,
    BandwidthOption,
    BatchOption,
    LatencyOption,
    NetworkArgument,
    TurnaroundOption,
)
from systolith_host.cli.output import save
from systolith_host.cli.pictures import (
    FontSizeOption,
    WidthOption,
    check_pictures,
    picture_option,
    show_sizes,
)
from systolith_host.energy.table import TABLES, load_table
from systolith_host.errors import SystolithError
from systolith_host.explore.space import parse_values
from systolith_host.extras import RTL, need
from systolith_host.progress import ProgressLog
from systolith_host.terminal import error_console
from systolith_host.visual.names import Name, figure_names
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import load_config

__all__ = ["report"]

_ALL = "all"
"""The name of a picture's file that stands for every figure."""


def report(
    network: NetworkArgument = "vgg16",
    out: Annotated[Path, typer.Option(metavar="FILE", help="The page.")] = Path("report.html"),
    config: AcceleratorOption = "default",
    bandwidth: BandwidthOption = None,
    latency: LatencyOption = DEFAULT_LATENCY,
    turnaround: TurnaroundOption = 0,
    batch: BatchOption = 1,
    clock: Annotated[
        float,
        typer.Option(min=0.001, max=1e5, metavar="MHZ", help="Clock for the frames per second."),
    ] = 150.0,
    energy: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE",
            help=f"Table of pJ per access: {', '.join(TABLES)} or a TOML file.",
        ),
    ] = TABLES[0],
    measured: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Report of `systolith run --device rtl --json`."),
    ] = None,
    sweep: Annotated[
        Path | None,
        typer.Option(metavar="FILE|DIR", help="Results of `systolith explore`: points.csv."),
    ] = None,
    layer: Annotated[
        list[str] | None,
        typer.Option(
            help="A layer whose tilings are shown; repeat it for more. "
            "Default: conv1_2, conv3_2, conv5_2, or three of the network."
        ),
    ] = None,
    timeline: Annotated[
        str | None,
        typer.Option(
            metavar="LAYER",
            help="The layer of the timeline and of the buffers. Default: conv3_2. The figure "
            f"{Name.NETWORK} shows all layers.",
        ),
    ] = None,
    cycles: Annotated[
        str | None,
        typer.Option(
            metavar="FIRST..LAST",
            help="The cycles of that layer that its figures show. Default: all.",
        ),
    ] = None,
    rtl: Annotated[
        bool,
        typer.Option("--rtl", help="Take the timeline from the simulated RTL, not the model."),
    ] = False,
    trace: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Also write the timeline as JSON for Perfetto (ui.perfetto.dev)."
        ),
    ] = None,
    network_trace: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Also write the timelines of all layers, modelled, as one trace."
        ),
    ] = None,
    bandwidths: Annotated[
        str, typer.Option(metavar="VALUES", help="Bandwidths of the curves, e.g. 1..64 or 1,2,4,8.")
    ] = "1,2,3,4,6,8,12,16,24,32,48,64",
    picture: Annotated[
        list[Path] | None,
        picture_option(
            "a figure of the page, which the file's name names "
            f"({', '.join(Name)}, with -LAYER behind {Name.TILINGS}; or {_ALL}),"
        ),
    ] = None,
    width: WidthOption = 180,
    font_size: FontSizeOption = 8,
) -> None:
    """Write one HTML page on the costs of a network; it works offline.

    It shows the roofline, stalls, energies, bandwidth curves, tilings and their changes, a
    timeline and the buffers of one layer, and the Pareto front of a sweep.
    """
    need("report", "report", "plotly", "numba")
    if rtl:
        need("--rtl", "sim", *RTL)
    # Plotly and the model take a second or two to import; the rest of the command line need not.
    from systolith_host.visual.assemble import PageOptions, assemble, studied_layers
    from systolith_host.visual.page import page, sections
    from systolith_host.visual.subject import load_subject
    from systolith_host.visual.timeline import modelled_timeline
    from systolith_host.visual.trace import save_network_trace, save_trace

    target = load_config(config)
    options = PageOptions(
        studies=layer or (),
        timeline=timeline,
        cycles=_cycles(cycles) if cycles is not None else None,
        rtl=rtl,
        bandwidths=parse_values("bandwidth", bandwidths),
        measured=measured,
        sweep=sweep,
        clock_mhz=clock,
        energy=load_table(energy),
    )
    for path in (out, trace, network_trace):
        if path is not None and not path.absolute().parent.is_dir():
            raise SystolithError(f"{path}: its folder does not exist")
    size = check_pictures(picture or [], width, font_size)
    written: list[Path] = []
    with ProgressLog(error_console()) as log:
        memory = Memory(latency=latency, bytes_per_cycle=bandwidth, turnaround=turnaround)
        subject = load_subject(network, target, memory, batch, log)
        studies = studied_layers(subject, options.studies)
        files = _files(picture or [], figure_names(studies, has_sweep=sweep is not None))
        data = assemble(subject, options, log)
        log.stage("drawing")
        parts = sections(data)
        save(out, page(data, parts))
        written.append(out)
        if trace is not None:
            save_trace(data.timeline, clock, trace)
            written.append(trace)
        if network_trace is not None:
            log.stage("trace of the network")
            layers = data.program.layers
            timelines = (modelled_timeline(data.program, layer, memory) for layer in layers)
            save_network_trace(timelines, clock, network_trace)
            written.append(network_trace)
        if size is not None:
            from systolith_host.visual.pictures import save_pictures

            log.stage("pictures")
            drawn = {one.name: one for part in parts for one in part.pictures}
            written += save_pictures([(drawn[path.stem], path) for path in files], size)
    show_sizes(written)


def _cycles(text: str) -> tuple[int, int]:
    """Return the first and last cycle of a part.

    Raises
    ------
    SystolithError
        If it is none.
    """
    found = re.fullmatch(r"(\d{1,12})\.\.(\d{1,12})", text, re.ASCII)
    first, last = map(int, found.groups()) if found else (0, 0)
    if not 1 <= first < last:
        raise SystolithError(f"--cycles must be FIRST..LAST, rising from 1 on, not {text!r}")
    return first, last


def _files(paths: Sequence[Path], names: Sequence[str]) -> list[Path]:
    """Return a file for each figure that is wanted, once.

    Parameters
    ----------
    paths : sequence of Path
    names : sequence of str
        Of the page's figures.

    Raises
    ------
    SystolithError
        If a file's name names no figure.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.stem == Name.PARETO and Name.PARETO not in names:
            raise SystolithError(f"--picture {path}: the Pareto front needs --sweep")
        if path.stem.startswith(f"{Name.TILINGS}-") and path.stem not in names:
            raise SystolithError(
                f"--picture {path}: tilings are shown of "
                f"{', '.join(one for one in names if one.startswith(f'{Name.TILINGS}-'))}; "
                "--layer chooses the layers"
            )
        if path.stem not in (*names, _ALL):
            raise SystolithError(
                f"--picture {path}: there is no figure {path.stem}; there are {', '.join(names)}, "
                f"and {_ALL}"
            )
        stems = names if path.stem == _ALL else [path.stem]
        found.update((path.with_name(f"{stem}{path.suffix}"), None) for stem in stems)
    return list(found)
