"""The engines over a whole network: how many cycles each is busy in short pieces of every layer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from systolith_hw.spec.isa import Opcode

__all__ = ["LANES", "Piece", "cut", "spans_of"]

LANES = ("load", "array", "drain", "store")

_PIECES = 1000
"""About as many as a picture has pixels."""


@dataclass(frozen=True)
class Piece:
    """Some cycles of a layer.

    Parameters
    ----------
    layer : int
    begin, end : int
        Cycles of the network before it, and with it.
    busy : dict of str to int
        Of these cycles those in which each of LANES has an instruction under way.
    """

    layer: int
    begin: int
    end: int
    busy: Mapping[str, int]


def spans_of(opcodes: np.ndarray, times: np.ndarray) -> dict[str, np.ndarray]:
    """Return when each of LANES has an instruction under way in a layer.

    Parameters
    ----------
    opcodes : ndarray, shape (instructions,)
    times : ndarray, shape (instructions, 4)
        As of :class:`systolith_host.cost.replay.LayerPerformance`.

    Returns
    -------
    dict of str to ndarray of int64, shape (spans, 2)
        Cycles before each span, and with it; spans do not overlap. A STORE's lane lasts until the
        memory acknowledges it.
    """
    kinds = (Opcode.LOAD, Opcode.CONV, Opcode.STORE, Opcode.STORE)
    ends = ((1, 2), (1, 2), (1, 2), (0, 3))
    return {
        lane: _joined(times[opcodes == int(kind)][:, list(columns)])
        for lane, kind, columns in zip(LANES, kinds, ends, strict=True)
    }


def _joined(found: np.ndarray) -> np.ndarray:
    """Return spans of first and last cycles, those that touch as one."""
    if not len(found):
        return np.zeros((0, 2), np.int64)
    found = found[np.argsort(found[:, 0], kind="stable")]
    begin, end = found[:, 0] - 1, np.maximum.accumulate(found[:, 1])
    new = np.concatenate([[True], begin[1:] > end[:-1]])
    return np.stack([begin[new], end[np.append(new[1:], True)]], axis=1)


def cut(layers: Sequence[tuple[int, Mapping[str, np.ndarray]]]) -> Iterator[Piece]:
    """Cut layers that run one after the other into pieces; their busy cycles add up exactly.

    Parameters
    ----------
    layers : sequence of (int, dict)
        The cycles of each, and its spans.
    """
    total = sum(cycles for cycles, _ in layers)
    step = max(1, -(-total // _PIECES))
    before = 0
    for number, (cycles, spans) in enumerate(layers):
        inner = np.arange(-(-(before + 1) // step) * step, before + cycles, step) - before
        edges = np.concatenate([[0], inner, [cycles]])
        busy = {lane: np.diff(_busy_before(spans[lane], edges)) for lane in LANES}
        for piece in range(len(edges) - 1):
            begin, end = before + int(edges[piece]), before + int(edges[piece + 1])
            yield Piece(number, begin, end, {lane: int(busy[lane][piece]) for lane in LANES})
        before += cycles


def _busy_before(spans: np.ndarray, cycles: np.ndarray) -> np.ndarray:
    if not len(spans):
        return np.zeros(len(cycles))
    lengths = spans[:, 1] - spans[:, 0]
    done = np.cumsum(lengths)
    counts = np.stack([done - lengths, done], axis=1)
    return np.rint(np.interp(cycles, spans.ravel(), counts.ravel()))
