"""DRAM traffic by size of the on-chip memory as a table for people."""

from collections.abc import Sequence

from rich.table import Table

from systolith_host.lab.traffic import GROUPS, SizeTraffic

__all__ = ["traffic_table"]


def traffic_table(found: Sequence[SizeTraffic]) -> Table:
    """Return a row for each size and aim."""
    table = Table(box=None, pad_edge=False)
    columns = ("KiB", "schedules for", "act + weights + sums KiB")
    groups = ("convolutions MB", "bound", "ratio", "fc MB", "bound", "ratio", "all MB", "bound")
    for name in (*columns, *groups, "ratio", "of compulsory", "cycles"):
        table.add_column(name, justify="right")
    for one in found:
        split = (one.split.activations, one.split.weights, one.split.sums)
        row = [f"{one.size / 1024:g}", one.aim, " + ".join(f"{part / 1024:g}" for part in split)]
        for group in GROUPS:
            moved, least = one.traffic[group], one.bound[group]
            row += [f"{moved / 1e6:.2f}", f"{least / 1e6:.2f}"]
            row.append(f"{moved / least:.3f}" if least else "")
        row.append(f"{one.traffic['all'] / one.compulsory['all']:.3f}")
        row.append(f"{one.cycles:,}" if one.cycles else "")
        table.add_row(*row)
    return table
