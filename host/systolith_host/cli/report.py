"""The command `systolith report`."""

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
from systolith_host.energy.table import TABLES, load_table
from systolith_host.errors import SystolithError
from systolith_host.explore.space import parse_values
from systolith_host.extras import RTL, need
from systolith_host.progress import ProgressLog
from systolith_host.terminal import error_console
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import load_config

__all__ = ["report"]


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
    pictures: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Also write each picture to a file; needs Chrome or Chromium."
        ),
    ] = None,
    png: Annotated[bool, typer.Option("--png", help="Pictures as PNG, not SVG.")] = False,
) -> None:
    """Write one HTML page on the costs of a network; it works offline.

    It shows the roofline, stalls, energies, bandwidth curves, tilings and their changes, a
    timeline and the buffers of one layer, and the Pareto front of a sweep.
    """
    need("report", "report", "plotly", "numba")
    if pictures is not None:
        need("--pictures", "report", "choreographer")
    if rtl:
        need("--rtl", "sim", *RTL)
    # Plotly and the model take a second or two to import; the rest of the command line need not.
    from systolith_host.visual.assemble import PageOptions, assemble
    from systolith_host.visual.page import page, sections
    from systolith_host.visual.pictures import save_pictures
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
        if pictures is not None:
            log.stage("pictures")
            drawn = [picture for part in parts for picture in part.pictures]
            written += save_pictures(out, drawn, pictures, "png" if png else "svg")
    for path in written:
        show(f"{path}: {path.stat().st_size:,} bytes")
