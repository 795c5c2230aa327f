"""Cuts: the tiles of images, columns and rows of a layer, and the input pixels of each."""

from dataclasses import dataclass

from systolith_host.compiler.lower.operation import Operation
from systolith_host.compiler.schedule.geometry import (
    LARGEST_PADDING,
    Span,
    input_span,
    patches,
    split,
)
from systolith_host.compiler.schedule.schedule import LayerSchedule
from systolith_host.errors import SystolithError
from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["Cuts", "Part", "make_cuts"]


@dataclass(frozen=True)
class Part:
    """An accumulator tile along one axis.

    Parameters
    ----------
    first, count : int
        Outputs, windows applied.
    sums : int
        Sums that they take.
    pieces : int
        Of a CONV's walk: the sums, or the patches that give them.
    span : Span
        Its input pixels in the buffer: its own, or those of the input tile.
    skip : int
        Of these, pixels before the first that its kernel touches.
    """

    first: int
    count: int
    sums: int
    pieces: int
    span: Span
    skip: int


@dataclass(frozen=True)
class Cuts:
    """How an operation is cut; a tile is one of each.

    Parameters
    ----------
    images : tuple of (first, count)
    columns, rows : tuple of Part
    regions : tuple of int
        First of the rows of each input tile, and their number.
    """

    images: tuple[tuple[int, int], ...]
    columns: tuple[Part, ...]
    rows: tuple[Part, ...]
    regions: tuple[int, ...]

    @property
    def tiles(self) -> int:
        """Accumulator tiles of a block of output channels."""
        return len(self.images) * len(self.columns) * len(self.rows)


def make_cuts(
    operation: Operation, schedule: LayerSchedule, config: AcceleratorConfig, batch: int
) -> Cuts:
    """Return how a schedule cuts an operation.

    Raises
    ------
    SystolithError
        If the padding of a tile does not fit an instruction.
    """
    images = tuple(split(batch, schedule.images))
    if schedule.linear:
        sides = (operation.height, operation.width)
        row, column = (Part(0, 1, 1, 1, Span(0, side, 0, 0, 0), 0) for side in sides)
        return Cuts(images, (column,), (row,), (0, 1))
    columns = []
    winograd = schedule.winograd
    for first, count in split(operation.out_width, schedule.columns):
        span = _tile_span(operation, 1, first, count, config, winograd)
        columns.append(_part(operation, 1, first, count, span, span.skip, winograd))
    down = operation.window_stride[0] * operation.stride[0]
    rows: list[Part] = []
    regions = [0]
    for top, height in split(operation.out_height, schedule.rows * schedule.stack):
        span = _tile_span(operation, 0, top, height, config, winograd)
        for row, count in split(height, schedule.rows):
            skip = span.skip + row * down
            if not schedule.resident:
                span = _tile_span(operation, 0, top + row, count, config, winograd)
                skip = span.skip
            rows.append(_part(operation, 0, top + row, count, span, skip, winograd))
        regions.append(len(rows))
    return Cuts(images, tuple(columns), tuple(rows), tuple(regions))


def _part(
    operation: Operation, axis: int, first: int, count: int, span: Span, skip: int, winograd: bool
) -> Part:
    sums = operation.sums(axis, count)
    return Part(first, count, sums, patches(sums) if winograd else sums, span, skip)


def _tile_span(
    operation: Operation,
    axis: int,
    first: int,
    count: int,
    config: AcceleratorConfig,
    winograd: bool,
) -> Span:
    """Return the input pixels of a tile along an axis, as :func:`input_span`."""
    span = input_span(operation, axis, first, count, config, winograd=winograd)
    if max(span.before, span.after) > LARGEST_PADDING:
        raise SystolithError(
            f"{operation.name}: padding of {max(span.before, span.after)} exceeds the "
            f"{LARGEST_PADDING} of an instruction; use less padding"
        )
    return span
