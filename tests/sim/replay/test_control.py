"""The controller in the replay: tokens, and when a program has ended."""

import numpy as np
import pytest

from systolith_sim.replay import control
from systolith_sim.replay.bus import READ_PORT, WRITE_PORT
from systolith_sim.replay.compute import COMPUTE
from systolith_sim.replay.fetch import FETCH
from systolith_sim.replay.load import LOAD
from systolith_sim.replay.store import STORE

STORES = np.array([2, 5])
"""Instructions of the program that are STOREs."""


@pytest.fixture
def parts(record):
    return {
        "fetch": record(FETCH, fetched=6),
        "load": record(LOAD),
        "store": record(STORE),
        "read": record(READ_PORT, quiet=True),
        "write": record(WRITE_PORT, quiet=True),
    }


@pytest.fixture
def cycle(record, parts):
    compute = record(COMPUTE)

    def moved(tokens, f, now=1, computed=False):
        times = np.full((6, 4), -1, np.int64)
        compute.computed = computed
        control.offer(tokens, f, *parts.values())
        control.step(tokens, parts["fetch"], compute, STORES, times, now)
        return times

    return moved


def test_a_program_has_ended_when_all_has(record, facts, cycle):
    tokens = record(control.CONTROL)
    cycle(tokens, facts(count=6))
    assert tokens.complete


@pytest.mark.parametrize(
    ("part", "register", "value"),
    [("fetch", "fetched", 5), ("read", "quiet", False), ("write", "quiet", False)],
)
def test_it_has_not_while_a_part_is_busy(record, facts, cycle, parts, part, register, value):
    setattr(parts[part], register, value)
    tokens = record(control.CONTROL)
    cycle(tokens, facts(count=6))
    assert not tokens.complete


@pytest.mark.parametrize("count", ["loads", "convs", "stores"])
def test_it_has_not_while_an_instruction_is_under_way(record, facts, cycle, count):
    tokens = record(control.CONTROL, **{count: 1})
    cycle(tokens, facts(count=6))
    assert not tokens.complete
    assert tokens.stores_pending == (count == "stores")


def test_tokens_count_what_has_ended(record, facts, cycle, parts):
    tokens = record(control.CONTROL)
    parts["load"].done = parts["store"].drained = True
    cycle(tokens, facts(count=6), computed=True)
    assert (tokens.loaded, tokens.computed, tokens.drained, tokens.stored) == (1, 1, 1, 0)


def test_an_acknowledgement_is_that_of_the_next_store(record, facts, cycle, parts):
    tokens = record(control.CONTROL, stored=1)
    parts["write"].acknowledged = True
    times = cycle(tokens, facts(count=6), now=77)
    assert np.argwhere(times != -1).tolist() == [[5, 3]]
    assert times[5, 3] == 77
    assert tokens.stored == 2


def test_a_program_settles_first(record, facts, cycle):
    f, tokens = facts(count=6), record(control.CONTROL)
    control.start(tokens, f)
    cycles = 0
    while tokens.settle:
        cycle(tokens, f)
        cycles += 1
    assert cycles == f.settle > 0
