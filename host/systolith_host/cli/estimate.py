"""The command `systolith estimate`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group

from systolith_host.cli.options import (
    DEFAULT_LATENCY,
    AcceleratorOption,
    BandwidthOption,
    BatchOption,
    ClockOption,
    DensityOption,
    FusePoolOption,
    HostNodesOption,
    LatencyOption,
    NetworkArgument,
    ShapeOption,
    TurnaroundOption,
    WeightBitsOption,
    bits_of,
    size_of,
)
from systolith_host.cli.output import check_targets, give
from systolith_host.cli.views.energy import energy_table
from systolith_host.cli.views.report import report_table
from systolith_host.energy.table import TABLES, load_table
from systolith_host.extras import need
from systolith_host.flow.load import shape_network
from systolith_host.network.weight_bits import narrow_network
from systolith_host.program.active import parse_density
from systolith_host.progress import ProgressLog
from systolith_host.terminal import error_console
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import load_config

__all__ = ["estimate"]


def estimate(
    network: NetworkArgument = "vgg16",
    shape: ShapeOption = None,
    host_nodes: HostNodesOption = True,
    config: AcceleratorOption = "default",
    batch: BatchOption = 1,
    bandwidth: BandwidthOption = None,
    latency: LatencyOption = DEFAULT_LATENCY,
    turnaround: TurnaroundOption = 0,
    fuse_pool: FusePoolOption = True,
    density: DensityOption = None,
    weight_bits: WeightBitsOption = None,
    energy: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help=f"Also show each layer's energy, by a table of pJ per access: "
            f"{', '.join(TABLES)} or a TOML file.",
        ),
    ] = None,
    clock: ClockOption = 150.0,
    jobs: Annotated[
        int, typer.Option(min=1, max=256, help="Layers that are replayed in parallel.")
    ] = 2,
    json: Annotated[
        Path | None,
        typer.Option(
            "--json", metavar="FILE", help="Also write the report as JSON; - prints it instead."
        ),
    ] = None,
) -> None:
    """Show every layer's cycles, bytes and stalls in seconds, from the network's shapes alone.

    Nothing is calibrated, computed or simulated: the network is compiled, and the replay follows
    its instructions through the accelerator cycle by cycle. The numbers are those that
    `systolith run` counts in the RTL. The time of nodes that the host computes is not estimated.
    """
    need("estimate", "explore", "numba")
    check_targets(json)
    size = size_of(shape)
    share = 1.0 if density is None else parse_density(density)
    bits = bits_of(weight_bits)
    table = None if energy is None else load_table(energy)
    target = load_config(config)
    memory = Memory(latency=latency, bytes_per_cycle=bandwidth, turnaround=turnaround)
    from systolith_host.cost.estimate import estimate_network  # imports numba

    with ProgressLog(error_console()) as log:
        log.stage("reading the network")
        qgraph = shape_network(
            network, size, host_nodes=host_nodes, functions=bool(target.functions)
        )
        report = estimate_network(
            narrow_network(qgraph, bits),
            target,
            memory,
            batch,
            fuse_pool=fuse_pool,
            density=share,
            energy=table,
            clock_mhz=clock,
            workers=jobs,
            log=log,
        )
    energies = [] if report.energy is None else [energy_table(report)]
    give(Group(report_table(report), *energies), report.to_dict(), json)
