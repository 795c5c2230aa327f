"""The small parts of the replay: named registers, queues, walkers and splitters.

A part's offer in a cycle is read from its registers before anything of that cycle is written, as in
hardware. The functions are compiled.
"""

from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
from numba import config, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from systolith_hw.spec.isa import Buffer
from systolith_sim.replay.table import COLUMNS

__all__ = [
    "ACTIVE",
    "ADDRESS",
    "BASE",
    "BEATS",
    "END",
    "IDLE",
    "IS_LAST",
    "ITEMS",
    "LAST",
    "LEFT",
    "MASK",
    "POPPED",
    "PUSHED",
    "QUEUE",
    "READY",
    "RING",
    "ROW",
    "RUN",
    "SKIP",
    "SPLITTER",
    "STATE",
    "WALKER",
    "burst_beats",
    "compiled",
    "queue_free",
    "queue_step",
    "registers",
    "run_taken",
    "split_step",
    "walk_step",
    "zeroed",
]

_OPTIONS: dict[str, Any] = {"error_model": "numpy", "forceinline": True, "_nrt": False}
_PLAIN: bool = vars(config)["DISABLE_JIT"]  # numba sets the names of its settings at run time
compiled: Any = njit(**_OPTIONS)
"""Compiles a function of the replay into the loop over the cycles.

Its divisors are never zero, and it neither makes nor keeps arrays: counting references to them
would take longer than everything else.
"""

RING = 128
"""Items of the largest queue whose contents are kept."""

MASK = RING - 1


@intrinsic
def _zeroed(typing_context, layout):
    """Return a record of this type that lives on the stack, all zero.

    Numba has records in arrays only. Those are somewhere in memory, and an access to one of them
    may be an access to any other; the compiler can tell the registers of this record apart.
    """
    record = layout.dtype

    def codegen(context, builder, signature, arguments):
        place = cgutils.alloca_once(builder, context.get_data_type(record))
        place.align = 8
        cgutils.memset(builder, place, context.get_constant(types.intp, record.size), 0)
        return place

    return record(layout), codegen


def _plain(layout):
    """Return such a record of plain Python."""
    return SimpleNamespace(
        **{
            name: np.zeros(of.shape, of.base) if of.shape else of.type(0).item()
            for name, (of, _) in layout.fields.items()
        }
    )


zeroed: Any = _plain if _PLAIN else _zeroed
"""Makes a record whose registers are all zero.

With ``NUMBA_DISABLE_JIT=1`` the replay runs as plain Python, some hundred times as long: debuggers
and `make coverage-python` see its lines then.
"""


def registers(
    numbers: Iterable[str] = (),
    flags: Iterable[str] = (),
    arrays: Mapping[str, tuple[int, ...]] | None = None,
) -> np.dtype[Any]:
    """Return the type of a record with these registers: numbers, bits, and arrays of numbers."""
    fields: list[Any] = [(name, np.int64) for name in numbers]
    fields += [(name, np.int64, shape) for name, shape in (arrays or {}).items()]
    fields += [(name, np.bool_) for name in flags]
    return np.dtype(fields, align=True)


ITEMS = registers(
    arrays={
        "beats": (RING,),  # read: whether it was fetch's, whether it ends its burst
        "load_runs": (RING, 4),  # beats, skip, end, buffer
        "load_jobs": (RING,),  # instructions
        "freed_at": (RING,),  # units of weights: when they are free
        "patches_at": (2,),  # chunks of patches, and of kernels: when they are in their rings
        "kernels_at": (2,),
        "computed_at": (RING,),  # CONVs under way: when their last sums are there
        "drained_at": (RING,),  # words under way: when they are there
        "strips": (RING, 2),  # when their words may be read, words
        "store_runs": (RING, 2),  # units skipped, words
        "bursts": (RING,),  # beats of the bursts whose data leaves
        "ends_store": (RING,),  # whether a burst whose answer is awaited is the last of its STORE
        "ar": (RING, 3),  # whether it is fetch's, beats, when its data may come
        "aw": (RING,),  # beats
        "b": (RING,),  # when it may come
        # For each buffer: bytes of the unit that its words and beats share; the other two in units.
        "unit": (len(Buffer),),
        "word": (len(Buffer),),
        "filled": (len(Buffer),),
    }
)
"""The contents of queues and unpackers: everything that is found by an index.

They are separate from the registers, so that the compiler can keep those where it likes.
"""

PUSHED, POPPED, READY = range(3)
QUEUE = (3,)
"""Registers of a queue: items pushed and popped since the start; its output holds one."""

STATE, ROW, RUNS_LEFT, PLANES_LEFT, ADDRESS, PLANE_ADDRESS, BEATS, SKIP, END, BASE, LAST = range(11)
WALKER = (11,)
"""Registers of a walker: what is left of its region, and from BEATS on the run at hand: beats,
bytes of the first beat before it, bytes of the last beat with it, address, whether it is the
region's last."""

IDLE, SIZE, SHAPE, RUN = range(4)
"""States of a walker."""

ACTIVE, LEFT, NEXT, IS_LAST = range(4)
SPLITTER = (4,)
"""Registers of a splitter: beats left of its run, their address in beats, whether it is the last
one of its region."""

_ADDR, _RUN_WORDS, _RUNS, _RUN_PITCH, _PLANES, _PLANE_PITCH, _WORD_BYTES = (
    COLUMNS.index(name)
    for name in ("addr", "run_words", "runs", "run_pitch", "planes", "plane_pitch", "word_bytes")
)


@compiled
def queue_free(queue, depth):
    """Return whether a queue of `depth` items takes one in this cycle."""
    if depth == 1:  # a register
        return queue[READY] == 0
    return queue[PUSHED] - queue[POPPED] - queue[READY] != depth - 1


@compiled
def queue_step(queue, push, take, depth=2):
    """Move a queue one cycle on; `push` only if it is free, `take` whether the reader is ready."""
    if depth == 1:
        if queue[READY] != 0 and take:
            queue[POPPED] += 1
            queue[READY] = 0
        if push:
            queue[PUSHED] += 1
            queue[READY] = 1
        return
    inner = queue[PUSHED] - queue[POPPED] - queue[READY]
    move = inner != 0 and (queue[READY] == 0 or take)
    if queue[READY] != 0 and take:
        queue[POPPED] += 1
    if move:
        queue[READY] = 1
    elif take:
        queue[READY] = 0
    if push:
        queue[PUSHED] += 1


@compiled
def walk_step(walker, table, accept, row, taken, bus):
    """Move a region's walker one cycle on.

    Parameters
    ----------
    walker : row of the registers WALKER
    table : ndarray of int64, shape (instructions, len(COLUMNS))
    accept : bool
        The region of instruction `row` is accepted.
    taken : bool
        The run is.
    bus : int
        Bytes of a beat.
    """
    state = walker[STATE]
    if state == IDLE:
        if accept:
            walker[STATE] = SIZE
            walker[ROW] = row
            walker[RUNS_LEFT] = table[row, _RUNS] - 1
            walker[PLANES_LEFT] = table[row, _PLANES] - 1
            walker[ADDRESS] = table[row, _ADDR]
            walker[PLANE_ADDRESS] = table[row, _ADDR]
    elif state == SIZE:
        walker[STATE] = SHAPE
    elif state == SHAPE:
        index = walker[ROW]
        skip = walker[ADDRESS] % bus
        end = table[index, _RUN_WORDS] * table[index, _WORD_BYTES] + skip
        walker[BEATS] = (end + bus - 1) // bus
        walker[SKIP] = skip
        walker[END] = (end - 1) % bus + 1
        walker[BASE] = walker[ADDRESS] - skip
        walker[LAST] = walker[RUNS_LEFT] == 0 and walker[PLANES_LEFT] == 0
        walker[STATE] = RUN
    elif taken:
        index = walker[ROW]
        walker[STATE] = SHAPE
        if walker[RUNS_LEFT] != 0:
            walker[RUNS_LEFT] -= 1
            walker[ADDRESS] += table[index, _RUN_PITCH]
        elif walker[PLANES_LEFT] != 0:
            walker[PLANES_LEFT] -= 1
            walker[RUNS_LEFT] = table[index, _RUNS] - 1
            walker[PLANE_ADDRESS] += table[index, _PLANE_PITCH]
            walker[ADDRESS] = walker[PLANE_ADDRESS]
        else:
            walker[STATE] = IDLE


@compiled
def burst_beats(splitter, longest):
    """Return the beats of the burst that a splitter offers; it ends at multiples of the longest.

    `longest` is a power of two.
    """
    reach = longest - (splitter[NEXT] & (longest - 1))
    return min(splitter[LEFT], reach)


@compiled
def run_taken(walker, splitter, asked, beats):
    """Return whether a splitter, whose burst of `beats` is `asked` for, takes the walker's run."""
    return walker[STATE] == RUN and (splitter[ACTIVE] == 0 or (asked and beats == splitter[LEFT]))


@compiled
def split_step(splitter, bus, asked, beats, load, total, address, last):
    """Move a splitter one cycle on.

    Parameters
    ----------
    splitter : row of the registers SPLITTER
    bus : int
        Bytes of a beat.
    asked : bool
        Its burst of `beats` leaves.
    load : bool
        It takes a run of `total` beats from `address` on, the region's `last` one or not.
    """
    if asked:
        if beats == splitter[LEFT]:
            splitter[ACTIVE] = 0
        splitter[LEFT] -= beats
        splitter[NEXT] += beats
    if load:
        splitter[ACTIVE] = 1
        splitter[LEFT] = total
        splitter[NEXT] = address // bus
        splitter[IS_LAST] = last
