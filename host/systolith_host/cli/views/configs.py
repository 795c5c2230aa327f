"""Configurations as a table for people."""

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["config_table"]


def config_table(configs: Iterable[AcceleratorConfig]) -> RenderableType:
    """Return configurations, one per row, with the numbers that follow from their fields."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("config")
    columns = ("array", "activations", "weights", "accumulators", "winograd", "channels", "bus")
    for name in (*columns, "multiplier", "fingerprint"):
        table.add_column(name, justify="right", no_wrap=True)
    for config in configs:
        table.add_row(
            config.name,
            f"{config.rows}x{config.cols}",
            f"{config.act_bytes / 1024:g} KiB",
            f"{config.weight_bytes / 1024:g} KiB",
            f"2x{config.acc_depth} px",
            f"{config.winograd}" if config.winograd else "-",
            f"{config.param_depth}",
            f"{config.bus_bytes} B",
            f"{config.multiplier_width} bits",
            f"{config.fingerprint:016x}",
        )
    lines = (
        "activations, weights: on-chip buffers; accumulators: pixels of the two banks; winograd: "
        "patches of the largest tile; channels: entries of the parameter buffer; bus: bytes per "
        "cycle; multiplier: of the requantiser.",
        "A TOML file serves as a configuration, too: systolith configs --show default > mine.toml",
    )
    return Group(table, Text(), *map(Text, lines))
