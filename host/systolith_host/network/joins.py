"""Where concatenations share memory: which tensors can stand inside of which others."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Arrangement", "arrange", "copied_parts"]


@dataclass(frozen=True)
class Arrangement:
    """The tensors around a network's concatenations.

    Parameters
    ----------
    inside : mapping of str to (str, int)
        For each tensor that stands inside another: that one, which stands in none, and the channel
        where it begins. Concatenations among them may have channels in common.
    gathered : tuple of str
        Concatenations that have to be copied from their inputs.
    """

    inside: Mapping[str, tuple[str, int]]
    gathered: tuple[str, ...]


def arrange(
    joins: Mapping[str, Sequence[str]],
    channels: Mapping[str, int],
    fixed: Collection[str],
    block: int = 1,
) -> Arrangement:
    """Return an arrangement in which most concatenations need no copy.

    A tensor that is no concatenation stands in one place only. Larger concatenations come first:
    their inputs are put one after the other, down to those of concatenations among them. A smaller
    one is free where its inputs follow each other in a larger one, or belong to none.

    Parameters
    ----------
    joins : mapping of str to sequence of str
        The inputs of each concatenation, in the network's order.
    channels : mapping of str to int
        Of each tensor.
    fixed : collection of str
        Tensors that cannot stand inside another.
    block : int
        A tensor begins at a multiple of so many channels.
    """
    gathered: set[str] = set()
    while True:
        leaves = _leaves(joins, gathered)
        inside: dict[str, tuple[str, int]] = {}
        failed: set[str] = set()
        for name in sorted(joins.keys() - gathered, key=lambda name: (-channels[name], name)):
            spots, first = [], 0
            for leaf in leaves[name]:
                spots.append((leaf, first))
                first += channels[leaf]
            root, start = inside.get(spots[0][0], ("", 0))
            if root and all(inside.get(leaf) == (root, start + at) for leaf, at in spots):
                inside[name] = (root, start)
            elif (
                len(set(leaves[name])) == len(spots)
                and not any(leaf in inside or leaf in fixed for leaf in leaves[name])
                and all(at % block == 0 for _, at in spots)
            ):
                inside |= {leaf: (name, at) for leaf, at in spots}
            else:
                failed.add(name)
        if not failed:
            return Arrangement(inside, tuple(name for name in joins if name in gathered))
        # A copy is a tensor as any other: a concatenation of it may work out in the next round.
        gathered |= {name for name in failed if not any(part in failed for part in joins[name])}


def copied_parts(
    joins: Mapping[str, Sequence[str]], channels: Mapping[str, int], fixed: Collection[str]
) -> dict[str, list[int]]:
    """Return the inputs whose copies leave no concatenation to be copied as a whole.

    Parameters are those of :func:`arrange`.

    Returns
    -------
    dict of str to list of int
        For each concatenation that must take copies, the numbers of those inputs.
    """
    current = {name: list(parts) for name, parts in joins.items()}
    sizes = dict(channels)
    found: dict[str, list[int]] = {}

    def copy(name: str, numbers: Sequence[int]) -> bool:
        for number in numbers:
            part = current[name][number]
            current[name][number] = fresh = f"{name} {len(sizes)}"
            sizes[fresh] = sizes[part]
            found.setdefault(name, []).append(number)
        return bool(numbers)

    while True:
        arrangement = arrange(current, sizes, fixed)
        whole = arrangement.gathered
        leaves = _leaves(current, whole)
        for name in whole:
            apart = [
                [part] if part in whole else leaves.get(part, [part]) for part in current[name]
            ]
            seen: set[str] = set()
            repeated, taken = [], []
            for number, inside in enumerate(apart):
                if seen.intersection(inside) or current[name][number] in fixed:
                    repeated.append(number)
                elif any(leaf in arrangement.inside for leaf in inside):
                    taken.append(number)
                seen.update(inside)
            if copy(name, repeated or taken):
                break
        else:
            return found


def _leaves(joins: Mapping[str, Sequence[str]], gathered: Collection[str]) -> dict[str, list[str]]:
    """Return what each concatenation consists of, those that need no copy taken apart."""
    leaves: dict[str, list[str]] = {}
    for name, parts in joins.items():
        leaves[name] = []
        for part in parts:
            leaves[name] += [part] if part in gathered else leaves.get(part, [part])
    return leaves
