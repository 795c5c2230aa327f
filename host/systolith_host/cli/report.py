"""The command `systolith report`."""

from collections.abc import Collection, Sequence
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
from systolith_host.cli.output import save, show
from systolith_host.cli.pictures import FontSizeOption, PicturesOption, WidthOption
from systolith_host.energy.table import TABLES, load_table
from systolith_host.errors import SystolithError
from systolith_host.explore.space import parse_values
from systolith_host.extras import RTL, need
from systolith_host.progress import ProgressLog
from systolith_host.terminal import error_console
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import load_config

__all__ = ["report"]

_FIGURES = ("roofline", "stalls", "energy", "bandwidth", "network", "timeline", "buffers", "pareto")
"""Figures of every page, but for the last one."""


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
        typer.Option(metavar="LAYER", help="The layer of the timeline. Default: conv3_2."),
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
    picture: PicturesOption = None,
    width: WidthOption = 180,
    font_size: FontSizeOption = 8,
) -> None:
    """Write one HTML page on the costs of a network; it works offline.

    It shows the roofline, stalls, energies, bandwidth curves, tilings and their changes, a
    timeline and the buffers of one layer, and the Pareto front of a sweep.
    """
    need("report", "report", "plotly", "numba")
    if picture:
        need("--picture", "report", "choreographer")
    if rtl:
        need("--rtl", "sim", *RTL)
    # Plotly and the model take a second or two to import; the rest of the command line need not.
    from systolith_host.visual.assemble import PageOptions, assemble
    from systolith_host.visual.page import page, sections
    from systolith_host.visual.subject import load_subject
    from systolith_host.visual.timeline import modelled_timeline
    from systolith_host.visual.trace import save_network_trace, save_trace

    target = load_config(config)
    options = PageOptions(
        studies=layer or (),
        timeline=timeline,
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
    wanted = picture or []
    if wanted:
        from systolith_host.visual.pictures import check_pictures

        check_pictures(wanted)
        _check_names(wanted, has_sweep=sweep is not None)
    written: list[Path] = []
    with ProgressLog(error_console()) as log:
        memory = Memory(latency=latency, bytes_per_cycle=bandwidth, turnaround=turnaround)
        subject = load_subject(network, target, memory, batch, log)
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
        if wanted:
            from systolith_host.visual.draw import Size
            from systolith_host.visual.pictures import save_pictures

            log.stage("pictures")
            drawn = {one.name: one for part in parts for one in part.pictures}
            files = list(_files(wanted, drawn))
            written += save_pictures(
                [(drawn[path.stem], path) for path in files], Size(width, font_size)
            )
    for path in written:
        show(f"{path}: {path.stat().st_size:,} bytes")


def _check_names(paths: Sequence[Path], *, has_sweep: bool) -> None:
    """Refuse pictures of which the page has none; those of tilings depend on the network.

    Raises
    ------
    SystolithError
        If a file's name names no figure.
    """
    for path in paths:
        if path.stem == "pareto" and not has_sweep:
            raise SystolithError(f"--picture {path}: the Pareto front needs --sweep")
        if path.stem not in (*_FIGURES, "all") and not path.stem.startswith("tilings-"):
            names = ", ".join(_FIGURES)
            raise SystolithError(
                f"--picture {path}: there is no figure {path.stem}; there are {names}, "
                "tilings-LAYER, and all"
            )


def _files(paths: Sequence[Path], names: Collection[str]) -> list[Path]:
    """Return a file for each figure that is wanted, once.

    Raises
    ------
    SystolithError
        If the page has no figure of a name.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.stem not in (*names, "all"):
            raise SystolithError(
                f"--picture {path}: the page has no {path.stem}; it has {', '.join(names)}"
            )
        stems = names if path.stem == "all" else [path.stem]
        found.update((path.with_name(f"{stem}{path.suffix}"), None) for stem in stems)
    return list(found)
