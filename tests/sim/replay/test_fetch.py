"""Fetch in the replay: instructions ahead, each to the queue of its engine."""

import itertools

import numpy as np
import pytest

from systolith_hw.spec.isa import Opcode
from systolith_hw.spec.presets import PRESETS
from systolith_sim.replay import fetch
from systolith_sim.replay.bus import READ_PORT
from systolith_sim.replay.compute import COMPUTE
from systolith_sim.replay.load import LOAD
from systolith_sim.replay.parts import PUSHED
from systolith_sim.replay.store import STORE
from systolith_sim.replay.table import COLUMNS

CONFIG = PRESETS["tiny"]


@pytest.fixture
def feed(record, facts):
    """Return what gives fetch a beat whenever it takes one, and says what it sent and when."""

    def fed(opcodes, cycles, full=()):
        table = np.zeros((len(opcodes), len(COLUMNS)), np.int64)
        table[:, COLUMNS.index("opcode")] = opcodes
        s, f, read = record(fetch.FETCH), facts(count=len(opcodes)), record(READ_PORT)
        engines = {"load": record(LOAD), "conv": record(COMPUTE), "store": record(STORE)}
        for name in full:
            engines[name].instructions[PUSHED] = CONFIG.queue_depth - 1
        fetch.start(s, f)
        sent, asked, beats = [], [], 0
        for now in range(cycles):
            read.beat_valid = read.beat_fetch = beats > 0
            fetch.offer(s, f, table, read, *engines.values())
            for name in engines:
                if s[f"sent_{name}"]:
                    sent.append((now, name))
            if s.asked:
                asked.append(int(s.beats))
                beats += int(s.beats)
            beats -= int(s.pushed)
            fetch.step(s, f)
        return sent, asked, int(f.instruction_beats)

    return fed


def test_each_goes_to_its_engine_in_order(feed):
    opcodes = [Opcode.LOAD, Opcode.CONV, Opcode.STORE, Opcode.LOAD]
    sent, asked, beats = feed([int(opcode) for opcode in opcodes], 400)
    assert [name for _, name in sent] == ["load", "conv", "store", "load"]
    assert sum(asked) == 4 * beats


def test_an_instruction_takes_its_beats_and_two_cycles_of_its_own(feed):
    sent, _, beats = feed([int(Opcode.LOAD)] * 4, 400)
    steps = {after - before for (before, _), (after, _) in itertools.pairwise(sent)}
    assert steps == {beats + 2}


@pytest.mark.parametrize("full", ["load", "conv"])
def test_a_full_queue_holds_back_all_behind(feed, full):
    opcodes = [Opcode.STORE, Opcode.LOAD if full == "load" else Opcode.CONV, Opcode.STORE]
    sent, _, _ = feed([int(opcode) for opcode in opcodes], 400, full=[full])
    assert [name for _, name in sent] == ["store"]


def test_no_more_is_asked_for_than_there_is_room(feed):
    _, asked, beats = feed([int(Opcode.LOAD)] * 30, 400, full=["load"])
    # What is in its queue, in the instruction at hand, and what left the queue for it.
    assert sum(asked) <= 2 * CONFIG.burst_beats + beats + 1
    assert max(asked) <= CONFIG.burst_beats
