"""Mutants that are drawn evenly: over the areas, and over each area's files and lines."""

import math
import random
from collections.abc import Iterator
from itertools import islice

from mutation.areas import Area, Tree
from mutation.mutants import Mutant, Site, sites

__all__ = ["sample"]

GOLDEN = (math.sqrt(5) - 1) / 2


def sample(tree: Tree, seed: int, count: int, only: str = "") -> list[tuple[Area, Mutant]]:
    """Return `count` mutants, or as many as there are.

    The areas take turns. Within an area each mutant is as far as possible from those before, by the
    golden ratio, so that any number of them is spread evenly, and those of a smaller count are
    the first of a larger one.

    Parameters
    ----------
    tree : Tree
    seed : int
        The same seed draws the same mutants of the same code.
    count : int
    only : str
        What the paths of the files have to begin with.
    """
    turns = [(area, _draw(tree, area, seed, only)) for area in tree.areas]

    def drawn() -> Iterator[tuple[Area, Mutant]]:
        while turns:
            for turn in list(turns):
                area, mutants = turn
                mutant = next(mutants, None)
                if mutant is None:
                    turns.remove(turn)
                else:
                    yield area, mutant

    return list(islice(drawn(), count))


def _draw(tree: Tree, area: Area, seed: int, only: str) -> Iterator[Mutant]:
    paths = [path for path in tree.sources(area) if path.startswith(only)]
    places = [site for path in paths for site in sites((tree.root / path).read_text("utf-8"), path)]
    rng = random.Random(f"{seed} {area.name}")
    start = rng.random()
    step = 0
    while places:
        # Those that are drawn leave a gap that moves the others a little: it stays even.
        site = places.pop(int((start + step * GOLDEN) % 1 * len(places)))
        step += 1
        mutant = _one_of(tree, site, rng)
        if mutant is not None:
            yield mutant


def _one_of(tree: Tree, site: Site, rng: random.Random) -> Mutant | None:
    ways = list(range(len(site.ways)))
    rng.shuffle(ways)
    for way in ways:
        mutant = site.mutant(tree.root, way)
        if mutant is not None:
            return mutant
    return None
