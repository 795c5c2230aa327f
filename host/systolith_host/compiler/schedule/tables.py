"""The tables of work: items, steps and STOREs as rows of numbers, with named columns."""

from dataclasses import dataclass

import numpy as np

from systolith_hw.spec.isa import Buffer

__all__ = [
    "ACT",
    "ADDRESS",
    "AFTER",
    "AFTER_STEP",
    "BLOCK",
    "BYTES",
    "CHUNK",
    "COLUMN",
    "CYCLES",
    "DRAIN",
    "FIRST",
    "IMAGES",
    "ITEM_COLUMNS",
    "LAST",
    "LOADS",
    "OPENS",
    "PARAM",
    "ROW",
    "RUN",
    "RUNS",
    "SIZE",
    "STEP_COLUMNS",
    "STORE_COLUMNS",
    "TILE",
    "WEIGHT",
    "WORDS",
    "Tables",
]

ITEM_COLUMNS = 8
"""Of an item: data loaded into a buffer together and used by some CONVs or STOREs."""

WORDS, SIZE, LOADS, RUNS, FIRST, LAST, ADDRESS, AFTER = range(ITEM_COLUMNS)
"""Words of the buffer, bytes read, LOADs, runs of words read, and the numbers of its first and last
CONV (STORE, for parameters). The last two are set when room is allocated: the first word, and the
last user of the words' former contents (-1 if none)."""

RUN = 2
"""Cycles that a run of words is assumed to cost in addition to its words."""

STEP_COLUMNS = 6
"""Of a step, which is a CONV."""

TILE, ACT, WEIGHT, CYCLES, OPENS, CHUNK = range(STEP_COLUMNS)
"""Number of its STORE, rows of its activations and weights among the items, cycles of the array,
one more than the STOREs that it waits for if it is the first of its tile, else 0, and number of its
chunk."""

STORE_COLUMNS = 8
"""Of a STORE; there is one for each tile and block of output channels."""

AFTER_STEP, PARAM, DRAIN, BYTES, IMAGES, COLUMN, ROW, BLOCK = range(STORE_COLUMNS)
"""Number of the last CONV before it, row of its parameters among the items, cycles of the
requantiser and bytes written; its part of the images, columns and rows, and its block of output
channels."""


@dataclass(frozen=True, eq=False)
class Tables:
    """The CONVs and STOREs of a layer and the items that they use, in order.

    Parameters
    ----------
    items : ndarray of int64, shape (room, ITEM_COLUMNS)
        Buffer by buffer in the order of their first use; rows outside of the bounds are void.
    bounds : ndarray of int64, shape (3, 2)
        First item of each buffer (but the tables, which come with the first parameters), and the
        one after its last.
    steps : ndarray of int64, shape (CONVs, STEP_COLUMNS)
    stores : ndarray of int64, shape (STOREs, STORE_COLUMNS)
    gathered : int
        Pixels of patches that a CONV reads before its first pass.
    run_bytes : int
        Of the output, where each run of a STORE is a single word; else 0.
    """

    items: np.ndarray
    bounds: np.ndarray
    steps: np.ndarray
    stores: np.ndarray
    gathered: int = 0
    run_bytes: int = 0

    def items_of(self, buffer: Buffer) -> np.ndarray:
        """Return the items of a buffer."""
        first, end = self.bounds[buffer]
        return self.items[first:end]

    @property
    def instructions(self) -> int:
        """Number of instructions."""
        loads = sum(int(self.items[first:end, LOADS].sum()) for first, end in self.bounds)
        return loads + len(self.steps) + len(self.stores)
