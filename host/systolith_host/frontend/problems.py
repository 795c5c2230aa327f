"""What stands in the way of a node."""

from dataclasses import dataclass

__all__ = ["InvalidError", "Problem", "UnsupportedError"]


class UnsupportedError(Exception):
    """Why a node cannot run, in words."""


class InvalidError(UnsupportedError):
    """Why a node can run nowhere: the file is at fault."""


@dataclass(frozen=True)
class Problem:
    """A node that cannot run on the accelerator.

    Parameters
    ----------
    name, operator, reason : str
    """

    name: str
    operator: str
    reason: str

    def __str__(self) -> str:
        """Return a line for people."""
        return " ".join(f"{self.name} ({self.operator}): {self.reason}".split())
