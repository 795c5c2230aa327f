"""Small configurations for tests."""

from typing import Any

from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["port_config", "small_config"]


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


def port_config(limit: int) -> AcceleratorConfig:
    """Return a configuration with 1 to 3 bursts outstanding at each port, for proofs of them."""
    beats, out_depth = ((1, 8), (2, 8), (2, 12))[limit - 1]
    return small_config(
        addr_width=16 if limit < 3 else 20,
        bus_bytes=4 if limit < 3 else 8,
        burst_beats=beats,
        out_depth=out_depth,
        outstanding_reads=limit,
        outstanding_writes=limit,
    )
