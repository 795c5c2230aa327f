"""What coverage leaves out, each with a reason: a reviewed file, of which no part may be stale."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from pathlib import Path

from systolith_host.errors import SystolithError
from systolith_hw.spec.compat import tomllib
from systolith_hw.spec.config import AcceleratorConfig
from systolith_sim.faults.counts import KINDS

__all__ = ["EXCLUSIONS", "Exclusion", "Target", "excluded", "read_exclusions"]

EXCLUSIONS = Path(__file__).with_name("exclusions.toml")

_LEAST_REASON = 20
"""Characters of the shortest reason."""


@dataclass(frozen=True)
class Target:
    """Something to be reached.

    Parameters
    ----------
    kind : str
        As of an :class:`Exclusion`.
    part : str
        Of the accelerator, or of the instruction set.
    name : str
        A signal, a point or a bin, or what a line says.
    bits : tuple of int
        Of a toggle; two for a cell of a memory, whose word is the first.
    detail : str
        What tells it from others of the same name: an edge, or a line and column.
    """

    kind: str
    part: str
    name: str
    bits: tuple[int, ...] = ()
    detail: str = ""

    @property
    def bit(self) -> int:
        """The bit of a toggle, within its word."""
        return self.bits[-1] if self.bits else 0


@dataclass(frozen=True)
class Exclusion:
    """Places that need not be reached.

    Parameters
    ----------
    kind : str
        One of :data:`~systolith_sim.faults.counts.KINDS`, or "bin" for one of the fields and
        crosses.
    places : sequence of str
        Patterns with ``*`` and ``?`` of signals, points or bins; of lines and branches, of what
        they say.
    reason : str
        Why nothing can reach them, or what it would take.
    bits : str
        Of a toggle: "3", "3..5", "3.." or "..5"; a number may be the name of a field of the
        configuration, or ``bus_bits``, the bits of an address inside of a beat. "" for all.
    words : str
        Of cells of a memory, as bits; "3..5 of 8" are those of each eight words.
    configs : sequence of str
        Names of configurations; none for all.
    """

    kind: str
    places: Sequence[str]
    reason: str
    bits: str = ""
    words: str = ""
    configs: Sequence[str] = ()

    def holds(self, target: Target, config: AcceleratorConfig) -> bool:
        """Return whether the place is one of these bits and words."""
        text, _, period = self.words.partition(" of ")
        if self.words and len(target.bits) != 2:
            return False
        word = target.bits[0] % int(period or 1 << 30) if self.words else 0
        return all(
            first <= number <= last
            for number, (first, last) in (
                (target.bit, _span(self.bits, config)),
                (word, _span(text, config)),
            )
        )


def _span(text: str, config: AcceleratorConfig) -> tuple[int, int]:
    """Return the first and the last of some bits or words."""
    names = {**config.to_dict(), "bus_bits": config.bus_bytes.bit_length() - 1}

    def number(text: str, default: int) -> int:
        return int(names.get(text, text)) if text else default

    low, dots, high = text.partition("..")
    first = number(low, 0)
    return first, number(high, 1 << 30) if dots or not low else first


def read_exclusions(path: Path = EXCLUSIONS) -> list[Exclusion]:
    """Read a file of exclusions.

    Raises
    ------
    SystolithError
        If it cannot be read, or an entry has an unknown key or kind, no place, or no reason.
    """
    try:
        entries = tomllib.loads(path.read_text("utf-8")).get("exclude", [])
    except OSError as error:
        raise SystolithError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise SystolithError(f"{path}: {error}") from None
    known = {field.name for field in fields(Exclusion)}
    found = []
    for number, entry in enumerate(entries, 1):
        where = f"{path}: exclusion {number}"
        unknown = sorted(set(entry) - known)
        if unknown:
            raise SystolithError(f"{where}: no such key: {', '.join(unknown)}")
        if entry.get("kind") not in (*KINDS, "bin"):
            kinds = ", ".join((*KINDS, "bin"))
            raise SystolithError(f"{where}: kind must be one of {kinds}, not {entry.get('kind')}")
        if not entry.get("places"):
            raise SystolithError(f"{where}: names no places")
        if len(entry.get("reason", "")) < _LEAST_REASON:
            raise SystolithError(f"{where}: gives no reason that can be checked")
        found.append(Exclusion(**entry))
    return found


def excluded(
    targets: Mapping[Target, int],
    exclusions: Sequence[Exclusion],
    config: AcceleratorConfig,
) -> tuple[set[Target], list[str]]:
    """Return the places that are left out, and what is wrong with the exclusions.

    Parameters
    ----------
    targets : mapping of Target to int
        All places, and how often each was reached. What was reached is never left out.
    exclusions : sequence of Exclusion
    config : AcceleratorConfig

    Returns
    -------
    out : set of Target
    stale : list of str
        A line for each pattern that leaves nothing out.
    """
    missed: dict[str, dict[str, list[Target]]] = {}
    for target, count in targets.items():
        if not count:
            missed.setdefault(target.kind, {}).setdefault(target.name, []).append(target)
    out, stale = set[Target](), list[str]()
    for exclusion in exclusions:
        if exclusion.configs and config.name not in exclusion.configs:
            continue
        names = missed.get(exclusion.kind, {})
        for pattern in exclusion.places:
            hits = {
                target
                for name, some in names.items()
                if fnmatchcase(name, pattern)
                for target in some
                if exclusion.holds(target, config)
            }
            if not hits:
                bits = "".join(f" [{some}]" for some in (exclusion.words, exclusion.bits) if some)
                stale.append(f"{config.name}: {exclusion.kind} {pattern}{bits} leaves nothing out")
            out |= hits
    return out, stale
