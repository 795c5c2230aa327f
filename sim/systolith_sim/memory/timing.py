"""The behaviour of the simulated memory, as arguments of a simulation."""

from dataclasses import dataclass

from systolith_hw.spec.memory import Memory

__all__ = ["MemoryTiming"]


@dataclass(frozen=True, kw_only=True)
class MemoryTiming(Memory):
    """A memory with faults that only a simulation has.

    Parameters
    ----------
    stalls : float
        Probability, 0 to below 1, that a channel pauses in a cycle.
    seed : int
        Of the stalls; positive.
    errors : tuple of int, optional
        First address and end of a range that answers with a bus error.
    dead : bool
        Whether the memory never answers.
    others
        As in :class:`~systolith_hw.spec.memory.Memory`.
    """

    stalls: float = 0.0
    seed: int = 1
    errors: tuple[int, int] | None = None
    dead: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("stalls", 0 <= self.stalls < 1, "at least 0 and below 1")
        self._check("seed", 1 <= self.seed < 1 << 31, "1 to 2**31 - 1")

    @classmethod
    def of(cls, memory: Memory) -> "MemoryTiming":
        """Return a memory as the simulation takes it, without vices if it says nothing of them."""
        return memory if isinstance(memory, cls) else cls(**vars(memory))

    def plusargs(self, bus_bytes: int) -> list[str]:
        """Return the settings as arguments of the simulation."""
        settings = {
            "latency": self.latency,
            "rate": self.rate_units(bus_bytes),
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
