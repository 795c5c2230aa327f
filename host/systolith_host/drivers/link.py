"""The link by which the C driver reaches a simulated device: requests and answers over a socket.

A request is a letter, an address and an argument; the bytes of a write follow it. An answer is a
status, 0 if it went well, and what was asked for: 4 bytes of a register, the bytes of memory, or
whether the interrupt is raised (1 byte). All numbers are little-endian.
"""

import socket
import struct
from typing import Protocol

import numpy as np

from systolith_host.errors import SystolithError
from systolith_hw.spec.registers import ADDR_WIDTH

__all__ = ["LARGEST_TRANSFER", "REQUEST", "REQUESTS", "LinkDevice", "serve"]

REQUESTS = {
    "read_register": b"r",
    "write_register": b"w",
    "read_memory": b"R",
    "write_memory": b"W",
    "wait_interrupt": b"I",
}
"""The letter of each request."""

REQUEST = struct.Struct("<cQQ")
"""Letter; address or offset; value, bytes or limit in cycles."""

LARGEST_TRANSFER = 1 << 20
"""Bytes of memory in one request."""

_DONE, _FAILED = b"\0", b"\1"


class LinkDevice(Protocol):
    """The part of the host's device protocol that the link carries."""

    def write_memory(self, address: int, data: np.ndarray) -> None:
        """Write bytes to external memory."""
        ...

    def read_memory(self, address: int, size: int) -> np.ndarray:
        """Read bytes of external memory."""
        ...

    def write_register(self, offset: int, value: int) -> None:
        """Write a register."""
        ...

    def read_register(self, offset: int) -> int:
        """Read a register."""
        ...

    def wait_interrupt(self, limit: int) -> bool:
        """Wait for the interrupt, at most so many cycles."""
        ...


def serve(device: LinkDevice, connection: socket.socket, memory_base: int = 0) -> None:
    """Answer requests until the other side closes the connection, or breaks the protocol.

    An access that the device refuses is answered with a failure; the link stays.

    Parameters
    ----------
    device : LinkDevice
    connection : socket
    memory_base : int
        Address of the device's memory at which the link's addresses begin.
    """
    while (head := _receive(connection, REQUEST.size)) is not None:
        letter, address, argument = REQUEST.unpack(head)
        if letter in (REQUESTS["read_memory"], REQUESTS["write_memory"]):
            address += memory_base
        payload = b""
        if letter == REQUESTS["write_memory"]:
            if argument > LARGEST_TRANSFER:
                return
            received = _receive(connection, argument)
            if received is None:
                return
            payload = received
        try:
            answer = _DONE + _answer(device, letter, address, argument, payload)
        except SystolithError:
            answer = _FAILED
        except ValueError:
            return
        try:
            connection.sendall(answer)
        except OSError:
            return


def _answer(
    device: LinkDevice, letter: bytes, address: int, argument: int, payload: bytes
) -> bytes:
    """Carry out a request.

    Raises
    ------
    SystolithError
        If the device refuses it.
    ValueError
        If there is no such request.
    """
    if letter in (REQUESTS["read_register"], REQUESTS["write_register"]):
        if address % 4 or address >> ADDR_WIDTH or argument >> 32:
            raise SystolithError(f"no 32-bit register is at {address:#x}")
        if letter == REQUESTS["read_register"]:
            return device.read_register(address).to_bytes(4, "little")
        device.write_register(address, argument)
        return b""
    if letter == REQUESTS["read_memory"]:
        if argument > LARGEST_TRANSFER:
            raise SystolithError(f"{argument:,} bytes are more than a request may ask for")
        return device.read_memory(address, argument).tobytes()
    if letter == REQUESTS["write_memory"]:
        device.write_memory(address, np.frombuffer(payload, np.uint8))
        return b""
    if letter == REQUESTS["wait_interrupt"]:
        return bytes([device.wait_interrupt(argument)])
    raise ValueError(f"no request is called {letter!r}")


def _receive(connection: socket.socket, size: int) -> bytes | None:
    """Return that many bytes, or None where the other side ends before."""
    data = bytearray()
    while len(data) < size:
        try:
            part = connection.recv(min(size - len(data), 1 << 20))
        except OSError:
            return None
        if not part:
            return None
        data += part
    return bytes(data)
