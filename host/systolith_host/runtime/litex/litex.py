"""A system on a board, or simulated whole, as a device."""

import time
import zlib
from collections.abc import Callable, Sequence

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.runtime.litex.link import Link
from systolith_host.runtime.litex.memory_start import start_memory
from systolith_host.runtime.litex.system import System
from systolith_hw.spec.registers import REGISTERS

__all__ = ["LitexDevice"]

ATTEMPTS = 3
"""To move bytes so that their checksum is right."""

GRAIN = 16
"""Bytes of which memory is written and checked; a multiple of every controller's word."""

CHUNK = 1 << 15
"""Bytes that are written and then checked."""

CHECKSUM_SECONDS = 30.0
STANDSTILL_SECONDS = 30.0
"""Time in which the accelerator's cycle counter must have moved."""

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""


class LitexDevice:
    """An accelerator in a LiteX system behind litex_server; has the host's device protocol.

    Data written to memory and read from it are checked against the CRC-32 that the system itself
    computes.

    Parameters
    ----------
    link : Link
    system : System
        The system that the board must be.
    message : callable, optional
        Called with a line for people.

    Raises
    ------
    SystolithError
        If the board is another one, or its memory does not work.
    """

    def __init__(
        self, link: Link, system: System, message: Callable[[str], None] = lambda text: None
    ) -> None:
        self.link = link
        self.system = system
        self._identify()
        if not self.csr("systolith_memory_ready"):
            message(f"starting the memory ({system.memory_type})")
            start_memory(self, message)
            self.set_csr("systolith_memory_ready", 1)

    def write_memory(self, address: int, data: np.ndarray) -> None:
        """Write bytes (uint8, one dimension) to external memory from `address`."""
        self._check_range(address, data.size)
        if not data.size:
            return
        first = address // GRAIN * GRAIN
        last = -(-(address + data.size) // GRAIN) * GRAIN
        image = np.zeros(last - first, np.uint8)
        if first != address:
            image[:GRAIN] = self._read(first, GRAIN)
        if last != address + data.size:
            image[-GRAIN:] = self._read(last - GRAIN, GRAIN)
        image[address - first : address - first + data.size] = data
        for start in range(0, image.size, CHUNK):
            self._write_chunk(first + start, image[start : start + CHUNK])

    def read_memory(self, address: int, size: int) -> np.ndarray:
        """Read `size` bytes of external memory as uint8."""
        self._check_range(address, size)
        first = address // GRAIN * GRAIN
        last = -(-(address + size) // GRAIN) * GRAIN
        data = self._read(first, last - first)
        return data[address - first : address - first + size]

    def write_register(self, offset: int, value: int) -> None:
        """Write a 32-bit register of the AXI4-Lite port."""
        self.link.write(self.system.register_base + offset, [value])

    def read_register(self, offset: int) -> int:
        """Read a 32-bit register of the AXI4-Lite port."""
        return self.link.read(self.system.register_base + offset)[0]

    def wait_interrupt(self, limit: int, progress: Callable[[int], None] | None = None) -> bool:
        """Wait until the interrupt is raised, at most `limit` accelerator cycles.

        Raises
        ------
        SystolithError
            If the accelerator's clock stands still.
        """
        cycles, moved = -1, time.monotonic()
        while not self.csr("systolith_interrupt"):
            now = self._cycles()
            if now != cycles:
                cycles, moved = now, time.monotonic()
            elif time.monotonic() > moved + STANDSTILL_SECONDS:
                raise SystolithError(
                    f"{self.link.address}: the accelerator has stood at cycle {cycles:,} for "
                    f"{STANDSTILL_SECONDS:g} s"
                )
            if cycles >= limit:
                return bool(self.csr("systolith_interrupt"))
            if progress is not None:
                progress(cycles)
        return True

    def upload(self, segments: Sequence[tuple[int, np.ndarray]], progress: Progress) -> int:
        """Write segments, leaving out what memory holds already; return the bytes sent.

        So an upload that was cut goes on where it was, and the next run of a program sends
        nothing.
        """
        total = sum(data.size for _, data in segments)
        done = sent = 0
        for address, data in segments:
            for start in range(0, data.size, CHUNK):
                chunk = np.asarray(data[start : start + CHUNK])
                where = address + start
                aligned = where % GRAIN == 0 and chunk.size % GRAIN == 0
                self._check_range(where, chunk.size)
                if not aligned or self.checksum(where, chunk.size) != zlib.crc32(chunk.tobytes()):
                    self.write_memory(where, chunk)
                    sent += chunk.size
                done += chunk.size
                progress(done, total)
        return sent

    def checksum(self, address: int, size: int) -> int:
        """Return zlib's CRC-32 of a stretch of memory, computed there.

        Parameters
        ----------
        address, size : int
            Multiples of :data:`GRAIN`.
        """
        word = self.system.native_bytes
        self.set_csr("checksum_address", address // word)
        self.set_csr("checksum_words", size // word)
        self.set_csr("checksum_start", 1)
        end = time.monotonic() + CHECKSUM_SECONDS
        while self.csr("checksum_busy"):
            if time.monotonic() > end:
                raise SystolithError(
                    f"{self.link.address}: the memory's checksum did not end within "
                    f"{CHECKSUM_SECONDS:g} s"
                )
        return self.csr("checksum_crc")

    def set_csr(self, name: str, value: int) -> None:
        """Write a register of LiteX's, its highest word first."""
        address, words = self.system.csr[name]
        self.link.write(
            address, [value >> 32 * index & 0xFFFFFFFF for index in reversed(range(words))]
        )

    def csr(self, name: str) -> int:
        """Read a register of LiteX's."""
        address, words = self.system.csr[name]
        value = 0
        for word in self.link.read(address, words):
            value = value << 32 | word
        return value

    def _identify(self) -> None:
        where, system = self.link.address, self.system
        magic = self.csr("systolith_magic")
        if magic != system.magic:
            raise SystolithError(
                f"{where}: this is not a Systolith system (first register {magic:#010x}, not "
                f"{system.magic:#010x}); load the bitstream with `systolith program`"
            )
        build = self.csr("systolith_build")
        if build != system.build:
            raise SystolithError(
                f"{where}: the board holds another bitstream (hash {build:016x}, "
                f"{system.path} is of {system.build:016x}); load it with `systolith program`"
            )

    def _cycles(self) -> int:
        low, high = (self.read_register(REGISTERS["CYCLES"].offset + 4 * half) for half in (0, 1))
        return high << 32 | low

    def _write_chunk(self, address: int, data: np.ndarray) -> None:
        wanted = zlib.crc32(data.tobytes())
        found = 0
        for _ in range(ATTEMPTS):
            self.link.write(self.system.memory_base + address, data.view("<u4").tolist())
            found = self.checksum(address, data.size)
            if found == wanted:
                return
        raise SystolithError(
            f"{self.link.address}: the upload is corrupted: {data.size:,} bytes at {address:#x} "
            f"have checksum {found:08x}, not {wanted:08x}, after {ATTEMPTS} attempts"
        )

    def _read(self, address: int, size: int) -> np.ndarray:
        data = np.zeros(size, np.uint8)
        for start in range(0, size, CHUNK):
            part = data[start : start + CHUNK]
            wanted = self.checksum(address + start, part.size)
            for _ in range(ATTEMPTS):
                base = self.system.memory_base + address + start
                part[:] = np.array(self.link.read(base, part.size // 4), "<u4").view(np.uint8)
                if zlib.crc32(part.tobytes()) == wanted:
                    break
            else:
                raise SystolithError(
                    f"{self.link.address}: {part.size:,} bytes at {address + start:#x} come with "
                    f"another checksum than {wanted:08x}, {ATTEMPTS} times"
                )
        return data

    def _check_range(self, address: int, size: int) -> None:
        if address < 0 or address + size > self.system.memory_bytes:
            raise SystolithError(
                f"{self.system.target} has {self.system.memory_bytes:,} bytes of memory, not "
                f"{size:,} from address {address:#x}"
            )
