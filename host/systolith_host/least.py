"""The least cycles that array and memory allow a layer: one lower bound for all reports."""

import math
from dataclasses import dataclass

from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["CycleBound", "cycle_bound"]


@dataclass(frozen=True)
class CycleBound:
    """The least cycles of a layer.

    Parameters
    ----------
    array : int
        Products by multipliers, rounded up.
    memory : int
        Compulsory bytes by those that the memory moves in a cycle, rounded up.
    """

    array: int
    memory: int

    @property
    def cycles(self) -> int:
        """The larger one."""
        return max(self.array, self.memory)


def cycle_bound(
    products: int, compulsory_bytes: int, config: AcceleratorConfig, rate: float | None = None
) -> CycleBound:
    """Return the least cycles of a layer.

    Parameters
    ----------
    products, compulsory_bytes : int
        See :class:`systolith_host.compiler.lower.operation.Operation`.
    config : AcceleratorConfig
    rate : float, optional
        Bytes per cycle of the memory; those of the bus if None or more than it moves.
    """
    rate = min(rate or config.bus_bytes, config.bus_bytes)
    return CycleBound(-(-products // config.multipliers), math.ceil(compulsory_bytes / rate))
