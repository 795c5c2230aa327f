"""Reports of the FPGA tools as tables for people."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from systolith_host.fpga.timing import TimingReport

__all__ = ["timing_table"]


def timing_table(report: TimingReport) -> RenderableType:
    """Return resources, seeds, and the critical path of each clock."""
    sites = Table(box=None, pad_edge=False, header_style="bold")
    sites.add_column("resource")
    for name in ("used", "available", "left"):
        sites.add_column(name, justify="right")
    for name, count in report.need.items():
        there = report.part.resources[name]
        sites.add_row(name, f"{count:,}", f"{there:,}", f"{there - count:,}")

    seeds = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("seed", "MHz", "seconds"):
        seeds.add_column(name, justify="right")
    seeds.add_column("router")
    seeds.add_column("result")
    for attempt in report.attempts:
        seeds.add_row(
            str(attempt.seed),
            f"{attempt.mhz:.1f}" if attempt.clocks else "-",
            f"{attempt.seconds:.0f}",
            attempt.router,
            "best" if attempt is report.best else attempt.result,
        )

    lines = []
    for clock in report.best.clocks:
        lines.append(
            f"{clock.name}: {clock.mhz:.1f} MHz; critical path {clock.path_ns:.1f} ns, "
            f"{clock.logic_ns:.1f} of them logic: {' > '.join(clock.path)}"
        )
    verdict = "met" if report.met else "MISSED"
    lines.append(
        f"{report.config.name} on {report.part.name}: {report.best.mhz:.1f} MHz, "
        f"{report.mhz:g} MHz wanted: {verdict}"
    )
    return Group(sites, Text(), seeds, Text(), *map(Text, lines))
