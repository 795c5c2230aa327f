"""Tensors that nothing makes as a whole: what of others they consist of."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from systolith_host.program.place import Place

__all__ = ["Part", "pieces_inside", "put_together"]


class Part(NamedTuple):
    """Channels `first` to `end` of a tensor, the last one not included, and where they stand.

    Their first one is channel `channel` of the whole; `rows` and `columns` are its pixels.
    """

    tensor: str
    first: int
    end: int
    channel: int
    rows: range
    columns: range


def put_together(parts: Sequence[Part], tensors: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return a tensor, shape (N, C, H, W), from those that it consists of."""
    channels = max(part.channel + part.end - part.first for part in parts)
    rows, columns = (
        max(pixels[-1] + 1 for pixels in each)
        for each in zip(*((part.rows, part.columns) for part in parts), strict=True)
    )
    piece = tensors[parts[0].tensor]
    whole = np.empty((len(piece), channels, rows, columns), piece.dtype)
    for part in parts:
        there = slice(part.channel, part.channel + part.end - part.first)
        down, across = (
            slice(pixels.start, pixels[-1] + 1, pixels.step) for pixels in (part.rows, part.columns)
        )
        whole[:, there, down, across] = tensors[part.tensor][:, part.first : part.end]
    return whole


def pieces_inside(
    places: Mapping[str, "Place"], made: Collection[str]
) -> dict[str, tuple[Part, ...]]:
    """Return the tensors that are not made, and what they consist of, in order of their channels.

    Parameters
    ----------
    places : mapping of str to Place
    made : collection of str
        Tensors that a layer or the host makes, or that are given.
    """
    pieces: dict[str, list[Place]] = {}
    for place in sorted(places.values(), key=lambda place: place.address):
        if place.tensor in made:
            pieces.setdefault(_root(places, place).tensor, []).append(place)
    found: dict[str, tuple[Part, ...]] = {}
    for whole in places.values():
        if whole.tensor in made:
            continue
        root = _root(places, whole)
        parts = [_part(root, whole, piece) for piece in pieces.get(root.tensor, ())]
        there = tuple(part for part in parts if part is not None)
        if there:
            found[whole.tensor] = there
    return found


def _root(places: Mapping[str, "Place"], place: "Place") -> "Place":
    """Return the tensor in whose memory one stands."""
    while place.parent:
        place = places[place.parent]
    return place


def _part(root: "Place", whole: "Place", piece: "Place") -> Part | None:
    """Return what a piece gives of a whole; None if they have nothing in common."""
    block, rows, columns = _extent(root, whole)
    other, piece_rows, piece_columns = _extent(root, piece)
    first = (block - other) * piece.block
    end = min(piece.channels, first + whole.channels)
    within = piece_rows.start in rows and piece_columns.start in columns
    if not within or max(first, 0) >= end:
        return None
    down, across = (
        range(there.index(here.start), there.index(here[-1]) + 1, here.step // there.step)
        for there, here in ((rows, piece_rows), (columns, piece_columns))
    )
    return Part(piece.tensor, max(first, 0), end, max(-first, 0), down, across)


def _extent(root: "Place", place: "Place") -> tuple[int, range, range]:
    """Return the first channel block, the rows and the columns of a root that a tensor has."""
    block, rest = divmod(place.address - root.address, root.plane_bytes)
    row, rest = divmod(rest, root.row_bytes)
    column, step = rest // root.block, place.row_bytes // root.row_bytes
    across = place.pixel_step // root.block
    return (
        block,
        range(row, row + step * place.height, step),
        range(column, column + across * place.width, across),
    )
