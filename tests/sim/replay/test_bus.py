"""The ports at the bus in the replay: whose burst goes first, how many, and when."""

import pytest

from systolith_hw.spec.presets import PRESETS
from systolith_sim.replay import bus
from systolith_sim.replay.fetch import FETCH
from systolith_sim.replay.load import LOAD
from systolith_sim.replay.memory import MEMORY
from systolith_sim.replay.parts import ITEMS
from systolith_sim.replay.store import STORE

CONFIG = PRESETS["tiny"]


@pytest.fixture
def read(record, facts):
    """Return what lets a read port run: the bursts that it asks for, as (fetch's, beats)."""

    def made(cycles, fetches, loads, answered=True):
        port, items, f = record(bus.READ_PORT), record(ITEMS), facts()
        fetch, load = record(FETCH), record(LOAD)
        memory = record(MEMORY, ar_taken=True)
        fetches, loads, asked, beats = list(fetches), list(loads), [], []
        bus.start_reads(port)
        for _ in range(cycles):
            bus.offer_reads(port, f, items)
            if port.ar_valid:
                asked.append((bool(port.ar_fetch), int(port.ar_beats)))
                beats += [beat == port.ar_beats - 1 for beat in range(port.ar_beats)]
            fetch.asked, load.asked = bool(fetches), bool(loads)
            fetch.beats, load.beats = (fetches or [0])[0], (loads or [0])[0]
            if fetches and not port.fetch_waits:
                fetches.pop(0)
            if loads and not port.load_waits:
                loads.pop(0)
            memory.beat_arrives = bool(answered and beats and port.r_ready)
            memory.r_ends = bool(memory.beat_arrives and beats.pop(0))
            load.pushed = bool(port.beat_valid)
            bus.step_reads(port, items, fetch, load, memory)
        return asked, bool(port.quiet)

    return made


def test_fetch_goes_before_load(read):
    asked, quiet = read(60, [2], [4])
    assert asked == [(True, 2), (False, 4)]
    assert quiet


def test_every_burst_is_asked_for_once_and_in_order(read):
    asked, quiet = read(300, [], [1, 16, 3, 8, 2])
    assert asked == [(False, beats) for beats in (1, 16, 3, 8, 2)]
    assert quiet


def test_without_answers_only_so_many_bursts_are_outstanding(read):
    asked, quiet = read(100, [], [4] * 20, answered=False)
    assert len(asked) == CONFIG.outstanding_reads
    assert not quiet


@pytest.mark.parametrize("first", [10, 25])
def test_a_write_is_asked_for_when_all_of_its_data_is_there(record, facts, first):
    port, items, f = record(bus.WRITE_PORT), record(ITEMS), facts()
    store, memory = record(STORE, beats=4, beats_last=True), record(MEMORY, w_ready=True)
    bus.start_writes(port)
    asked, sent, acknowledged, busy = [], [], [], []
    for now in range(1, 80):
        memory.b_valid = len(sent) == 4 and now == 70
        bus.offer_writes(port, f, items, memory)
        if port.aw_valid:
            asked.append(now)
        if port.w_sent:
            sent.append(now)
        if port.acknowledged:
            acknowledged.append(now)
        memory.aw_taken = bool(port.aw_valid)
        store.asked = now == 1
        store.packed = first <= now < first + 4
        bus.step_writes(port, items, store, memory)
        if not port.quiet:
            busy.append(now)
    # From the cycle after the burst came to that of its answer.
    assert busy == list(range(2, 71))
    # Counted, issued, and at the pins.
    assert asked == [first + 3 + 2]
    assert len(sent) == 4
    assert sent[0] > first + 3
    assert acknowledged == [71]
