"""The search finds the front of a space by running a part of it."""

import pytest

from systolith_host.explore.rank import pareto
from systolith_host.explore.results import Result
from systolith_host.explore.search import search_front
from systolith_host.explore.space import Space
from systolith_hw.spec.presets import PRESETS

AXES = {
    "rows": (4.0, 8.0, 12.0, 16.0, 5.0),
    "bandwidth": (2.0, 4.0, 8.0, 16.0),
    "act_buffer": tuple(float(1024 << n) for n in range(8)),
    "acc_depth": tuple(float(16 << n) for n in range(7)),
}
SPACE = Space(PRESETS["tiny"], AXES)


class Costs:
    """A smooth stand-in for the compiler that counts its calls."""

    def __init__(self):
        self.asked = []

    def __call__(self, points):
        self.asked += points
        return [self.result(point) for point in points]

    def result(self, point):
        key = str(dict(point.values))
        if point.reason:
            return Result(key, dict(point.values), point.reason)
        defaults = {"rows": 4.0, "bandwidth": 8.0, "act_buffer": 8192.0, "acc_depth": 64.0}
        values = defaults | dict(point.values)
        rows, rate, buffer, depth = (values[name] for name in defaults)
        used = point.resources
        return Result(
            key,
            dict(point.values),
            "",
            estimated_cycles=int(1e6 / rows + 1e6 / rate + 1e8 / buffer + 1e5 / depth),
            estimated_bytes=int(1e6 + 1e9 / buffer + 1e7 / depth),
            dsps=used["DSP"],
            block_rams=used["block RAM"],
        )


def test_most_of_the_front_is_found_with_a_part_of_the_points():
    everything = [Costs().result(point) for point in SPACE.points()]
    front = {result.costs for result in pareto(everything)}
    costs = Costs()
    found = search_front(SPACE, costs, 300, seed=1)
    built = [result for result in found if not result.reason]
    assert SPACE.size == 1120
    assert len(built) == 300
    assert len(costs.asked) == len(found) == len({result.key for result in found})
    reached = front & {result.costs for result in built}
    chance = len(front) * 300 / sum(not result.reason for result in everything)
    assert len(reached) > 0.8 * len(front) > 1.5 * chance


def test_a_search_is_the_same_again():
    one, other = Costs(), Costs()
    search_front(SPACE, one, 60, seed=4)
    search_front(SPACE, other, 60, seed=4)
    assert [p.values for p in one.asked] == [p.values for p in other.asked]


def test_a_small_space_is_run_whole():
    space = Space(PRESETS["tiny"], {"rows": (4.0, 8.0, 5.0), "bandwidth": (2.0, 4.0)})
    assert len(search_front(space, Costs(), 100)) == 6


def test_a_space_in_which_nothing_can_be_built_ends():
    space = Space(PRESETS["tiny"], {"rows": tuple(range(129, 5000)), "acc_depth": (64.0, 128.0)})
    found = search_front(space, Costs(), 5)
    assert found
    assert all(result.reason for result in found)


@pytest.mark.parametrize("budget", [1, 2, 7])
def test_no_more_points_than_the_budget_are_built(budget):
    found = search_front(SPACE, Costs(), budget)
    assert sum(not result.reason for result in found) <= budget


def test_a_huge_space_takes_no_time():
    axes = {name: tuple(float(n) for n in range(4, 1004)) for name in ("acc_depth", "act_buffer")}
    axes |= {"weight_buffer": axes["acc_depth"], "latency": axes["acc_depth"]}
    space = Space(PRESETS["tiny"], axes)
    assert space.size == 10**12
    assert search_front(space, lambda points: [refuse(point) for point in points], 2)


def refuse(point):
    return Result(str(dict(point.values)), dict(point.values), "no")
