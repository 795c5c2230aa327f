"""Ranking: fronts never mix estimates with exact numbers, and replays go to the best points."""

import pytest

from systolith_host.explore.rank import (
    DEFAULT_EXACT,
    choose_exact,
    exact_line,
    find_front,
    ranked,
)
from systolith_host.explore.results import Result


def point(key, estimated, exact=None, dsps=1, **more):
    costs = {"estimated_bytes": 10, "traffic_bytes": None if exact is None else 10}
    return Result(key, {}, "", estimated_cycles=estimated, cycles=exact, dsps=dsps, **costs, **more)


def keys(results):
    return [result.key for result in results]


def test_a_front_of_which_a_point_is_estimated_is_by_estimates():
    results = [point("a", 100, exact=130, dsps=4), point("b", 120, dsps=2)]
    results.append(point("c", 125, exact=90, dsps=4))
    front = find_front(results)
    assert keys(front.results) == ["a", "b"]
    assert not front.exact
    assert exact_line(results, front) == (
        "2 of 3 points are exact (replayed), ~ marks the compiler's estimates. "
        "The Pareto front is by estimates."
    )


def test_a_front_whose_points_are_all_exact_is_made_again_of_exact_points():
    results = [
        point("a", 100, exact=130, dsps=4),
        point("b", 101, exact=90, dsps=4),  # beaten by estimates, but not by exact numbers
        point("c", 120, exact=125, dsps=2),
        point("d", 121, dsps=2),
    ]
    front = find_front(results)
    assert keys(front.results) == ["b", "c"]
    assert front.exact
    assert exact_line(results, front).endswith("The Pareto front is that of the exact points.")
    whole = results[:3]
    assert exact_line(whole, find_front(whole)) == (
        "All 3 points are exact: replayed, equal to the RTL."
    )


def test_what_is_known_is_exact_where_it_can_be():
    assert point("a", 100).costs == point("a", 100).estimates == (100, 10, 1, 0)
    assert point("a", 100, exact=130).costs == (130, 10, 1, 0)
    assert point("a", 100, exact=130).estimates == (100, 10, 1, 0)


def test_energies_rank_replayed_points_and_their_front():
    fast = point("fast", 100, exact=100, dsps=4, energy_pj=9_000)
    frugal = point("frugal", 200, exact=200, dsps=4, energy_pj=5_000)
    both = point("both", 120, exact=120, dsps=4, energy_pj=6_000)
    worse = point("worse", 210, exact=210, dsps=4, energy_pj=6_500)
    unknown = point("unknown", 1)
    results = [worse, unknown, fast, both, frugal]
    assert keys(ranked(results, "energy")) == ["frugal", "both", "worse", "fast", "unknown"]
    assert keys(ranked(results, "energy-delay")) == ["both", "fast", "frugal", "worse", "unknown"]
    assert keys(ranked(results)) == ["unknown", "fast", "both", "frugal", "worse"]
    assert keys(find_front(results, "energy").results) == ["frugal", "both", "fast"]
    assert keys(find_front(results, "energy-delay").results) == ["both"]
    small = point("small", 300, exact=300, dsps=1, energy_pj=20_000)
    assert keys(find_front([*results, small], "energy-delay").results) == ["both", "small"]
    assert fast.energy_delay == 900_000
    assert unknown.energy_delay is None


SLOW = [point(f"{n}", 10**9 + n, dsps=1 + (n % 2)) for n in range(20)]
SLOW.append(point("small", 10**10, dsps=0))
REFUSED = Result("no", {}, "too small")


def test_all_points_are_replayed_where_that_is_cheap():
    cheap = [point(f"{n}", 10**6 + n) for n in range(20)]
    assert len(choose_exact([*cheap, REFUSED], None, 2)) == 20


def test_some_points_are_replayed_where_it_is_not_those_of_the_front_first():
    chosen = choose_exact([*SLOW, REFUSED], None, 2)
    assert len(chosen) == DEFAULT_EXACT == 10
    assert keys(chosen)[:4] == ["0", "small", "1", "2"]


def test_what_is_exact_already_makes_no_sweep_expensive():
    done = [point(f"{n}", 10**9 + n, exact=10**9) for n in range(20)]
    assert len(choose_exact([*done, point("new", 10**6)], None, 1)) == 21


@pytest.mark.parametrize(("limit", "wanted"), [(0, []), (1, ["0"]), (3, ["0", "small", "1"])])
def test_no_more_points_are_replayed_than_asked_for(limit, wanted):
    assert keys(choose_exact([*SLOW, REFUSED], limit, 2)) == wanted
