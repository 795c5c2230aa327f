"""Tensors that nothing makes as a whole: what of others they consist of."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from systolith_host.program.place import Place

__all__ = ["Part", "pieces_inside", "put_together"]


class Part(NamedTuple):
    """Channels `first` to `end` of a tensor, the last one not included."""

    tensor: str
    first: int
    end: int


def put_together(parts: Sequence[Part], tensors: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return a tensor, shape (N, C, H, W), from those that it consists of."""
    pieces = [tensors[part.tensor][:, part.first : part.end] for part in parts]
    return np.concatenate(pieces, axis=1)


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
            pieces.setdefault(place.parent or place.tensor, []).append(place)
    found: dict[str, tuple[Part, ...]] = {}
    for whole in places.values():
        if whole.tensor in made:
            continue
        parts = []
        for piece in pieces.get(whole.parent or whole.tensor, ()):
            first = (whole.address - piece.address) // piece.plane_bytes * piece.block
            end = min(piece.channels, first + whole.channels)
            if max(first, 0) < end:
                parts.append(Part(piece.tensor, max(first, 0), end))
        if parts:
            found[whole.tensor] = tuple(parts)
    return found
