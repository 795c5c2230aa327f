"""Small configurations for tests."""

from typing import Any

from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["small_config"]


def small_config(rows: int = 4, cols: int = 4, **changes: Any) -> AcceleratorConfig:
    """Return a configuration of that shape with buffers of a few words; `changes` are fields."""
    block = min(rows, cols)
    fields: dict[str, Any] = {
        "name": f"{rows}x{cols}",
        "rows": rows,
        "cols": cols,
        "act_depth": 256,
        "weight_depth": 64 * rows,
        "param_depth": 4 * cols,
        "acc_depth": 64,
        "post_lanes": block & -block,
        "bus_bytes": 8,
        "burst_beats": 4,
        "out_depth": 64,
        "outstanding_reads": 4,
        "outstanding_writes": 2,
        "queue_depth": 4,
    }
    return AcceleratorConfig(**{**fields, **changes})
