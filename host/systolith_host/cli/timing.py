"""The command `systolith timing`."""

from pathlib import Path
from typing import Annotated

import typer

from systolith_host.cli.options import (
    AcceleratorOption,
    FirstSeedOption,
    LimitOption,
    PlacementJobsOption,
    SeedsOption,
)
from systolith_host.cli.output import MISMATCH, show
from systolith_host.extras import need
from systolith_host.progress import ProgressLog
from systolith_host.terminal import error_console
from systolith_hw.spec.presets import load_config

__all__ = ["timing"]


def timing(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for netlist, logs and report.json.")
    ],
    config: AcceleratorOption = "ecp5-85f",
    part: Annotated[str, typer.Option(help="The FPGA.")] = "lfe5u-85f-6",
    clock: Annotated[float, typer.Option(min=1, metavar="MHZ", help="The clock to reach.")] = 100,
    seeds: SeedsOption = 3,
    first_seed: FirstSeedOption = 1,
    jobs: PlacementJobsOption = 2,
    limit: LimitOption = 900,
) -> None:
    """Measure the accelerator's resources and clock on an FPGA.

    It is synthesised, placed and routed between registers, without board, memory or host link.
    Exit status: 0 if the clock is met, 1 if it is missed.
    """
    from systolith_host.cli.views.fpga import timing_table
    from systolith_host.fpga.parts import GOWIN_PARTS, PARTS, load_part
    from systolith_host.fpga.timing import measure_timing

    target, fpga = load_config(config), load_part(part, PARTS | GOWIN_PARTS)
    need("timing", "sim", "amaranth", "pyosys")
    with ProgressLog(error_console()) as log:
        report = measure_timing(
            target,
            fpga,
            out,
            mhz=clock,
            seeds=range(first_seed, first_seed + seeds),
            jobs=jobs,
            limit=limit,
            stage=log.stage,
            ended=lambda one: log.message(
                f"seed {one.seed}, {one.router}: {one.result}"
                + (f", {one.mhz:.1f} MHz" if one.clocks else "")
                + f", {one.seconds:.0f} s"
            ),
        )
    report.save(out / "report.json")
    show(timing_table(report))
    if not report.met:
        raise typer.Exit(MISMATCH)
