"""Room in the buffers, and the order of LOADs, CONVs and STOREs."""

import pytest

from systolith_host.compiler.schedule.order import NoRoomError, allocate, simulate
from systolith_host.compiler.schedule.work import Item, Step, Store, Work
from systolith_hw.spec.isa import Buffer
from systolith_hw.spec.presets import PRESETS

TINY = PRESETS["tiny"]


def item(buffer, words, first, last):
    load = {"runs": 1, "planes": 1, "dest": 0}
    return Item(buffer, words, words * 4, [load], first, last)


def work_of(spans, words, cycles=100):
    """One CONV a tile, each with activations of its own: `spans` are first and last uses."""
    work = Work()
    acts = [item(Buffer.ACT, words, first, last) for first, last in spans]
    weight = item(Buffer.WEIGHT, 4, 0, spans[-1][1])
    param = item(Buffer.PARAM, 4, 0, spans[-1][1])
    work.items = {Buffer.ACT: acts, Buffer.WEIGHT: [weight], Buffer.PARAM: [param]}
    for number in range(spans[-1][1] + 1):
        act = next(one for one in acts if one.first <= number <= one.last)
        work.sequence.append(Step(number, act, weight, 0, {}, cycles, True))
        work.sequence.append(Store(number, number, param, 0, {}, 20, 64))
    return work


def test_items_follow_each_other_in_a_ring():
    work = work_of([(n, n) for n in range(5)], 800)
    allocate(work, TINY)
    acts = work.items[Buffer.ACT]
    assert [one.address for one in acts] == [0, 800, 0, 800, 0]
    assert [one.after for one in acts] == [-1, -1, 0, 1, 2]


def test_what_is_replaced_in_part_is_waited_for_by_all_that_replace_it():
    work = work_of([(0, 0), (1, 1), (2, 2), (3, 3)], 600)
    acts = work.items[Buffer.ACT]
    acts[0].words = 1500
    for one, words in zip(acts, (1500, 500, 800, 600), strict=True):
        one.words = words
    allocate(work, TINY)
    assert [one.address for one in acts] == [0, 1500, 0, 800]
    # The fourth takes what the first has left behind the third.
    assert [one.after for one in acts] == [-1, -1, 0, 0]


def test_an_item_that_is_still_needed_is_not_replaced():
    work = work_of([(0, 3), (4, 4)], 1500)
    allocate(work, TINY)
    work.items[Buffer.ACT][0].last = 4
    with pytest.raises(NoRoomError):
        allocate(work, TINY)
    with pytest.raises(NoRoomError):
        allocate(work_of([(0, 0)], 5000), TINY)


def test_the_order_respects_every_dependency_and_engine():
    work = work_of([(n, n) for n in range(12)], 700)
    allocate(work, TINY)
    order, cycles = simulate(work, TINY, 8)
    seen: set[int] = set()
    computed = drained = 0
    for entry in order:
        if isinstance(entry, Item):
            assert entry.after < (drained if entry.buffer == Buffer.PARAM else computed)
        elif isinstance(entry, Step):
            assert {id(entry.act), id(entry.weight)} <= seen
            assert entry.tile == computed
            assert entry.tile < drained + 2
            computed += 1
        else:
            assert entry.step < computed
            drained += 1
        seen.add(id(entry))
    assert computed == drained == 12
    # 700 words a LOAD, one a cycle, and nothing hides but the CONVs.
    assert 12 * 700 < cycles < 12 * 700 + 1000


def test_loads_stand_before_the_convs_that_they_hide_behind():
    work = work_of([(n, n) for n in range(12)], 500, cycles=5000)
    allocate(work, TINY)
    order, cycles = simulate(work, TINY, 8)
    assert cycles < 12 * 5000 + 1500
    # As many LOADs as the queue takes stand before the first CONV.
    first = next(n for n, entry in enumerate(order) if isinstance(entry, Step))
    assert sum(isinstance(entry, Item) for entry in order[:first]) >= TINY.queue_depth - 1
