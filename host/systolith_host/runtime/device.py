"""The device protocol of the runtime: memory, registers and an interrupt."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

__all__ = ["Device"]


class Device(Protocol):
    """An accelerator with its external memory: emulated, simulated, or on a board.

    Every method may raise the device's own exception with a one-line message, and every wait must
    time out.
    """

    def write_memory(self, address: int, data: np.ndarray) -> None:
        """Write bytes (uint8, one dimension) to external memory from `address`."""
        ...

    def read_memory(self, address: int, size: int) -> np.ndarray:
        """Read `size` bytes of external memory as uint8."""
        ...

    def write_register(self, offset: int, value: int) -> None:
        """Write a 32-bit register of the AXI4-Lite port."""
        ...

    def read_register(self, offset: int) -> int:
        """Read a 32-bit register of the AXI4-Lite port."""
        ...

    def wait_interrupt(self, limit: int, progress: Callable[[int], None] | None = None) -> bool:
        """Wait until the interrupt is raised, at most `limit` accelerator cycles.

        `progress` is called now and then with the cycles waited so far. Returns whether the
        interrupt came.
        """
        ...
