"""The command `systolith lab batches`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from systolith_host.cli.output import check_targets, give
from systolith_host.explore.space import parse_values
from systolith_host.extras import need
from systolith_host.flow.load import shape_network
from systolith_host.program.active import parse_density
from systolith_host.progress import ProgressLog
from systolith_host.terminal import error_console
from systolith_host.version import describe

__all__ = ["batches"]

MACHINES = ("default", "default-gather", "ecp5-85f@3.66")
"""By default: 3.66 bytes per cycle are what an ECPIX-5's memory gives at 125 MHz."""

DENSITY = "fc6=0.108,fc7=0.247,fc8=0.259"
"""Shares of the active inputs of a trained VGG-16."""


def batches(
    network: Annotated[str, typer.Option(help="Built-in, or an ONNX file.")] = "vgg16",
    machine: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONFIG[@BYTES]",
            help="A preset or a file, and the bytes per cycle of the memory; repeat it. "
            f"Default: {', '.join(MACHINES)}.",
        ),
    ] = None,
    batch: Annotated[
        str, typer.Option(metavar="VALUES", help="Numbers of images, as in `explore`.")
    ] = "1,2,4,8,16",
    density: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="Share of the inputs that are active, as in `estimate`. Default: of VGG-16 that "
            f"of a trained one, {DENSITY}, of others 1.",
        ),
    ] = None,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="File for the same as JSON.")
    ] = None,
) -> None:
    """Show cycles and bytes of an image's fully connected layers by the number of images.

    The layers are those at the network's end, every cycle is replayed. Next to them is the least
    that array and memory allow, with each needed byte moved once.
    """
    check_targets(json)
    need("lab batches", "explore")
    from systolith_host.cli.views.batches import batch_table
    from systolith_host.lab.batches import Machine, measure_batches

    machines = [Machine.named(text) for text in machine or MACHINES]
    counts = [int(count) for count in parse_values("batch", batch)]
    shape_network(network)
    share = parse_density(density or (DENSITY if network == "vgg16" else "1"))
    with ProgressLog(error_console()) as log:
        found = list(measure_batches(network, machines, counts, share, log))
    fields = {"tool": describe(), "network": network, "rows": [asdict(one) for one in found]}
    give(batch_table(found), fields, json)
