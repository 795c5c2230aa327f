"""What concatenations that nothing makes as a whole consist of."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from systolith_host.program.program import Place

__all__ = ["pieces_inside"]


def pieces_inside(
    places: Mapping[str, "Place"], made: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """Return the tensors that are made inside of others, by those, in the order of their channels.

    Parameters
    ----------
    places : mapping of str to Place
    made : collection of str
        Tensors that a layer or the host makes.
    """
    pieces: dict[str, list[Place]] = {}
    for place in sorted(places.values(), key=lambda place: place.address):
        if place.parent and place.tensor in made:
            pieces.setdefault(place.parent, []).append(place)
    found: dict[str, tuple[str, ...]] = {}
    for whole in places.values():
        end = whole.address + whole.data_bytes
        inside = [
            piece.tensor
            for piece in pieces.get(whole.parent or whole.tensor, ())
            if whole.address <= piece.address < end
        ]
        if whole.tensor not in made and inside:
            found[whole.tensor] = tuple(inside)
    return found
