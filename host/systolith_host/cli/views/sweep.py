"""The points of a sweep as a table: the fastest ones, and how good their numbers are."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from rich.table import Table

from systolith_host.explore.rank import ORDERS, exact_line, find_front, ranked
from systolith_host.explore.results import Result
from systolith_host.explore.space import AXES
from systolith_host.fpga.estimate import fit_note
from systolith_host.terminal import SafeConsole

__all__ = ["point_table", "show_sweep"]

_SHOWN = 12


def show_sweep(console: SafeConsole, found: Sequence[Result], by: str = "cycles") -> None:
    """Print the best points, and why others cannot be built; ~ marks what is estimated."""
    good = ranked(found, by)
    if good:
        _show_points(console, good, by)
    reasons = Counter(result.reason for result in found if result.reason)
    if reasons:
        console.print(f"{reasons.total():,} points cannot be built or run:")
    for reason, number in reasons.most_common():
        console.print(f"  {number:,} x {reason}", highlight=False)


def point_table(
    results: Sequence[Result],
    axes: Sequence[str],
    columns: Mapping[str, Callable[[Result], str]] | None = None,
) -> Table:
    """Return a table of points: axes, costs, columns of the caller's; ~ marks what is estimated."""
    more = columns or {}
    table = Table(box=None, pad_edge=False, title_justify="left")
    costs = ("cycles", "of bound", "traffic MB", "mJ", "DSPs", "block RAMs", "LUTs", "FFs")
    for name in (*axes, *costs, *more):
        table.add_column(name, justify="right")
    for result in results:
        about = "" if result.exact else "~"
        table.add_row(
            *(f"{result.values[axis]:,g}" if axis in result.values else "" for axis in axes),
            f"{about}{result.known_cycles:,}",
            f"{about}{100 * result.bound_cycles / result.known_cycles:.1f}%",
            f"{about}{result.known_bytes / 1e6:.2f}",
            "" if result.energy_pj is None else f"{result.energy_pj / 1e9:,.2f}",
            f"{result.dsps:,}",
            f"{result.block_rams:,}",
            f"~{result.luts:,}",
            f"~{result.ffs:,}",
            *(text(result) for text in more.values()),
        )
    return table


def _show_points(console: SafeConsole, good: Sequence[Result], by: str) -> None:
    front = find_front(good, by)
    best = {result.key for result in front.results}
    axes = [axis for axis in AXES if any(axis in result.values for result in good)]
    mark = {"Pareto": lambda result: "*" if result.key in best else ""}
    console.print(point_table(good[:_SHOWN], axes, mark))
    if len(good) > _SHOWN:
        shown = "fastest" if by == "cycles" else f"best by {ORDERS[by]},"
        console.print(f"the {_SHOWN} {shown} of {len(good):,}; {len(best):,} on the Pareto front")
    console.print(exact_line(good, front), highlight=False)
    if any(result.energy_pj is not None for result in good):
        console.print("mJ by accesses and published figures: see docs/energy.md", highlight=False)
    console.print(f"DSPs and block RAMs as on an ECP5; {fit_note()}", highlight=False)
