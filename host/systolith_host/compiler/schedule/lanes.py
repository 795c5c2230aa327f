"""Lanes: the LOAD that fills one lane of a group of channel blocks, in counts."""

from systolith_host.compiler.lower.operation import LARGEST_SIDE
from systolith_host.jit import njit

__all__ = ["lane_load", "read_row"]


@njit(cache=True)
def read_row(pixels, pixel_bytes, block, row_bytes):
    """Return the memory words of a row, and whether the next row follows directly.

    Parameters
    ----------
    pixels, pixel_bytes : int
        Pixels that are read, and bytes of each.
    block : int
        Bytes of a memory word.
    row_bytes : int
        Bytes from row to row.
    """
    words = -(-pixels * pixel_bytes // block)
    return words, words * block == row_bytes


@njit(cache=True)
def lane_load(lane, lanes, group, blocks, rows, row_words, whole, complete):
    """Return planes, runs of a plane, words of a run and rows of a plane; no planes, no LOAD.

    Whole planes that follow each other in memory are read as one run where the rows of all of
    them fit an instruction.

    Parameters
    ----------
    lane, lanes : int
        Number of the lane, and of all lanes.
    group : (first, count)
        Blocks of input channels of the array, each of `lanes` blocks of memory.
    blocks : int
        Channel blocks in memory; lanes beyond the last are not read.
    rows, row_words : int
        Rows read of a plane, and memory words of each.
    whole : bool
        Whether rows follow each other in memory, with nothing between them.
    complete : bool
        Whether all rows of a plane are read and none is padding.
    """
    first, count = group
    planes = min(count, -(-(blocks - (first * lanes + lane)) // lanes))
    if planes < 1:
        return 0, 0, 0, 0
    if not whole:
        return planes, rows, row_words, rows
    if lanes == 1 and complete and planes * rows <= LARGEST_SIDE:
        return 1, 1, planes * rows * row_words, planes * rows
    return planes, 1, rows * row_words, rows
