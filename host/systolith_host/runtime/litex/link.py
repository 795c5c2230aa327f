"""The host's link to a system's bus: litex_server over TCP, through LiteX's own client."""

import importlib
import socket
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from systolith_host.errors import SystolithError
from systolith_host.fpga.tools import find_tool

__all__ = ["SCHEME", "Link", "parse_address"]

SCHEME = "litex://"
DEFAULT_PORT = 1234

PACKET_WORDS = 240
"""Of a packet; Etherbone allows 255, and the simulator's serial line holds 2 KiB."""

_NOT_LITEX = (AssertionError, AttributeError, LookupError, TypeError, ValueError, struct.error)
"""Exceptions of LiteX's decoder for bytes that are not an Etherbone packet."""


def parse_address(address: str) -> tuple[str, int]:
    """Return host and port of ``litex://HOST:PORT``; the port may be left out.

    Raises
    ------
    SystolithError
        If it is no such address.
    """
    host, _, port = address.removeprefix(SCHEME).partition(":")
    if not address.startswith(SCHEME) or not host or "/" in host:
        raise SystolithError(f"--device must be litex://HOST:PORT, not {address!r}")
    if not port:
        return host, DEFAULT_PORT
    try:
        host.encode("idna")
    except UnicodeError:
        raise SystolithError(f"--device: {host!r} is not a host name") from None
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise SystolithError(f"--device: port must be a number from 1 to 65535, not {port!r}")
    return host, int(port)


class Link:
    """Reads and writes 32-bit words on the bus of a system.

    LiteX's client answers zeros where no answer comes, and has none for writes. Here a missing
    answer is an error, and each packet of a write is followed by a read, so that it has arrived.

    Parameters
    ----------
    address : str
        ``litex://HOST:PORT``
    seconds : float
        Limit of an access.

    Raises
    ------
    SystolithError
        If LiteX is not installed, or nobody answers.
    """

    def __init__(self, address: str, seconds: float) -> None:
        self.address = address
        self.seconds = seconds
        host, port = parse_address(address)
        client_class = _client_class()
        self._client: Any = client_class(host, port)
        try:
            self._client.open(seconds)
            # Accesses are small and wait for each other.
            self._client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise self._error(f"no answer ({_reason(error)}); start litex_server there") from None

    def read(self, address: int, count: int = 1) -> list[int]:
        """Return `count` words from `address`."""
        words: list[int] = []
        while len(words) < count:
            size = min(PACKET_WORDS, count - len(words))
            words += self._read_packet(address + 4 * len(words), size)
        return words

    def write(self, address: int, words: Sequence[int]) -> None:
        """Write words from `address`; they have arrived at the system when this returns."""
        for start in range(0, len(words), PACKET_WORDS):
            packet = list(words[start : start + PACKET_WORDS])
            try:
                self._client.write(address + 4 * start, packet)
            except OSError as error:
                raise self._cut(error) from None
            self._read_packet(0, 1)

    def close(self) -> None:
        """End the connection."""
        self._client.close()

    def _read_packet(self, address: int, size: int) -> list[int]:
        try:
            words = self._client.read(address, size)
        except OSError as error:
            raise self._cut(error) from None
        except _NOT_LITEX as error:
            raise self._strange(error) from None
        if len(words) != size:
            raise self._error("the answer has another length than requested")
        return words

    def _cut(self, error: OSError) -> SystolithError:
        if isinstance(error, TimeoutError):
            return self._error(
                f"no answer within {self.seconds:g} s; is the board on, and its bitstream loaded?"
            )
        return self._error(f"the connection is cut ({_reason(error)}); run again to go on")

    def _strange(self, error: Exception) -> SystolithError:
        return self._error(
            f"what answers is no litex_server ({type(error).__name__} in its packet); "
            "give the port that litex_server names"
        )

    def _error(self, text: str) -> SystolithError:
        return SystolithError(f"{self.address}: {text}")


def _client_class() -> Any:
    """Return LiteX's client, made to tell a missing answer from zeros."""
    try:
        module = importlib.import_module("litex.tools.litex_client")
    except ImportError:
        # A checkout keeps LiteX apart from the rest, see Makefile.
        try:
            folder = Path(find_tool("litex_server")).parents[1]
        except SystolithError as error:
            raise SystolithError(f"--device litex: LiteX's client is missing: {error}") from None
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        sys.path.append(str(folder / "lib" / version / "site-packages"))
        try:
            module = importlib.import_module("litex.tools.litex_client")
        except ImportError as error:
            raise SystolithError(
                f"--device litex: LiteX's client does not load in this Python: {error}; "
                "pip install 'systolith[fpga]'"
            ) from None
    base: Any = module.RemoteClient

    class Client(base):
        """LiteX's client with errors."""

        def __init__(self, host: str, port: int) -> None:
            # Not the base's own, which reads any csr.csv that happens to lie in this folder.
            self.host = host
            self.port = port
            self.debug = self.binded = False
            self.base_address = 0
            self.csr_data_width = self.csr_bus_address_width = 32

        def open(self, seconds: float) -> None:
            """Connect; base waits for as long as the kernel does."""
            self.socket = socket.create_connection((self.host, self.port), seconds)
            try:
                self._receive_server_info()
            except BaseException:
                self.socket.close()
                raise
            self.binded = True

        def receive_packet(self, connection: Any, addr_size: int) -> Any:
            """Return a packet, or raise: base returns 0 at the limit and at the end."""
            limit = connection.gettimeout()
            packet = super().receive_packet(_Watched(connection), addr_size)
            if packet == 0:
                raise TimeoutError(f"no packet within {limit} s")
            return packet

    return Client


class _Watched:
    """A socket whose end is an exception."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def recv(self, size: int) -> bytes:
        data = self._connection.recv(size)
        if not data:
            raise ConnectionResetError("the other side closed the connection")
        return data


def _reason(error: OSError) -> str:
    return error.strerror or " ".join(str(error).split()) or type(error).__name__
