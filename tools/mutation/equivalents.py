"""Mutants that are argued to do the same as the code, and so cannot be killed."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from mutation.mutants import Mutant, sites

__all__ = ["Equivalent", "read_equivalents", "stale"]


@dataclass(frozen=True)
class Equivalent:
    """An entry of equivalents.toml.

    Attributes
    ----------
    path, where, old, new : str
        As those of :class:`~mutation.mutants.Mutant`.
    why : str
        The argument.
    """

    path: str
    where: str
    old: str
    new: str
    why: str

    def means(self, mutant: Mutant) -> bool:
        """Return whether a mutant is this one."""
        theirs = (mutant.path, mutant.where, mutant.old, mutant.new)
        return theirs == (self.path, self.where, self.old, self.new)


def read_equivalents(file: Path) -> list[Equivalent]:
    """Return the entries of a file.

    Raises
    ------
    ValueError
        If an entry has other fields, or an argument is empty.
    """
    entries = []
    for number, fields in enumerate(tomllib.loads(file.read_text("utf-8"))["equivalent"], 1):
        try:
            entry = Equivalent(**fields)
        except TypeError:
            raise ValueError(
                f"{file}: entry {number} must have path, where, old, new and why, "
                f"not {', '.join(fields)}"
            ) from None
        if not entry.why.strip():
            raise ValueError(f"{file}: entry {number} must say why")
        entries.append(entry)
    return entries


def stale(root: Path, entries: list[Equivalent]) -> list[Equivalent]:
    """Return the entries that are no mutant of the code as it is: their argument may not hold."""
    found = []
    for entry in entries:
        path = root / entry.path
        text = path.read_text("utf-8") if path.exists() else ""
        lines = [" ".join(line.split()) for line in text.splitlines()]
        # Each mutant parses the whole file, so only places on the lines that change are tried.
        mutants = (
            place.mutant(root, way)
            for place in sites(text, entry.path)
            if place.where == entry.where and lines[place.line - 1] in entry.old
            for way in range(len(place.ways))
        )
        if not any(mutant is not None and entry.means(mutant) for mutant in mutants):
            found.append(entry)
    return found
