"""Shares that a command has found and stored, for pages and tests that name them.

A file has for each thing that was measured, such as a configuration or a folder, the tool with its
commit, and what it reached of how many:

    {"tiny": {"tool": "... (commit ...)", "lines": {"reached": 9, "total": 10}}}
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Share", "least", "load", "store"]


@dataclass(frozen=True)
class Share:
    """How much of something was reached.

    Parameters
    ----------
    name : str
        What was measured.
    reached, total : int
    tool : str
        What measured it, with the commit.
    """

    name: str
    reached: int
    total: int
    tool: str

    @property
    def percent(self) -> float:
        """Rounded down to tenths: 99.99 is not 100."""
        return self.reached * 1000 // self.total / 10


def load(path: Path, what: str) -> list[Share]:
    """Return all shares of one kind in a file.

    Raises
    ------
    ValueError
        If the file has none.
    """
    shares = [
        Share(name, counts[what]["reached"], counts[what]["total"], counts["tool"])
        for name, counts in json.loads(path.read_text("utf-8")).items()
        if what in counts
    ]
    if not shares:
        raise ValueError(f"{path}: has no {what}")
    return shares


def store(path: Path, what: str, shares: Iterable[Share]) -> None:
    """Write shares of one kind to a file."""
    found = {
        one.name: {"tool": one.tool, what: {"reached": one.reached, "total": one.total}}
        for one in shares
    }
    path.write_text(json.dumps(found, indent=2) + "\n", "utf-8")


def least(path: Path, what: str) -> Share | None:
    """Return the least share of one kind in a file; None if there is no file yet."""
    if not path.exists():
        return None
    return min(load(path, what), key=lambda share: share.reached / share.total)
