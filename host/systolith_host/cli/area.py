"""The command `systolith area`."""

from pathlib import Path
from typing import Annotated

import typer

from systolith_host.cli.options import AcceleratorOption
from systolith_host.cli.output import show
from systolith_host.extras import need
from systolith_host.fpga.xilinx import FAMILIES, load_family, measure_area
from systolith_host.progress import ProgressLog
from systolith_host.terminal import error_console
from systolith_hw.spec.presets import load_config

__all__ = ["area"]


def area(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for netlist, log, report.json.")],
    config: AcceleratorOption = "default",
    family: Annotated[str, typer.Option(help=f"One of {', '.join(FAMILIES)}.")] = "xc7",
) -> None:
    """Estimate the accelerator's area on AMD's FPGAs: LUT, FF, DSP48, block RAM.

    Yosys synthesises it; nothing is placed, so there is no clock. This takes minutes.
    """
    target, chosen = load_config(config), load_family(family)
    need("area", "sim", "amaranth", "pyosys")
    with ProgressLog(error_console()) as log:
        report = measure_area(target, chosen, out, log.stage)
    report.save(out / "report.json")
    lines = [f"{target.name} for {chosen.title}, by Yosys, {report.seconds:.0f} s:"]
    lines += [f"  {name}: {count:,g}" for name, count in report.need.items()]
    lines.append(
        f"  of the {chosen.dsp}: "
        + ", ".join(f"{count:,} {what}" for what, count in report.multipliers.items())
    )
    show("\n".join(lines))
