"""The accelerator's counters for a layer."""

from dataclasses import dataclass

__all__ = ["LayerCounters"]


@dataclass(frozen=True)
class LayerCounters:
    """The counters after a layer.

    Parameters
    ----------
    cycles : int
        From start to end; 0 on a device without cycles.
    bytes_read, bytes_written : int
        That crossed the bus.
    states : dict
        For each engine (LOAD, COMPUTE, STORE) the cycles it spent in each of its states.
    """

    cycles: int
    bytes_read: int
    bytes_written: int
    states: dict[str, dict[str, int]]
