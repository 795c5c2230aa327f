"""Verilator's coverage counts: which lines, branches, bits and points a simulation has reached."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from systolith_hw.spec.errors import SystolithError
from systolith_sim.faults.points import POINT

__all__ = ["KINDS", "Place", "merged_counts", "read_counts"]

KINDS = ("line", "branch", "toggle", "point")
"""What is counted; a point is one of :mod:`systolith_sim.faults.points`."""

_ITEM = re.compile("\x01([^\x02]*)\x02([^\x01]*)")
_BITS = re.compile(r"((?:\[\d+\])*):([01]->[01])$")
_ESCAPED = re.compile(r"__0([0-9a-fA-F]{2})")


@dataclass(frozen=True, order=True)
class Place:
    """Something that a simulation reaches or does not.

    Parameters
    ----------
    kind : str
        "line", "branch", "toggle" or "point".
    name : str
        Of a toggle the signal's, with the instances in front; of a point the words behind
        :data:`POINT`; of the others Verilator's word for that arm.
    bits : tuple of int
        Of a toggle: the indices, those of a memory's word first.
    edge : str
        Of a toggle: "0->1" or "1->0".
    line : int
        In the Verilog; 0 for toggles and points.
    column : int
    """

    kind: str
    name: str
    bits: tuple[int, ...] = ()
    edge: str = ""
    line: int = 0
    column: int = 0


def _plain(name: str) -> str:
    """Return the Verilog name behind Verilator's: __0 and two hex digits stand for a character."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), name)


def _place(items: Mapping[str, str]) -> Place | None:
    """Return the place of an item; None for the fall of a point."""
    kind, name = items["t"], items["o"]
    if kind != "toggle":
        if kind not in KINDS:
            raise ValueError(kind)
        return Place(kind, name, line=int(items["l"]), column=int(items["n"]))
    found = _BITS.search(name)
    if found is None:
        raise ValueError(name)
    bits = tuple(int(index) for index in re.findall(r"\d+", found[1]))
    name, edge = _plain(name[: found.start()]), found[2]
    if not name.startswith(POINT):
        return Place(kind, name, bits, edge)
    return Place("point", name.removeprefix(POINT)) if edge == "0->1" else None


def read_counts(path: Path) -> Counter[Place]:
    """Read a file that Verilator's coverage has written.

    Raises
    ------
    SystolithError
        If it cannot be read, or is none.
    """
    counts = Counter[Place]()
    try:
        for text in path.read_text("latin-1").splitlines():
            if not text.startswith("C '"):
                continue
            items, _, count = text[3:].rpartition("' ")
            place = _place(dict(_ITEM.findall(items)))
            if place is not None:
                counts[place] += int(count)
    except OSError as error:
        raise SystolithError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError):
        raise SystolithError(f"{path}: is no coverage of Verilator's") from None
    if not counts:
        raise SystolithError(f"{path}: is no coverage of Verilator's")
    return counts


def merged_counts(paths: Iterable[Path]) -> Counter[Place]:
    """Return the sums of the counts in several files, of one design."""
    total = Counter[Place]()
    for path in paths:
        total.update(read_counts(path))
    return total
