"""The external memory as accelerator, compiler and models see it: rate, latency, turnaround."""

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from systolith_hw.spec.config import ConfigError

__all__ = ["LIMITS", "RATE_UNIT", "TRANSACTIONS", "WRITE_BEATS", "Memory"]

RATE_UNIT = 256
"""Models count the memory's bandwidth in whole 1/RATE_UNIT bytes per cycle."""

TRANSACTIONS = 64
"""Limit on the reads, and on the writes, that a memory takes before it answers the first."""

WRITE_BEATS = 32
"""Beats of writes that the modelled memory buffers."""

LIMITS: Mapping[str, tuple[float, float]] = {
    "latency": (2, 100_000),
    "bytes_per_cycle": (1 / RATE_UNIT, 1024),
    "turnaround": (0, 64),
    "reads": (1, TRANSACTIONS),
    "writes": (1, TRANSACTIONS),
}
"""Smallest and largest value of each field of a memory."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """An external memory behind the AXI4 port.

    Parameters
    ----------
    bytes_per_cycle : float, optional
        Bandwidth that reads and writes share, in bytes per cycle of the accelerator, 1/256 to 1024;
        None for the width of the bus.
    latency : int
        Cycles from the address of a read to its first data, and from the last data of a write to
        its response, 2 to 100,000.
    turnaround : int
        Cycles between reading and writing in which no data moves, 0 to 64; with 0 both move in the
        same cycle. Otherwise the direction changes at the end of a burst, or when the present one
        has nothing to move.
    reads, writes : int
        Transactions that the memory takes before it answers the first, 1 to :data:`TRANSACTIONS`.

    Raises
    ------
    ConfigError
        If a field is not a number of its kind, or out of range.
    """

    bytes_per_cycle: float | None = None
    latency: int = 40
    turnaround: int = 0
    reads: int = TRANSACTIONS
    writes: int = TRANSACTIONS

    def __post_init__(self) -> None:
        for field in ("latency", "turnaround", "reads", "writes"):
            self._check_kind(field, Integral, "a whole number")
        rate = self.bytes_per_cycle
        if rate is not None:
            self._check_kind("bytes_per_cycle", Real, "a number")
        for field, (low, high) in LIMITS.items():
            value = getattr(self, field)
            unit = " cycles" if field in ("latency", "turnaround") else ""
            rule = f"{_text(low)} to {_text(high)}{unit}"
            self._check(field, value is None or low <= value <= high, rule)

    def _check(self, field: str, kept: bool, rule: str) -> None:
        if not kept:
            raise ConfigError(f"memory {field} must be {rule}, not {getattr(self, field)!r}")

    def _check_kind(self, field: str, kind: type, rule: str) -> None:
        value = getattr(self, field)
        self._check(field, isinstance(value, kind) and not isinstance(value, bool), rule)
        # NumPy's numbers become Python's, which JSON takes.
        object.__setattr__(self, field, int(value) if kind is Integral else float(value))

    def rate(self, bus_bytes: int) -> float:
        """Return the smaller of the memory's bandwidth and the bus's width, in bytes per cycle."""
        return min(self.bytes_per_cycle or float(bus_bytes), float(bus_bytes))

    def rate_units(self, bus_bytes: int) -> int:
        """Return the memory's bandwidth in 1/RATE_UNIT bytes per cycle, rounded, at least 1."""
        rate = bus_bytes if self.bytes_per_cycle is None else self.bytes_per_cycle
        return max(1, round(rate * RATE_UNIT))

    def described(self, bus_bytes: int) -> str:
        """Return a text of bandwidth, latency and, unless it is 0, turnaround."""
        rate = bus_bytes if self.bytes_per_cycle is None else self.bytes_per_cycle
        text = f"{rate:g} bytes per cycle, latency {self.latency} cycles"
        return f"{text}, turnaround {self.turnaround} cycles" if self.turnaround else text

    def to_dict(self, bus_bytes: int) -> dict[str, Any]:
        """Return the fields as JSON values; the bandwidth is the bus's width where it is None."""
        return {
            "bytes_per_cycle": self.bytes_per_cycle or float(bus_bytes),
            "latency": self.latency,
            "turnaround": self.turnaround,
            "reads": self.reads,
            "writes": self.writes,
        }


def _text(limit: float) -> str:
    """Return a limit as text: below 1 as a fraction."""
    return f"1/{1 / limit:g}" if 0 < limit < 1 else f"{limit:g}"
