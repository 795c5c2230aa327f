"""Reports as tables for people."""

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from systolith_host.cli.views.triage import triage_lines
from systolith_host.flow.labels import IMAGENET
from systolith_host.flow.report import BUSY, HostReport, LayerReport, Report, Totals
from systolith_host.frontend.vgg import NETWORKS
from systolith_hw.spec.memory import Memory

__all__ = ["noise_table", "report_table"]

_NAMED = 4
"""Parts of the host of one kind that a line names."""

_LONGEST = 28
"""Characters of a layer's name that stand in one line."""


def report_table(report: Report) -> RenderableType:
    """Return the rows of a report, its totals, and what they mean."""
    causes = list(dict.fromkeys(cause for row in report.layers for cause in row.stalls))
    table = Table(box=None, pad_edge=False, header_style="bold")
    # A long name takes several lines, so that no number is cut.
    long = max((len(row.title) for row in report.layers), default=0) > _LONGEST
    table.add_column("layer", no_wrap=not long, overflow="fold")
    names = ["MMACs", "cycles", "util", "of bound", "read MB", "write MB"]
    names += [cause.replace("wait_", "") for cause in causes]
    for name in [*names, "mismatches"]:
        table.add_column(name, justify="right", no_wrap=True)
    for row in report.layers:
        table.add_row(row.title, *_cells(report, row, causes))
    table.add_section()
    groups = report.groups
    for name, totals in groups.items():
        if totals.rows and (name == "all" or totals.rows < groups["all"].rows):
            table.add_row(name.replace("_", " "), *_cells(report, totals, causes), style="bold")
    return Group(table, Text(), *map(Text, _remarks(report, causes)))


def _cells(report: Report, row: LayerReport | Totals, causes: Iterable[str]) -> list[str]:
    utilisation = report.utilisation(row)
    return [
        f"{row.macs / 1e6:,.2f}",
        _count(row.cycles),
        "-" if utilisation is None else f"{utilisation:.1%}",
        f"{row.bound_cycles / row.cycles:.1%}" if row.cycles else "-",
        _megabytes(row.bytes_read),
        _megabytes(row.bytes_written),
        *(_count(row.stalls.get(cause)) for cause in causes),
        _count(row.mismatches),
    ]


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _megabytes(value: int | None) -> str:
    return "-" if value is None else f"{value / 1e6:,.3f}"


def _remarks(report: Report, causes: Iterable[str]) -> list[str]:
    everything = report.groups["all"]
    lines = [
        f"{report.network}, batch {report.batch}, on {report.config['name']} "
        f"({report.config['rows']}x{report.config['cols']} array, "
        f"{report.config['bus_bytes']}-byte bus), {report.device}",
    ]
    if everything.mismatches is None:
        lines.append(f"{everything.layers} layers; not compared with the golden model")
    else:
        lines.append(
            f"{everything.layers} layers, {everything.mismatches} mismatches in "
            f"{everything.values:,} values compared with the golden model"
        )
    if report.triage is not None:
        lines += triage_lines(report.triage)
    if everything.bytes_read is not None and everything.bytes_written is not None:
        traffic = everything.bytes_read + everything.bytes_written
        lines.append(
            f"DRAM traffic {traffic:,} bytes, {traffic / everything.compulsory_bytes:.3f} times "
            f"the compulsory {everything.compulsory_bytes:,}"
        )
    gathered = [row for row in report.layers if row.skipped_bytes]
    if gathered:
        skipped = ", ".join(f"{row.title} {row.skipped_bytes:,}" for row in gathered)
        lines.append(f"bytes of weights of zero inputs that were not read: {skipped}")
    if everything.cycles:
        lines.append(
            f"{everything.cycles:,} cycles, {everything.cycles / everything.bound_cycles:.3f} "
            f"times the lower bound of {everything.bound_cycles:,}"
        )
        if any(causes):
            lines.append(
                f"stall columns: cycles of the compute engine by what it waits for; with its "
                f"{everything.cycles - sum(everything.stalls.values()):,} {BUSY} cycles they add "
                "up to the total"
            )
    if report.frames_per_second is not None:
        without = ", without the host's parts" if report.host else ""
        lines.append(
            f"{report.frames_per_second:,.2f} frames/s at {report.clock_mhz:g} MHz{without}"
        )
    if report.host:
        lines += _host(report.host)
    if report.top:
        top = ", ".join(f"{_named(report, index)} ({value:.2f})" for index, value in report.top)
        what = "outputs (by index)"
        if report.names:
            what = "classes"
        elif (vgg := NETWORKS.get(report.network)) and vgg.classes == IMAGENET:
            what = "classes (ImageNet indices)"
        lines.append(f"top {len(report.top)} {what}: {top}")
        first = report.float_top[:1] == (report.top[0][0],)
        lines.append(
            f"float network's top {len(report.float_top)}: "
            f"{', '.join(_named(report, index) for index in report.float_top)} "
            f"(first {'agrees' if first else 'differs'})"
        )
    for name in ("labels", "weights", "images"):
        if name in report.sources:
            lines.append(f"{name}: {report.sources[name]}")
    if report.memory is not None:
        lines.append(f"memory: {_memory(report)}")
    if report.wall_seconds:
        lines.append(f"device wall time {report.wall_seconds:,.1f} s")
    return lines


def _named(report: Report, index: int) -> str:
    return f"{index} {report.names[index]}" if index in report.names else str(index)


def _host(parts: Sequence[HostReport]) -> list[str]:
    """Return what the host computes, those with the same operators together."""
    groups: dict[tuple[str, ...], list[HostReport]] = {}
    for part in parts:
        groups.setdefault(part.operators, []).append(part)
    read, written = (
        sum(part.bytes_read for part in parts),
        sum(part.bytes_written for part in parts),
    )
    took = [part.seconds for part in parts if part.seconds is not None]
    time = f"{sum(took):,.3f} s" if took else "its time is not estimated"
    lines = [f"on the host: {len(parts)} parts, {read:,} bytes to it and {written:,} back, {time}"]
    for operators, found in groups.items():
        each = ", ".join(dict.fromkeys(operators))
        names = ", ".join(part.name for part in found[:_NAMED])
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        lines.append(f"    {len(found)} x {each}: {names}{more}")
    wrong = sum(part.mismatches or 0 for part in parts)
    if wrong:
        lines.append(f"    {wrong:,} of its values differ from the golden model's")
    return lines


def _memory(report: Report) -> str:
    told = dict(report.memory or {})
    text = Memory(**told).described(int(report.config["bus_bytes"]))
    return f"{report.memory_name}, {text}" if report.memory_name != "simulated" else text


def noise_table(noise: Mapping[str, float]) -> RenderableType:
    """Return the signal-to-noise ratio of every layer."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("layer", no_wrap=True)
    table.add_column("signal/noise dB", justify="right", no_wrap=True)
    for name, ratio in noise.items():
        table.add_row(name, f"{ratio:.1f}")
    line = "Integers versus float network; the noise of all earlier layers is included."
    return Group(Text(), table, Text(line))
