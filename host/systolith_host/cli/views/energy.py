"""Energies as a table for people."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from systolith_host.energy.energy import Energy, Range
from systolith_host.flow.report import Report

__all__ = ["energy_table"]


def energy_table(report: Report) -> RenderableType:
    """Return the energy of each layer by its parts, and what the numbers mean.

    Raises
    ------
    ValueError
        If the report has none.
    """
    spent = report.energy
    if spent is None:
        raise ValueError("the report has no energies")
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    table.add_column("energy, uJ", overflow="fold")
    total = spent.total
    for name in (*total.parts, "total", "least", "most", "pJ/MAC"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in report.layers:
        table.add_row(row.title, *_cells(spent.layers[row.name], total, row.macs))
    table.add_section()
    everything = report.groups["all"]
    table.add_row("all", *_cells(total, total, everything.macs), style="bold")
    lines = [_summary(report, total.total, everything.cycles)]
    lines.append(
        f"energy by the table {spent.table.name} ({spent.table.technology}): {spent.table.source}"
    )
    lines.append(
        "not counted: clocks, control, shifting in the array, transforms, requantisation, leakage"
    )
    return Group(Text(), table, Text(), *map(Text, lines))


def _cells(energy: Energy, all_parts: Energy, macs: int) -> list[str]:
    parts = [energy.parts[name].pj for name in all_parts.parts]
    total = energy.total
    numbers = [*parts, total.pj, total.low, total.high]
    cells = [f"{number / 1e6:,.1f}" for number in numbers]
    return [*cells, f"{total.pj / macs:.2f}" if macs else "-"]


def _summary(report: Report, total: Range, cycles: int | None) -> str:
    """Return the energy of a run, and of an image."""
    batch = report.batch
    text = f"{total.pj / 1e9:,.2f} mJ ({total.low / 1e9:,.2f} to {total.high / 1e9:,.2f})"
    text += f", {1e12 * batch / total.pj:,.1f} images per joule"
    if cycles:
        seconds = cycles / (report.clock_mhz * 1e6)
        text += (
            f"; {total.pj / 1e9 * seconds * 1e3:,.1f} mJ x ms at {report.clock_mhz:g} MHz "
            f"({total.pj / 1e12 / seconds:,.3f} W)"
        )
    return text
