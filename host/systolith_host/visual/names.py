"""The names of a report's figures: those of their files, and of their places on the page."""

from collections.abc import Iterable
from enum import Enum

from systolith_host.escape import slug

__all__ = ["Name", "figure_names", "tilings_of"]


class Name(str, Enum):
    """The figures in the page's order."""

    ROOFLINE = "roofline"
    STALLS = "stalls"
    ENERGY = "energy"
    BANDWIDTH = "bandwidth"
    TILINGS = "tilings"
    """One for each of some layers: tilings-LAYER."""
    NETWORK = "network"
    TIMELINE = "timeline"
    BUFFERS = "buffers"
    PARETO = "pareto"
    """Of a sweep, if there is one."""

    __str__ = str.__str__


def tilings_of(layer: str) -> str:
    """Return the name of the tilings of a layer."""
    return slug(f"{Name.TILINGS}-{layer}")


def figure_names(studies: Iterable[str], *, has_sweep: bool) -> list[str]:
    """Return the names of all figures of a page.

    Parameters
    ----------
    studies : iterable of str
        The layers whose tilings are shown.
    has_sweep : bool
    """
    found: list[str] = []
    for name in Name:
        if name is Name.TILINGS:
            found += map(tilings_of, studies)
        elif name is not Name.PARETO or has_sweep:
            found.append(name.value)
    return found
