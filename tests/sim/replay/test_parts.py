"""Queues, walkers and splitters of the replay."""

import numpy as np
import pytest

from systolith_sim.replay.parts import (
    ACTIVE,
    BASE,
    BEATS,
    IDLE,
    IS_LAST,
    LAST,
    LEFT,
    NEXT,
    POPPED,
    PUSHED,
    QUEUE,
    READY,
    SPLITTER,
    STATE,
    WALKER,
    burst_beats,
    queue_free,
    queue_step,
    run_taken,
    split_step,
    walk_step,
)
from systolith_sim.replay.table import COLUMNS


@pytest.mark.parametrize("depth", [1, 2, 3, 8])
def test_a_queue_takes_as_many_items_as_it_is_deep(depth):
    queue = np.zeros(QUEUE, np.int64)
    for _ in range(4 * depth + 4):
        queue_step(queue, queue_free(queue, depth), False, depth)
    assert (queue[PUSHED], queue[POPPED]) == (depth, 0)


@pytest.mark.parametrize(("depth", "cycles"), [(1, 2), (2, 2), (3, 1), (8, 1)])
def test_a_queue_with_a_ready_reader_passes_an_item_every_so_many_cycles(depth, cycles):
    queue = np.zeros(QUEUE, np.int64)
    popped = []
    for _ in range(40):
        popped.append(int(queue[POPPED]))
        queue_step(queue, queue_free(queue, depth), True, depth)
    assert popped[-1] - popped[9] == 30 // cycles


def test_an_item_is_at_the_output_two_cycles_after_it_came():
    queue = np.zeros(QUEUE, np.int64)
    queue_step(queue, True, False, 4)
    assert queue[READY] == 0
    queue_step(queue, False, False, 4)
    assert queue[READY] == 1


def bursts(region, bus, longest):
    """Return the bursts of a region: first beat, beats, and whether it is the region's last."""
    table = np.zeros((1, len(COLUMNS)), np.int64)
    for name, value in region.items():
        table[0, COLUMNS.index(name)] = value
    walker, splitter = np.zeros(WALKER, np.int64), np.zeros(SPLITTER, np.int64)
    found = []
    for cycle in range(10_000):
        asked = splitter[ACTIVE] != 0
        beats = burst_beats(splitter, longest)
        if asked:
            last = splitter[IS_LAST] != 0 and beats == splitter[LEFT]
            found.append((int(splitter[NEXT]), int(beats), bool(last)))
        taken = run_taken(walker, splitter, asked, beats)
        run = (walker[BEATS], walker[BASE], walker[LAST])
        split_step(splitter, bus, asked, beats, taken, *run)
        walk_step(walker, table, cycle == 0, 0, taken, bus)
        if walker[STATE] == IDLE and not splitter[ACTIVE]:
            return found
    raise AssertionError("the region does not end")


@pytest.mark.parametrize("seed", range(8))
def test_bursts_are_the_beats_that_a_region_touches(seed):
    rng = np.random.default_rng(seed)
    bus, longest = int(rng.choice([4, 8, 16])), int(rng.choice([1, 4, 16]))
    names = ("addr", "run_words", "runs", "run_pitch", "planes", "plane_pitch", "word_bytes")
    region = dict(zip(names, map(int, rng.integers(1, [999, 40, 5, 300, 4, 900, 9])), strict=True))
    wanted = []
    for plane in range(region["planes"]):
        for run in range(region["runs"]):
            first = region["addr"] + plane * region["plane_pitch"] + run * region["run_pitch"]
            end = first + region["run_words"] * region["word_bytes"]
            beat = first // bus
            while beat * bus < end:
                reach = min((beat // longest + 1) * longest, -(-end // bus))
                wanted.append((beat, reach - beat))
                beat = reach
    found = bursts(region, bus, longest)
    assert [burst[:2] for burst in found] == wanted
    assert [burst[2] for burst in found] == [False] * (len(found) - 1) + [True]
