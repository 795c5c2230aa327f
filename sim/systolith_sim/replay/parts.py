"""The small parts of the replay: queues, walkers, splitters, the tile writer, the memory.

Each works on a row of integers, its registers. What a part offers in a cycle is read from the
registers before anything of that cycle is written, as in hardware. The functions are compiled.
"""

from numba import njit

__all__ = [
    "PUSHED",
    "POPPED",
    "READY",
    "IDLE",
    "RUN",
    "SHAPE",
    "SIZE",
    "burst_beats",
    "queue_free",
    "queue_step",
    "split_step",
    "walk_step",
]

PUSHED, POPPED, READY = 0, 1, 2
"""Registers of a queue: items pushed and popped since the start; its output holds one."""

IDLE, SIZE, SHAPE, RUN = 0, 1, 2, 3
"""States of a walker."""


@njit(inline="always", cache=True)
def queue_free(queue, depth):
    """Return whether a queue of `depth` items takes one in this cycle."""
    if depth == 1:  # a register
        return queue[READY] == 0
    return queue[PUSHED] - queue[POPPED] - queue[READY] != depth - 1


@njit(inline="always", cache=True)
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


@njit(inline="always", cache=True)
def walk_step(walker, table, columns, accept, row, taken, bus):
    """Move a region's walker one cycle on.

    Parameters
    ----------
    walker : row of state, instruction, runs left, planes left, address, plane address, and of the
        run at hand: beats, skip, end, address, last
    columns : (addr, run_words, runs, run_pitch, planes, plane_pitch, word_bytes) in the table
    accept : bool
        The region of instruction `row` is accepted.
    taken : bool
        The run is.
    """
    addr, run_words, runs, run_pitch, planes, plane_pitch, word_bytes = columns
    state = walker[0]
    if state == IDLE:
        if accept:
            walker[0] = SIZE
            walker[1] = row
            walker[2] = table[row, runs] - 1
            walker[3] = table[row, planes] - 1
            walker[4] = table[row, addr]
            walker[5] = table[row, addr]
    elif state == SIZE:
        walker[0] = SHAPE
    elif state == SHAPE:
        index = walker[1]
        skip = walker[4] % bus
        end = table[index, run_words] * table[index, word_bytes] + skip
        walker[6] = (end + bus - 1) // bus
        walker[7] = skip
        walker[8] = (end - 1) % bus + 1
        walker[9] = walker[4] - skip
        walker[10] = walker[2] == 0 and walker[3] == 0
        walker[0] = RUN
    elif taken:
        index = walker[1]
        walker[0] = SHAPE
        if walker[2] != 0:
            walker[2] -= 1
            walker[4] += table[index, run_pitch]
        elif walker[3] != 0:
            walker[3] -= 1
            walker[2] = table[index, runs] - 1
            walker[5] += table[index, plane_pitch]
            walker[4] = walker[5]
        else:
            walker[0] = IDLE


@njit(inline="always", cache=True)
def burst_beats(splitter, longest, bus):
    """Return the beats of the burst that a splitter offers."""
    reach = longest - (splitter[2] // bus) % longest
    return min(splitter[1], reach)


@njit(inline="always", cache=True)
def split_step(splitter, longest, bus, taken, load, beats, addr, last):
    """Move a splitter (active, beats left, address, last) one cycle on."""
    if taken:
        count = burst_beats(splitter, longest, bus)
        final = count == splitter[1]
        splitter[1] -= count
        splitter[2] += count * bus
        if final:
            splitter[0] = 0
    if load:
        splitter[0] = 1
        splitter[1] = beats
        splitter[2] = addr
        splitter[3] = last
