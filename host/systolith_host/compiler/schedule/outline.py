"""An outline: a layer's work as tables of numbers, all that its cycles depend on."""

from dataclasses import dataclass

import numpy as np

from systolith_host.compiler.schedule.work import Item, Step, Work
from systolith_hw.spec.isa import Buffer

__all__ = ["ITEM", "STEP", "STORE", "Outline", "outline_of"]

ITEM = ("words", "size", "loads", "runs", "first", "last", "address", "after")
"""Of an :class:`Item`; its LOADs, and the runs of words that they read, as numbers."""

STEP = ("tile", "act", "weight", "cycles", "first")
"""Of a :class:`Step`; activations and weights as rows of the items."""

STORE = ("step", "param", "cycles", "size")
"""Of a :class:`Store`, which are in the order of their tiles."""


@dataclass(frozen=True, eq=False)
class Outline:
    """The tables; see ITEM, STEP and STORE for their columns.

    Parameters
    ----------
    items : ndarray of int64, shape (room, len(ITEM))
    bounds : ndarray of int64, shape (len(Buffer), 2)
        First item of each buffer, and the one after its last.
    steps : ndarray of int64, shape (CONVs, len(STEP))
    stores : ndarray of int64, shape (STOREs, len(STORE))
    """

    items: np.ndarray
    bounds: np.ndarray
    steps: np.ndarray
    stores: np.ndarray


def outline_of(work: Work) -> Outline:
    """Return the outline of work; items without room yet have address 0 and wait for nobody."""
    items = [item for buffer in Buffer for item in work.items[buffer]]
    rows = {id(item): row for row, item in enumerate(items)}
    ends = np.cumsum([len(work.items[buffer]) for buffer in Buffer])
    steps, stores = [], []
    for entry in work.sequence:
        if isinstance(entry, Step):
            act, weight = rows[id(entry.act)], rows[id(entry.weight)]
            steps.append((entry.tile, act, weight, entry.cycles, int(entry.first)))
        else:
            stores.append((entry.step, rows[id(entry.param)], entry.cycles, entry.size))
    return Outline(
        np.array([_item_row(item) for item in items], np.int64),
        np.stack([ends - [len(work.items[buffer]) for buffer in Buffer], ends], axis=1),
        np.array(steps, np.int64),
        np.array(stores, np.int64),
    )


def _item_row(item: Item) -> tuple[int, ...]:
    runs = sum(load["runs"] * load["planes"] for load in item.loads)
    uses = (item.first, item.last, item.address, item.after)
    return (item.words, item.size, len(item.loads), runs, *uses)
