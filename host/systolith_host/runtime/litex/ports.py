"""The part of a device that starting its memory needs."""

from typing import Protocol

from systolith_host.runtime.litex.link import Link
from systolith_host.runtime.litex.system import System

__all__ = ["MemoryPort"]


class MemoryPort(Protocol):
    """A system's bus and its registers."""

    @property
    def link(self) -> Link:
        """The bus."""
        ...

    @property
    def system(self) -> System:
        """The system's description."""
        ...

    def set_csr(self, name: str, value: int) -> None:
        """Write a register of LiteX's."""
        ...

    def csr(self, name: str) -> int:
        """Read a register of LiteX's."""
        ...
