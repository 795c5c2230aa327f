"""Room in the buffers, and the order of LOADs, CONVs and STOREs."""

import numpy as np
import pytest

from systolith_host.compiler.schedule.order import NoRoomError, allocate, count_cycles, simulate
from systolith_host.compiler.schedule.tables import (
    ADDRESS,
    AFTER,
    ITEM_COLUMNS,
    LAST,
    WORDS,
    Tables,
)
from systolith_hw.spec.isa import Buffer, Opcode
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import PRESETS

TINY = PRESETS["tiny"]


def tables_of(spans, words, cycles=100):
    """One CONV a tile, each with activations of its own: `spans` are first and last uses."""
    count = len(spans)
    last = spans[-1][1]
    items = np.zeros((count + 2, ITEM_COLUMNS), np.int64)
    for row, (first, end) in enumerate([*spans, (0, last), (0, last)]):
        size = words if row < count else 4
        items[row] = (size, 4 * size, 1, 1, first, end, 0, -1)
    bounds = np.array([(0, count), (count, count + 1), (count + 1, count + 2)])
    steps = np.zeros((last + 1, 6), np.int64)
    stores = np.zeros((last + 1, 8), np.int64)
    for number in range(last + 1):
        act = next(row for row, (first, end) in enumerate(spans) if first <= number <= end)
        steps[number] = (number, act, count, cycles, 1, 0)
        stores[number, :4] = (number, count + 1, 20, 64)
    return Tables(items, bounds, steps, stores)


def test_items_follow_each_other_in_a_ring():
    tables = tables_of([(n, n) for n in range(5)], 800)
    allocate(tables, TINY)
    acts = tables.items_of(Buffer.ACT)
    assert acts[:, ADDRESS].tolist() == [0, 800, 0, 800, 0]
    assert acts[:, AFTER].tolist() == [-1, -1, 0, 1, 2]


def test_what_is_replaced_in_part_is_waited_for_by_all_that_replace_it():
    tables = tables_of([(0, 0), (1, 1), (2, 2), (3, 3)], 600)
    acts = tables.items_of(Buffer.ACT)
    acts[:, WORDS] = (1500, 500, 800, 600)
    allocate(tables, TINY)
    assert acts[:, ADDRESS].tolist() == [0, 1500, 0, 800]
    # The fourth takes the room that the first has left behind the third.
    assert acts[:, AFTER].tolist() == [-1, -1, 0, 0]


def test_an_item_that_is_still_needed_is_not_replaced():
    tables = tables_of([(0, 3), (4, 4)], 1500)
    allocate(tables, TINY)
    tables.items_of(Buffer.ACT)[0, LAST] = 4
    with pytest.raises(NoRoomError):
        allocate(tables, TINY)
    with pytest.raises(NoRoomError):
        allocate(tables_of([(0, 0)], 5000), TINY)


def test_the_order_respects_every_dependency_and_engine():
    tables = tables_of([(n, n) for n in range(12)], 700)
    allocate(tables, TINY)
    order, cycles = simulate(tables, TINY, Memory(bytes_per_cycle=8))
    assert cycles == count_cycles(tables, TINY, Memory(bytes_per_cycle=8))
    loaded: set[int] = set()
    computed = drained = 0
    for opcode, row in order:
        if opcode == Opcode.LOAD:
            param = row >= tables.bounds[Buffer.PARAM, 0]
            assert tables.items[row, AFTER] < (drained if param else computed)
            loaded.add(row)
        elif opcode == Opcode.CONV:
            tile, act, weight, *_ = tables.steps[row]
            assert {act, weight} <= loaded
            assert tile == row == computed
            assert tile < drained + 2
            computed += 1
        else:
            step, param, *_ = tables.stores[row]
            assert step < computed
            assert param in loaded
            assert row == drained
            drained += 1
    assert computed == drained == 12
    assert len(order) == tables.instructions == 12 + 12 + 14
    # 700 words per LOAD, one per cycle, and only the CONVs are hidden.
    assert 12 * 700 < cycles < 12 * 700 + 1000


def test_loads_stand_before_the_convs_that_they_hide_behind():
    tables = tables_of([(n, n) for n in range(12)], 500, cycles=5000)
    allocate(tables, TINY)
    order, cycles = simulate(tables, TINY, Memory(bytes_per_cycle=8))
    assert cycles < 12 * 5000 + 1500
    # The LOADs that fit the queue stand before the first CONV.
    opcodes = [opcode for opcode, _ in order]
    assert opcodes.index(Opcode.CONV) >= TINY.queue_depth - 1
