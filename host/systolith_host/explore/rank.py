"""Ranks the points of a sweep, and selects those that are worth a replay."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from systolith_host.explore.results import Result

__all__ = ["ORDERS", "Front", "choose_exact", "exact_line", "find_front", "pareto", "ranked"]

ORDERS = {
    "cycles": "cycles, then traffic",
    "energy": "energy, then cycles",
    "energy-delay": "energy times cycles",
}
"""What a better point has less of, besides DSPs and block RAMs.

Only replayed points have energies.
"""

DEFAULT_EXACT = 10
"""Points that are replayed where all of them would take long."""

CHEAP_SECONDS = 60.0
"""All points are replayed where that takes less."""

_CYCLE_SECONDS = 0.2e-6
_POINT_SECONDS = 0.1
"""Times of a replay: of one cycle, and of compiling a point."""


@dataclass(frozen=True)
class Front:
    """Points than which no other is better in everything.

    Parameters
    ----------
    results : tuple of Result
        By cycles.
    exact : bool
        Whether exact numbers made it, those of replayed points only; estimates did otherwise.
    """

    results: tuple[Result, ...]
    exact: bool


def pareto(
    results: Sequence[Result],
    costs: Callable[[Result], tuple[int, ...]] = lambda result: result.estimates,
) -> list[Result]:
    """Return those than which no other is better in everything, by cycles.

    Parameters
    ----------
    results : sequence of Result
        Those with a reason are left out.
    costs : callable
        The values of which a better point has less, cycles first; the estimates unless given.
    """
    front: list[Result] = []
    for result in sorted((r for r in results if not r.reason), key=costs):
        mine = costs(result)
        if not any(all(a <= b for a, b in zip(costs(o), mine, strict=True)) for o in front):
            front.append(result)
    return front


def ranked(results: Sequence[Result], by: str = "cycles") -> list[Result]:
    """Return the points that can be built, the best first, by one of :data:`ORDERS`.

    Those without an energy come last where it counts.
    """
    good = [result for result in results if not result.reason]
    return sorted(good, key=lambda result: (_unknown(result, by), *_costs(result, by)))


def _unknown(result: Result, by: str) -> bool:
    return by != "cycles" and result.energy_pj is None


def _costs(result: Result, by: str) -> tuple[int, ...]:
    """Return what a better point has less of; as by cycles where its energy is not known."""
    if by == "cycles" or result.energy_pj is None or result.energy_delay is None:
        return result.costs
    size = (result.dsps, result.block_rams)
    if by == "energy":
        return (result.energy_pj, result.known_cycles, *size)
    return (result.energy_delay, *size)


def find_front(results: Sequence[Result], by: str = "cycles") -> Front:
    """Return the Pareto front by exact numbers, if the whole front by estimates has them.

    By energies, it is that of the points that have them.

    Points that are not replayed are then left out: an estimate and an exact number cannot be
    compared.
    """
    good = [result for result in results if not result.reason]
    if by != "cycles":
        known = [result for result in good if result.energy_pj is not None]
        return Front(tuple(pareto(known, lambda result: _costs(result, by))), exact=True)
    estimated = pareto(good)
    if not all(result.exact for result in estimated):
        return Front(tuple(estimated), exact=False)
    exact = [result for result in good if result.exact]
    found = pareto(exact, lambda result: result.costs)
    return Front(tuple(found), exact=True)


def choose_exact(results: Sequence[Result], limit: int | None, workers: int) -> list[Result]:
    """Return the points whose exact numbers are wanted, those that have them included.

    Parameters
    ----------
    results : sequence of Result
    limit : int, optional
        How many: those of the Pareto front first, the fastest of them first, then the fastest
        others. If None, all where that takes less than :data:`CHEAP_SECONDS`, else
        :data:`DEFAULT_EXACT`.
    workers : int
        Points that are replayed side by side.
    """
    good = sorted((result for result in results if not result.reason), key=lambda r: r.estimates)
    if limit is None:
        new = [result.estimated_cycles for result in good if not result.exact]
        seconds = (sum(new) * _CYCLE_SECONDS + len(new) * _POINT_SECONDS) / workers
        limit = len(good) if seconds < CHEAP_SECONDS else DEFAULT_EXACT
    front = {result.key for result in pareto(good)}
    return sorted(good, key=lambda result: result.key not in front)[:limit]


def exact_line(results: Sequence[Result], front: Front) -> str:
    """Return in a line how many points have exact numbers, and which ones made the front."""
    good = [result for result in results if not result.reason]
    exact = sum(result.exact for result in good)
    if exact == len(good):
        return f"All {exact:,} points are exact: replayed, equal to the RTL."
    text = (
        f"{exact:,} of {len(good):,} points are exact (replayed), ~ marks the compiler's estimates."
    )
    if not front.exact:
        return f"{text} The Pareto front is by estimates."
    return f"{text} The Pareto front is that of the exact points."
