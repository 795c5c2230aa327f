"""Records of the replay's parts, and whole replays of a few instructions."""

from types import SimpleNamespace

import numpy as np
import pytest

from systolith_hw.spec.isa import Buffer, Instruction, Opcode
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import PRESETS
from systolith_hw.spec.registers import ENGINE_STATES
from systolith_sim.replay.facts import make_facts
from systolith_sim.replay.kernel import COUNTS, replay
from systolith_sim.replay.table import make_table

CONFIG = PRESETS["tiny"]
ADDRESS = 4096
"""Of the instructions."""


def make_record(layout, **values):
    made = np.zeros(1, layout).view(np.recarray)[0]
    for name, value in values.items():
        setattr(made, name, value)
    return made


@pytest.fixture
def record():
    """Return what makes the registers of a part, all zero but for those given."""
    return make_record


@pytest.fixture
def facts():
    """Return what makes the facts of `count` instructions, with a memory as given."""

    def made(count=1, **memory):
        return make_facts(CONFIG, Memory(**memory), ADDRESS, count, 100_000).view(np.recarray)[0]

    return made


def load(buffer, address, words, **fields):
    region = {"addr": address, "run_words": words, "runs": 1, "planes": 1}
    shape = {"rows": 1, "pixels": words} if buffer == Buffer.ACT else {}
    return Instruction(Opcode.LOAD, {"buffer": buffer, **region, **shape, **fields})


def conv(pixels, passes=1, **fields):
    levels = dict.fromkeys([f"{level}_count" for level in "xynsrc"], 1)
    return Instruction(
        Opcode.CONV, {**levels, "x_count": pixels, "c_count": passes, "x_step": 1, **fields}
    )


def store(address, words, **fields):
    levels = {f"{level}_count": 1 for level in ("dx", "dy", "x", "y", "n")}
    region = {"addr": address, "run_words": words, "runs": 1, "planes": 1, "blocks": 1}
    return Instruction(Opcode.STORE, {**levels, "x_count": words, "low": -128, **region, **fields})


@pytest.fixture
def made():
    """Return what makes a LOAD, a CONV and a STORE."""
    return SimpleNamespace(load=load, conv=conv, store=store)


def replayed(*instructions, interval=0, limit=100_000, **memory):
    table = make_table(instructions, CONFIG, ADDRESS)
    told = make_facts(CONFIG, Memory(**memory), ADDRESS, len(table.rows), limit)
    done = replay(table, told, False, interval, 1000)
    counts = dict(zip(COUNTS, map(int, done.counts), strict=True))
    for engine, states in ENGINE_STATES.items():
        assert sum(counts[f"{engine.name} {state}"] for state in states) == counts["cycles"]
    return SimpleNamespace(counts=counts, times=done.times, samples=done.samples, table=table)


@pytest.fixture
def run():
    """Return what replays instructions on the tiny accelerator."""
    return replayed
