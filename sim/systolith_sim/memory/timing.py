"""How the simulated memory behaves, and the arguments that tell a simulation so."""

from dataclasses import dataclass

__all__ = ["MemoryTiming"]


@dataclass(frozen=True, kw_only=True)
class MemoryTiming:
    """How the simulated external memory behaves.

    Parameters
    ----------
    latency : int
        Cycles from the address of a read to its first data, and from the last data of a write to
        its response, at least 2.
    bytes_per_cycle : float, optional
        Bandwidth shared by reads and writes; the width of the bus where it is None.
    turnaround : int
        Cycles in which no data moves between reading and writing, 0 to 64; 0 lets both move at
        once. With more the way changes at the end of a burst, or where nothing else is to move.
    reads, writes : int
        Transactions that the memory takes before it answers the first, 1 to 64.
    stalls : float
        Probability, 0 to below 1, that a channel pauses in a cycle.
    seed : int
        Of the stalls; positive.
    errors : tuple of int, optional
        First address and end of a range that answers with a bus error.
    dead : bool
        Whether the memory never answers.
    """

    latency: int = 40
    bytes_per_cycle: float | None = None
    turnaround: int = 0
    reads: int = 64
    writes: int = 64
    stalls: float = 0.0
    seed: int = 1
    errors: tuple[int, int] | None = None
    dead: bool = False

    def __post_init__(self) -> None:
        rules = (
            ("latency", 2 <= self.latency <= 100_000, "2 to 100000 cycles"),
            (
                "bytes_per_cycle",
                self.bytes_per_cycle is None or 1 / 256 <= self.bytes_per_cycle <= 1024,
                "1/256 to 1024",
            ),
            ("turnaround", 0 <= self.turnaround <= 64, "0 to 64 cycles"),
            ("reads", 1 <= self.reads <= 64, "1 to 64"),
            ("writes", 1 <= self.writes <= 64, "1 to 64"),
            ("stalls", 0 <= self.stalls < 1, "at least 0 and below 1"),
            ("seed", 1 <= self.seed < 1 << 31, "1 to 2**31 - 1"),
        )
        for field, kept, rule in rules:
            if not kept:
                raise ValueError(f"memory {field} must be {rule}, not {getattr(self, field)!r}")

    def described(self, bus_bytes: int) -> str:
        """Return bandwidth, latency and turnaround in words."""
        rate = bus_bytes if self.bytes_per_cycle is None else self.bytes_per_cycle
        text = f"{rate:g} bytes per cycle, latency {self.latency} cycles"
        return f"{text}, turnaround {self.turnaround} cycles" if self.turnaround else text

    def plusargs(self, bus_bytes: int) -> list[str]:
        """Return the settings as arguments of the simulation."""
        rate = bus_bytes if self.bytes_per_cycle is None else self.bytes_per_cycle
        settings = {
            "latency": self.latency,
            "rate": round(rate * 256),
            "turnaround": self.turnaround,
            "reads": self.reads,
            "writes": self.writes,
            "seed": self.seed,
        }
        settings |= {
            f"stall_{name}": int(self.stalls * 256) for name in ("ar", "r", "aw", "w", "b")
        }
        if self.errors is not None:
            settings |= {"error_base": self.errors[0], "error_end": self.errors[1]}
        arguments = [f"+memory_{name}={value}" for name, value in settings.items()]
        return arguments + (["+memory_dead"] if self.dead else [])
