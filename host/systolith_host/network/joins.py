"""Where concatenations and slices share memory: which tensors can stand inside of which others."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from systolith_host.network.mosaic import Grid, repeats, standing
from systolith_host.network.qgraph import QConcat, QLayer, QMosaic, QTake, QTensor

__all__ = [
    "Arrangement",
    "Piece",
    "Views",
    "arrange",
    "copied_parts",
    "copies_for_joins",
    "views_of",
]


class Piece(NamedTuple):
    """Some channels of a tensor, one after the other."""

    tensor: str
    first: int
    size: int


Views = Mapping[str, Sequence[Piece]]
"""The pieces, in the order of their channels, of each tensor that only puts others together."""


@dataclass(frozen=True)
class Arrangement:
    """The tensors around a network's concatenations and slices.

    Parameters
    ----------
    inside : mapping of str to (str, int)
        For each tensor that stands inside another: that one, which stands in none, and the channel
        where it begins. Views among them may have channels in common.
    copied : tuple of str
        Views that have to be copied from their pieces.
    grids : mapping of str to (str, Grid)
        For each tensor that stands in a mosaic: that one, and the pixels there.
    """

    inside: Mapping[str, tuple[str, int]]
    copied: tuple[str, ...]
    grids: Mapping[str, tuple[str, Grid]] = field(default_factory=dict)


def views_of(
    layers: Iterable[QLayer], tensors: Mapping[str, QTensor], placed: Collection[str]
) -> dict[str, list[Piece]]:
    """Return the tensors that only put others together: concatenations, and ranges of channels.

    Those `placed`, in mosaics, are no views: they are copied to where they stand.
    """
    views: dict[str, list[Piece]] = {}
    for layer in layers:
        if layer.output in placed:
            continue
        if isinstance(layer, QConcat):
            views[layer.output] = [Piece(name, 0, tensors[name].shape[0]) for name in layer.inputs]
        elif isinstance(layer, QTake):
            first, count = layer.channels[0], len(layer.channels)
            _, height, width = tensors[layer.input].shape
            pixels = (range(*layer.rows), range(*layer.columns))
            if layer.channels == tuple(range(first, first + count)) and pixels == (
                range(height),
                range(width),
            ):
                views[layer.output] = [Piece(layer.input, first, count)]
    return views


def arrange(
    views: Views, channels: Mapping[str, int], fixed: Collection[str], block: int = 1
) -> Arrangement:
    """Return an arrangement in which most views need no copy.

    A tensor that is no view stands in one place only. Larger views come first: whole tensors are
    put one after the other, those of views among them, too. Another view is free where its
    pieces follow each other already.

    Parameters
    ----------
    views : Views
        In the network's order.
    channels : mapping of str to int
        Of each tensor.
    fixed : collection of str
        Tensors that cannot stand inside another.
    block : int
        A tensor begins and ends at a multiple of so many channels; the last one inside of another
        may end with it.
    """
    copied: set[str] = set()
    while True:
        pieces = _apart(views, copied)
        inside: dict[str, tuple[str, int]] = {}
        failed: set[str] = set()
        for name in sorted(views.keys() - copied, key=lambda name: (-channels[name], name)):
            spot = _spot(pieces[name], inside)
            if spot is not None and _fits(spot, channels, name, block):
                inside[name] = spot
            elif spot is None and _may_join(pieces[name], channels, inside, fixed, block):
                first = 0
                for piece in pieces[name]:
                    inside[piece.tensor] = (name, first)
                    first += piece.size
            else:
                failed.add(name)
        if not failed:
            return Arrangement(inside, tuple(name for name in views if name in copied))
        # A copy is a tensor as any other: a view of it may work out in the next round.
        copied |= {
            name for name in failed if not any(piece.tensor in failed for piece in views[name])
        }


def copied_parts(
    views: Views, channels: Mapping[str, int], fixed: Collection[str]
) -> dict[str, list[int]]:
    """Return the pieces whose copies leave no view to be copied as a whole.

    Parameters are those of :func:`arrange`.

    Returns
    -------
    dict of str to list of int
        For each view that must take copies, the numbers of those pieces.
    """
    current = {name: list(pieces) for name, pieces in views.items()}
    sizes = dict(channels)
    found: dict[str, list[int]] = {}

    def copy(name: str, numbers: Sequence[int]) -> bool:
        for number in numbers:
            count = current[name][number].size
            fresh = f"{name} {len(sizes)}"
            sizes[fresh] = count
            current[name][number] = Piece(fresh, 0, count)
            found.setdefault(name, []).append(number)
        return bool(numbers)

    while True:
        arrangement = arrange(current, sizes, fixed)
        for name in arrangement.copied:
            seen: set[str] = set()
            always, taken = [], []
            for number, piece in enumerate(current[name]):
                parts = _apart({**current, name: [piece]}, arrangement.copied)[name]
                if any(each.tensor in seen or each.tensor in fixed for each in parts):
                    always.append(number)
                elif any(
                    each.tensor in arrangement.inside or each.size < sizes[each.tensor]
                    for each in parts
                ):
                    taken.append(number)
                seen.update(each.tensor for each in parts)
            if copy(name, always or taken):
                break
        else:
            return found


def copies_for_joins(
    layers: Sequence[QLayer], tensors: Mapping[str, QTensor], given: str
) -> dict[str, list[int]]:
    """Return which inputs of concatenations and mosaics have to be copies.

    Parameters
    ----------
    layers, tensors
        Of a network.
    given : str
        Its input, which stands in no other tensor.
    """
    placed = standing(layers, given)
    views = views_of(layers, tensors, placed)
    channels = {name: tensor.shape[0] for name, tensor in tensors.items()}
    found = copied_parts(views, channels, {given, *placed})
    for layer in layers:
        if isinstance(layer, QMosaic) and not repeats(layer.inputs, layer.grids):
            found[layer.name] = [n for n, name in enumerate(layer.inputs) if name not in placed]
    return found


def _apart(views: Views, copied: Collection[str]) -> dict[str, list[Piece]]:
    """Return the pieces of each view, those of views that need no copy taken apart."""
    apart: dict[str, list[Piece]] = {}
    for name, pieces in views.items():
        apart[name] = made = []
        for piece in pieces:
            if piece.tensor in copied or piece.tensor not in apart:
                _append(made, piece)
                continue
            at = -piece.first
            for part in apart[piece.tensor]:
                low, high = max(at, 0), min(at + part.size, piece.size)
                if low < high:
                    _append(made, Piece(part.tensor, part.first + low - at, high - low))
                at += part.size
    return apart


def _append(pieces: list[Piece], piece: Piece) -> None:
    """Append a piece, or let the last one grow by it."""
    if pieces and pieces[-1].tensor == piece.tensor:
        last = pieces[-1]
        if last.first + last.size == piece.first:
            pieces[-1] = Piece(last.tensor, last.first, last.size + piece.size)
            return
    pieces.append(piece)


def _spot(pieces: Sequence[Piece], inside: Mapping[str, tuple[str, int]]) -> tuple[str, int] | None:
    """Return where pieces follow each other: in which tensor, from which channel."""
    root, start = inside.get(pieces[0].tensor, (pieces[0].tensor, 0))
    first = at = start + pieces[0].first
    for tensor, begin, count in pieces:
        there, base = inside.get(tensor, (tensor, 0))
        if (there, base + begin) != (root, at):
            return None
        at += count
    return root, first


def _fits(spot: tuple[str, int], channels: Mapping[str, int], name: str, block: int) -> bool:
    """Return whether a range of a tensor's channels is one of whole blocks."""
    root, first = spot
    end = first + channels[name]
    return first % block == 0 and (end % block == 0 or end == channels[root])


def _may_join(
    pieces: Sequence[Piece],
    channels: Mapping[str, int],
    inside: Mapping[str, tuple[str, int]],
    fixed: Collection[str],
    block: int,
) -> bool:
    """Return whether the pieces are whole tensors that stand nowhere yet, in whole blocks."""
    names = {piece.tensor for piece in pieces}
    return (
        len(names) == len(pieces)
        and all(piece.size == channels[piece.tensor] for piece in pieces)
        and not any(name in inside or name in fixed for name in names)
        and all(piece.size % block == 0 for piece in pieces[:-1])
    )
