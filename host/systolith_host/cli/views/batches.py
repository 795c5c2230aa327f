"""Fully connected layers by the number of images as a table for people."""

from collections.abc import Sequence

from rich.table import Table

from systolith_host.lab.batches import BatchCost

__all__ = ["batch_table"]


def batch_table(found: Sequence[BatchCost]) -> Table:
    """Return a row for each machine and number of images."""
    table = Table(box=None, pad_edge=False)
    table.add_column("accelerator, memory")
    for name in ("images", "cycles an image", "least", "ratio", "MB an image", "least", "ratio"):
        table.add_column(name, justify="right")
    for one in found:
        table.add_row(
            one.machine,
            str(one.images),
            f"{one.cycles:,.0f}",
            f"{one.least_cycles:,.0f}",
            f"{one.cycles / one.least_cycles:.3f}",
            f"{one.moved_bytes / 1e6:.3f}",
            f"{one.least_bytes / 1e6:.3f}",
            f"{one.moved_bytes / one.least_bytes:.3f}",
        )
    return table
