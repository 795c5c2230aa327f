"""Mosaics: images that stand on grids of pixels of a larger one, and where they can stand there."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from systolith_host.network.qgraph import QLayer

__all__ = ["Grid", "check_cover", "put_together", "repeats", "standing"]


class Grid(NamedTuple):
    """Pixels of an image: rows row, row + down, ... and columns column, column + across, ...

    How many there are, the image that stands on them says.
    """

    row: int
    down: int
    column: int
    across: int

    def ranges(self, size: tuple[int, int]) -> tuple[range, range]:
        """Return the rows and the columns of an image of so many."""
        return (
            range(self.row, self.row + self.down * size[0], self.down),
            range(self.column, self.column + self.across * size[1], self.across),
        )


def put_together(pieces: Sequence[np.ndarray], grids: Sequence[Grid]) -> np.ndarray:
    """Return the image, shape (N, C, H, W), that pieces of its channels make."""
    ends = [
        tuple(pixels[-1] + 1 for pixels in grid.ranges(piece.shape[2:]))
        for piece, grid in zip(pieces, grids, strict=True)
    ]
    size = (max(end for end, _ in ends), max(end for _, end in ends))
    whole = np.empty((*pieces[0].shape[:2], *size), pieces[0].dtype)
    for piece, (row, down, column, across), end in zip(pieces, grids, ends, strict=True):
        whole[:, :, row : end[0] : down, column : end[1] : across] = piece
    return whole


def check_cover(
    shapes: Sequence[tuple[int, ...]], grids: Sequence[Grid], shape: tuple[int, ...]
) -> None:
    """Check that pieces give every pixel of an image of their channels once.

    Raises
    ------
    ValueError
        If they do not.
    """
    counts = np.zeros(shape[1:], np.uint8)
    for (channels, *size), grid in zip(shapes, grids, strict=True):
        rows, columns = grid.ranges((size[0], size[1]))
        inside = min(grid.row, grid.column) >= 0 and min(grid.down, grid.across) >= 1
        if not inside or rows[-1] >= shape[1] or columns[-1] >= shape[2] or channels != shape[0]:
            raise ValueError(f"a piece of {channels}x{size[0]}x{size[1]} on {grid} is not inside")
        counts[rows.start : rows.stop : grid.down, columns.start : columns.stop : grid.across] += 1
    if not (counts == 1).all():
        raise ValueError("its pieces do not give every pixel once")


def repeats(inputs: Sequence[str], grids: Sequence[Grid]) -> tuple[int, int] | None:
    """Return how often a mosaic of one tensor has each row and each pixel; None if of several."""
    down, across = grids[0].down, grids[0].across
    wanted = {Grid(row, down, column, across) for row in range(down) for column in range(across)}
    one = len(set(inputs)) == 1 and len(inputs) > 1
    return (down, across) if one and set(grids) == wanted else None


def standing(layers: Iterable["QLayer"], given: str) -> dict[str, tuple[str, Grid]]:
    """Return the tensors that are made where they stand in a mosaic: in which, and on which grid.

    A piece stands in one place only. Whatever reads it too must find its pixels side by side.

    Parameters
    ----------
    layers : iterable of QLayer
        In the network's order.
    given : str
        The network's input, which stands in nothing.
    """
    # The nodes of a network have grids.
    from systolith_host.network.qgraph import QConv, QHost, QMosaic

    layers = tuple(layers)
    makers = {layer.output: layer for layer in layers}
    users: dict[str, list[QLayer]] = {}
    for layer in layers:
        for name in layer.inputs:
            users.setdefault(name, []).append(layer)
    found: dict[str, tuple[str, Grid]] = {}
    for layer in layers:
        if not isinstance(layer, QMosaic) or repeats(layer.inputs, layer.grids):
            continue
        for name, grid in zip(layer.inputs, layer.grids, strict=True):
            others = [user for user in users[name] if user is not layer]
            side_by_side = grid.across == 1 or not (
                others or isinstance(makers.get(name), QMosaic | QHost)
            )
            # A fully connected layer takes the bytes of an image in one run.
            once = layer.inputs.count(name) == 1 and not any(
                isinstance(user, QMosaic) or (isinstance(user, QConv) and user.kind == "fc")
                for user in others
            )
            if name != given and side_by_side and once:
                found[name] = (layer.output, grid)
    return found
