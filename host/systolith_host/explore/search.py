"""A search for the Pareto front: points near the best so far, instead of all of them."""

import random
from collections.abc import Callable, Iterator, Sequence

from systolith_host.explore.rank import pareto
from systolith_host.explore.results import Result
from systolith_host.explore.space import AXES, Point, Space

__all__ = ["search_front"]

FIRST_SHARE = 4
"""One point of so many is chosen at random before the search begins."""

RANDOM_SHARE = 8
"""One point of so many is chosen at random later on, so that no part of the space is forgotten."""

REFUSED = 20
"""Points that cannot be built may be met for each that can, before the search gives up."""

Run = Callable[[Sequence[Point]], list[Result]]

Costs = Callable[[Result], tuple[int, ...]]


def search_front(
    space: Space,
    run: Run,
    budget: int,
    *,
    seed: int = 0,
    generation: int = 16,
    start: Sequence[int] = (),
    costs: Costs = lambda result: result.estimates,
) -> list[Result]:
    """Return the results of at most `budget` points that can be built, and of others it met.

    It begins with the ends of all axes and with points at random. Then it runs neighbours of the
    points that nothing beats (along one axis, the next that can be built), mixtures of two of
    them, and some points at random, until the budget is used or there is nothing new.

    Parameters
    ----------
    space : Space
    run : callable
        Evaluates points; the results are in their order.
    budget : int
    seed : int
    generation : int
        Points that are run in parallel.
    start : sequence of int
        Numbers of points that are run first.
    costs : callable
        The values of which a better point has less, cycles first; the estimates unless given.
    """
    return _Search(space, run, budget, seed, generation, start, costs).search()


class _Search:
    def __init__(
        self,
        space: Space,
        run: Run,
        budget: int,
        seed: int,
        generation: int,
        start: Sequence[int],
        costs: Costs,
    ) -> None:
        self.start, self.costs = start, costs
        self.space = space
        self.run = run
        self.budget = budget
        self.generation = generation
        self.random = random.Random(seed)
        self.axes = [name for name in AXES if name in space.axes]
        self.sizes = [len(space.axes[name]) for name in self.axes]
        self.found: dict[int, Result] = {}
        self.numbers: dict[str, int] = {}

    def search(self) -> list[Result]:
        first = [*self.start, 0, self.space.size - 1]
        count = min(self.space.size, max(self.budget // FIRST_SHARE, 1))
        first += self.random.sample(range(self.space.size), count)
        self._evaluate(first)
        while self._built() < self.budget and len(self.found) < self.space.size:
            if len(self.found) > REFUSED * self.budget:
                break
            if not self._evaluate(list(self._proposals())):
                break
        return list(self.found.values())

    def _built(self) -> int:
        return sum(not result.reason for result in self.found.values())

    def _evaluate(self, numbers: Sequence[int]) -> bool:
        """Run the new ones of these points within the budget; return whether there were any."""
        new = [number for number in dict.fromkeys(numbers) if number not in self.found]
        new = new[: max(self.budget - self._built(), 0)]
        points = [self.space.point(self.space.values(number)) for number in new]
        for number, result in zip(new, self.run(points), strict=True):
            self.found[number] = result
            self.numbers[result.key] = number
        return bool(new)

    def _proposals(self) -> Iterator[int]:
        """Yield new points, a generation of them if there are so many."""
        front = [
            self.numbers[result.key] for result in pareto(list(self.found.values()), self.costs)
        ]
        near = [number for one in front for number in self._neighbours(one)]
        near = [number for number in dict.fromkeys(near) if number not in self.found]
        self.random.shuffle(near)
        wild = self.generation // RANDOM_SHARE + 1
        yield from near[: self.generation - wild]
        if len(front) > 1:
            yield from (self._mixture(*self.random.sample(front, 2)) for _ in range(wild))
        wild += max(self.generation - wild - len(near), 0)
        yield from (self.random.randrange(self.space.size) for _ in range(wild))
        if not near:
            # All neighbours are known: any point that is not, by chance or in order.
            yield from (number for number in self._unknown(self.generation))

    def _unknown(self, most: int) -> Iterator[int]:
        start = self.random.randrange(self.space.size)
        count = 0
        for step in range(min(self.space.size, len(self.found) + most)):
            number = (start + step) % self.space.size
            if number not in self.found:
                yield number
                count += 1
                if count == most:
                    return

    def _places(self, number: int) -> list[int]:
        places = []
        for size in reversed(self.sizes):
            number, place = divmod(number, size)
            places.append(place)
        return places[::-1]

    def _number(self, places: Sequence[int]) -> int:
        number = 0
        for size, place in zip(self.sizes, places, strict=True):
            number = number * size + place
        return number

    def _neighbours(self, number: int) -> Iterator[int]:
        places = self._places(number)
        for axis, size in enumerate(self.sizes):
            for step in (-1, 1):
                place = places[axis] + step
                while 0 <= place < size:  # beyond values with which nothing can be built
                    number = self._number([*places[:axis], place, *places[axis + 1 :]])
                    if not self.space.point(self.space.values(number)).reason:
                        yield number
                        break
                    place += step

    def _mixture(self, one: int, other: int) -> int:
        pairs = zip(self._places(one), self._places(other), strict=True)
        return self._number([self.random.choice(pair) for pair in pairs])
