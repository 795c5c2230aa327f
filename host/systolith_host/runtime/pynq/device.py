"""An accelerator in a Zynq's logic as a device, by PYNQ, on the board itself."""

import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.package.ipxact import LIBRARY, VENDOR
from systolith_host.program.relocate import PAGE_BYTES
from systolith_hw.spec.registers import REGISTERS

__all__ = ["PynqDevice"]

STANDSTILL_SECONDS = 30.0
"""Time in which the accelerator's cycle counter must have moved."""

POLL_SECONDS = 0.0005
"""Between looks at the interrupt; an operating system's timer is not much finer."""


class PynqDevice:
    """An accelerator behind PYNQ's Overlay, MMIO and allocate; has the host's device protocol.

    Its memory is one buffer that the processors' Linux lends; addresses are relative to it. The
    processors' caches are flushed after each write and invalidated before each read. The interrupt
    is polled in its register: PYNQ's own wait does not time out.

    Parameters
    ----------
    bitstream : Path
        BOARD.bit, with BOARD.hwh next to it; it is loaded into the logic.
    memory_size : int
        Bytes of memory.

    Raises
    ------
    SystolithError
        If PYNQ is not installed or refuses the bitstream, if there is no accelerator in it, or if
        there is not as much contiguous memory.
    """

    def __init__(self, bitstream: Path, memory_size: int) -> None:
        self.bitstream = bitstream
        self._pynq = pynq = _import_pynq()
        for path in (bitstream, bitstream.with_suffix(".hwh")):
            if not path.is_file():
                raise SystolithError(f"--device pynq: {path} does not exist")
        try:
            overlay = pynq.Overlay(str(bitstream))
        except (OSError, RuntimeError, ValueError) as error:
            raise SystolithError(f"{bitstream}: PYNQ refuses it: {_one_line(error)}") from None
        where = self._find(overlay.ip_dict)
        self._registers = pynq.MMIO(where["phys_addr"], where["addr_range"])
        try:
            self._memory = pynq.allocate(shape=(memory_size,), dtype="u1", cacheable=1)
        except (OSError, RuntimeError, MemoryError) as error:
            raise SystolithError(
                f"PYNQ has no {memory_size:,} bytes of contiguous memory ({_one_line(error)}); "
                "take a smaller network, or raise cma= in the kernel's arguments"
            ) from None
        self.base = int(self._memory.device_address)
        if self.base % PAGE_BYTES:
            raise SystolithError(
                f"PYNQ's memory is at {self.base:#x}, which is not the start of a page"
            )

    @property
    def clock_mhz(self) -> float:
        """Of the accelerator, as the processing system gives it."""
        return float(self._pynq.Clocks.fclk0_mhz)

    def write_memory(self, address: int, data: np.ndarray) -> None:
        """Write bytes (uint8, one dimension) to memory from `address`, counted from its start."""
        part = self._part(address, data.size)
        part[:] = data
        part.flush()

    def read_memory(self, address: int, size: int) -> np.ndarray:
        """Read `size` bytes of memory as uint8."""
        part = self._part(address, size)
        part.invalidate()
        return np.array(part)

    def write_register(self, offset: int, value: int) -> None:
        """Write a 32-bit register of the AXI4-Lite port."""
        self._registers.write(offset, int(value))

    def read_register(self, offset: int) -> int:
        """Read a 32-bit register of the AXI4-Lite port."""
        return int(self._registers.read(offset))

    def wait_interrupt(self, limit: int, progress: Callable[[int], None] | None = None) -> bool:
        """Wait until the interrupt is pending, at most `limit` accelerator cycles.

        Raises
        ------
        SystolithError
            If the accelerator's clock stands still.
        """
        pending = REGISTERS["IRQ_PENDING"].offset
        cycles, moved = -1, time.monotonic()
        while not self.read_register(pending) & 1:
            now = self._cycles()
            if now != cycles:
                cycles, moved = now, time.monotonic()
            elif time.monotonic() > moved + STANDSTILL_SECONDS:
                raise SystolithError(
                    f"{self.bitstream}: the accelerator has stood at cycle {cycles:,} for "
                    f"{STANDSTILL_SECONDS:g} s"
                )
            if cycles >= limit:
                return bool(self.read_register(pending) & 1)
            if progress is not None:
                progress(cycles)
            time.sleep(POLL_SECONDS)
        return True

    def close(self) -> None:
        """Give the memory back."""
        self._memory.freebuffer()

    def _find(self, cells: Any) -> Any:
        """Return the description of the one accelerator among a design's cells."""
        found = [
            cell
            for cell in cells.values()
            if str(cell.get("type", "")).startswith(f"{VENDOR}:{LIBRARY}:")
        ]
        if len(found) != 1:
            names = ", ".join(sorted(str(cell.get("type", "?")) for cell in cells.values()))
            raise SystolithError(
                f"{self.bitstream}: must hold one Systolith accelerator, not {len(found)} "
                f"(cells: {names or 'none'}); build it with a script of `systolith package`"
            )
        return found[0]

    def _part(self, address: int, size: int) -> Any:
        if address < 0 or address + size > self._memory.size:
            raise SystolithError(
                f"the memory has {self._memory.size:,} bytes, not {size:,} from {address:#x}"
            )
        return self._memory[address : address + size]

    def _cycles(self) -> int:
        low, high = (self.read_register(REGISTERS["CYCLES"].offset + 4 * half) for half in (0, 1))
        return high << 32 | low


def _import_pynq() -> Any:
    try:
        return importlib.import_module("pynq")
    except ImportError as error:
        raise SystolithError(
            f"--device pynq needs PYNQ's Python package, on the board itself ({_one_line(error)}); "
            "see docs/vendors.md"
        ) from None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
