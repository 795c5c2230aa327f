"""The host's end of a link: a simulated accelerator in another process as a device."""

import socket
from collections.abc import Callable

import numpy as np

from systolith_host.drivers.link import LARGEST_TRANSFER, REQUEST, REQUESTS
from systolith_host.errors import SystolithError

__all__ = ["LinkedDevice"]

ANSWER_SECONDS = 120.0
"""Limit of an answer; that to the longest wait takes a small simulation a few seconds."""

STEP_CYCLES = 50_000
"""Cycles of a request to wait for the interrupt."""


class LinkedDevice:
    """A device behind a link (:mod:`systolith_host.drivers.link`); has the host's device protocol.

    Parameters
    ----------
    connection : socket
        Its limit is set to that of an answer.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        connection.settimeout(ANSWER_SECONDS)

    def write_memory(self, address: int, data: np.ndarray) -> None:
        """Write bytes (uint8, one dimension) to external memory from `address`."""
        for start in range(0, data.size, LARGEST_TRANSFER):
            part = data[start : start + LARGEST_TRANSFER]
            self._ask("write_memory", address + start, part.size, part.tobytes())

    def read_memory(self, address: int, size: int) -> np.ndarray:
        """Read `size` bytes of external memory as uint8."""
        data = b"".join(
            self._ask("read_memory", address + start, part, answer=part)
            for start in range(0, size, LARGEST_TRANSFER)
            for part in [min(LARGEST_TRANSFER, size - start)]
        )
        return np.frombuffer(data, np.uint8)

    def write_register(self, offset: int, value: int) -> None:
        """Write a 32-bit register of the AXI4-Lite port."""
        self._ask("write_register", offset, value)

    def read_register(self, offset: int) -> int:
        """Read a 32-bit register of the AXI4-Lite port."""
        return int.from_bytes(self._ask("read_register", offset, answer=4), "little")

    def wait_interrupt(self, limit: int, progress: Callable[[int], None] | None = None) -> bool:
        """Wait until the interrupt is raised, at most `limit` cycles; return whether it came."""
        for start in range(0, limit, STEP_CYCLES):
            step = min(STEP_CYCLES, limit - start)
            if self._ask("wait_interrupt", 0, step, answer=1)[0]:
                return True
            if progress is not None:
                progress(start + step)
        return False

    def _ask(
        self, name: str, address: int, argument: int = 0, payload: bytes = b"", answer: int = 0
    ) -> bytes:
        """Send a request and return that many bytes of its answer.

        Raises
        ------
        SystolithError
            If the other end refuses, is silent, or has closed the connection.
        """
        data = bytearray()
        try:
            self.connection.sendall(REQUEST.pack(REQUESTS[name], address, argument) + payload)
            while len(data) < 1 + answer and not data[:1].strip(b"\0"):
                part = self.connection.recv(1 + answer - len(data))
                if not part:
                    raise ConnectionResetError("the other end closed the connection")
                data += part
        except TimeoutError:
            raise SystolithError(
                f"the simulator did not answer within {ANSWER_SECONDS:g} s"
            ) from None
        except OSError as error:
            raise SystolithError(f"the simulator is gone: {error.strerror or error}") from None
        if data[0]:
            raise SystolithError(f"the simulator refuses: {name} at {address:#x}")
        return bytes(data[1:])
