"""The energy of a layer: its accesses, times what each takes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from systolith_host.energy.table import EnergyTable
from systolith_hw.spec.config import AcceleratorConfig
from systolith_sim.replay.accesses import Accesses, memories_of

__all__ = ["Energy", "NetworkEnergy", "Range", "energy_of"]


@dataclass(frozen=True)
class Range:
    """An energy in pJ, with the least and the most that the figures allow."""

    pj: float
    low: float
    high: float

    def __add__(self, other: "Range") -> "Range":
        return Range(self.pj + other.pj, self.low + other.low, self.high + other.high)

    def to_dict(self) -> dict[str, float]:
        """Return it as JSON values."""
        return {name: round(value, 1) for name, value in self.__dict__.items()}


NOTHING = Range(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Energy:
    """The energy of a layer, or of several.

    Parameters
    ----------
    parts : dict of str to Range
        Of the array (multipliers and adders), of each memory on the chip by its name, and of DRAM.
    """

    parts: Mapping[str, Range]

    @property
    def total(self) -> Range:
        """Of all parts."""
        return sum(self.parts.values(), NOTHING)

    @classmethod
    def of(cls, several: Iterable["Energy"]) -> "Energy":
        """Add several up."""
        parts: dict[str, Range] = {}
        for one in several:
            for name, part in one.parts.items():
                parts[name] = parts.get(name, NOTHING) + part
        return cls(parts)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values, in pJ."""
        parts = {name: part.to_dict() for name, part in self.parts.items()}
        return {"total": self.total.to_dict(), "parts": parts}


@dataclass(frozen=True)
class NetworkEnergy:
    """The energy of a network.

    Parameters
    ----------
    table : EnergyTable
    layers : dict of str to Energy
        By the name of the layer's row.
    """

    table: EnergyTable
    layers: Mapping[str, Energy]

    @property
    def total(self) -> Energy:
        """Of all layers."""
        return Energy.of(self.layers.values())

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values, in pJ."""
        return {
            "table": self.table.name,
            "technology": self.table.technology,
            "source": self.table.source,
            "unit": "pJ",
            **self.total.to_dict(),
            "layers": {name: energy.to_dict() for name, energy in self.layers.items()},
        }


def energy_of(
    accesses: Accesses, dram_bytes: int, config: AcceleratorConfig, table: EnergyTable
) -> Energy:
    """Return the energy of a layer.

    An access to a memory on the chip is counted as one to a memory of the size of its bank; `high`
    has it as one to a memory of the size of all banks together. The range of DRAM is the table's.
    Clocks, control, the registers and the shifting of the array, Winograd's transforms, the
    requantiser and leakage are not counted.

    Parameters
    ----------
    accesses : Accesses
    dram_bytes : int
        Read and written, instructions included.
    config : AcceleratorConfig
    table : EnergyTable
    """
    add = table.sum(config.sum_width)
    array = accesses.products * (table.product(8, 8) + add)
    array += accesses.lane_products * (table.product(config.act_width, config.weight_width) + add)
    parts = {"array": Range(array, array, array)}
    for name, memory in memories_of(config).items():
        bits = (accesses.reads[name] + accesses.writes[name]) * memory.bits
        least, most = (bits * table.memory.of(size) for size in (memory.bank_bytes, memory.bytes))
        parts[name] = Range(least, min(least, most), max(least, most))
    low, high = (8 * dram_bytes * per_bit for per_bit in table.dram)
    parts["DRAM"] = Range((low + high) / 2, low, high)
    return Energy(parts)
