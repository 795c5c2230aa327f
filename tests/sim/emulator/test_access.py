"""What instructions of the emulator share: limits of their walks, and the ends of memories."""

import numpy as np
import pytest

from systolith_hw.spec.registers import Engine, ErrorCode
from systolith_sim.emulator.access import (
    MOST_STEPS,
    Access,
    Fault,
    TooManyStepsError,
    check_end,
    check_steps,
    walk,
)


def test_a_walk_has_an_axis_for_each_level_and_wraps_at_its_width():
    addresses = walk(250, [(3, 4), (2, 100 - 8)], 8)
    assert addresses.tolist() == [[250, 254, 2], [94, 98, 102]]


def test_a_walk_beyond_all_buffers_is_refused_before_it_takes_memory():
    check_steps([MOST_STEPS, 1])
    with pytest.raises(TooManyStepsError, match=f"takes {MOST_STEPS * 2} steps"):
        check_steps([MOST_STEPS, 2])
    with pytest.raises(TooManyStepsError):
        walk(0, [(1 << 40, 1)], 24)


def test_the_first_place_beyond_the_end_is_the_fault():
    check_end(np.array([[0, 7], [3, 1]]), 8, Engine.STORE)
    with pytest.raises(Fault) as raised:
        check_end(np.array([[0, 7], [9, 8]]), 8, Engine.STORE)
    fault = raised.value
    assert (fault.code, fault.engine, fault.info) == (ErrorCode.BUFFER, Engine.STORE, 9)
    assert str(fault) == "BUFFER error of STORE: 0x9"


def test_an_access_touches_nothing_unless_it_says_so():
    access = Access()
    assert (access.reads, access.writes, access.regions.shape) == ({}, {}, (0, 2))
    assert access.reads is not Access().reads
    assert access.written is None
    stored = Access(regions=np.array([[8, 10], [16, 17]])).wrote
    assert (stored.store, stored.places.tolist(), stored.writes) == ("memory", [8, 9, 16], 3)
