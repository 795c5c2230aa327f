"""Reports of the FPGA tools as tables for people."""

from collections.abc import Iterable, Mapping

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from systolith_host.fpga.parts import Part
from systolith_host.fpga.place import Attempt
from systolith_host.fpga.timing import TimingReport
from systolith_host.lab.units import Unit

__all__ = ["attempts_table", "clock_lines", "resources_table", "timing_table", "unit_table"]


def resources_table(need: Mapping[str, int], part: Part) -> Table:
    """Return what is used of a part and what is left."""
    sites = Table(box=None, pad_edge=False, header_style="bold")
    sites.add_column("resource")
    for name in ("used", "available", "left"):
        sites.add_column(name, justify="right")
    for name, count in need.items():
        there = part.resources[name]
        sites.add_row(name, f"{count:,}", f"{there:,}", f"{there - count:,}")
    return sites


def attempts_table(attempts: Iterable[Attempt], best: Attempt) -> Table:
    """Return all placements, with the clocks of each."""
    attempts = tuple(attempts)
    names = [clock.name for clock in best.clocks]
    seeds = Table(box=None, pad_edge=False, header_style="bold")
    columns = names if len(names) > 1 else ["MHz"]
    for name in ("seed", *columns, "seconds"):
        seeds.add_column(name, justify="right")
    seeds.add_column("router")
    seeds.add_column("result")
    for attempt in attempts:
        reached = {clock.name: f"{clock.mhz:.1f}" for clock in attempt.clocks}
        seeds.add_row(
            str(attempt.seed),
            *(reached.get(name, "-") for name in names),
            f"{attempt.seconds:.0f}",
            attempt.router,
            "best" if attempt is best else attempt.result,
        )
    return seeds


def clock_lines(best: Attempt) -> list[str]:
    """Return a line for each clock: what it reaches, and what holds it back."""
    lines = []
    for clock in best.clocks:
        line = f"{clock.name}: {clock.mhz:.1f} MHz"
        if clock.path:
            line += (
                f"; critical path {clock.path_ns:.1f} ns, {clock.logic_ns:.1f} of them logic: "
                f"{' > '.join(clock.path)}"
            )
        lines.append(line)
    return lines


def timing_table(report: TimingReport) -> RenderableType:
    """Return resources, seeds, and the critical path of each clock."""
    verdict = "met" if report.met else "MISSED"
    lines = [
        *clock_lines(report.best),
        f"{report.config.name} on {report.part.name}: {report.best.mhz:.1f} MHz, "
        f"{report.mhz:g} MHz wanted: {verdict}",
    ]
    if report.caveat:
        lines.insert(0, report.caveat)
    return Group(
        resources_table(report.need, report.part),
        Text(),
        attempts_table(report.attempts, report.best),
        Text(),
        *map(Text, lines),
    )


def unit_table(units: Iterable[Unit]) -> Table:
    """Return the resources and the clock of each unit, and what holds it back."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("unit")
    rows = list(units)
    for name in (*rows[0].used, "MHz"):
        table.add_column(name, justify="right")
    table.add_column("critical path")
    for unit in rows:
        counts = [f"{count:,}" for count in unit.used.values()]
        table.add_row(unit.name, *counts, f"{unit.mhz:.1f}", " > ".join(unit.path))
    return table
