"""The report of a build as tables for people."""

from rich.console import Group, RenderableType
from rich.text import Text

from systolith_host.boards.report import BuildReport, NetworkSpeed
from systolith_host.cli.views.fpga import attempts_table, clock_lines, resources_table

__all__ = ["build_table"]


def _read_rate(speed: NetworkSpeed) -> str:
    if speed.read_rate is None:
        return "long reads not measured"
    return f"{speed.read_rate:,.0f} for long reads in the simulated system"


def build_table(report: BuildReport) -> RenderableType:
    """Return resources, placements, clocks, and what the board makes of a network."""
    speed, board = report.speed, report.board
    wanted = ", ".join(f"{clock.name} {clock.wanted:g}" for clock in report.best.clocks)
    lines = [
        *clock_lines(report.best),
        "",
        f"{speed.network}: {speed.frames:.2f} frames/s at {report.mhz:g} MHz, "
        f"{speed.convolution_frames:.2f} for the convolutions alone ({speed.cycles:,} and "
        f"{speed.convolution_cycles:,} cycles, counted by {speed.source})",
        f"memory: {speed.memory_rate:,.0f} MB/s at the pins, {_read_rate(speed)}; the network "
        f"asks for {speed.needed_rate:,.0f} MB/s where the memory keeps up "
        f"({speed.unlimited_cycles:,} cycles)",
    ]
    if speed.memory_bytes > board.memory_bytes:
        lines.append(
            f"{speed.network} needs {speed.memory_bytes >> 20} MB, {board.title} has "
            f"{board.memory_bytes >> 20} MB: it does not run there as a whole"
        )
    verdict = "every clock met" if report.met else "a clock is MISSED"
    lines.append(
        f"{report.config.name} on {board.title} ({report.part.name}), MHz wanted: {wanted}: "
        f"{verdict}"
    )
    return Group(
        resources_table(report.need, report.part),
        Text(),
        attempts_table(report.attempts, report.best),
        Text(),
        *map(Text, lines),
    )
