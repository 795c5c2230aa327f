"""What the replay is told: the configuration's numbers, the memory's, and the timing's."""

from dataclasses import replace

import pytest

from systolith_hw.spec import timing
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import PRESETS
from systolith_sim.replay.facts import FACTS, make_facts


def test_every_fact_is_given():
    config = replace(PRESETS["default"], gather=25088)
    facts = make_facts(config, Memory(turnaround=3), 64, 10, 1000)
    assert [name for name in FACTS.names or () if facts[name][0] == 0] == []


def test_a_rate_below_the_least_is_the_least():
    config = PRESETS["tiny"]
    facts = make_facts(config, Memory(bytes_per_cycle=1 / 256), 0, 1, 1)
    assert facts["memory_rate"][0] == 1
    assert make_facts(config, Memory(), 0, 1, 1)["memory_rate"] == facts["beat_cost"]


def test_a_queue_deeper_than_the_replay_keeps_is_refused(monkeypatch):
    monkeypatch.setattr(timing, "LOAD_RUNS", 129)
    with pytest.raises(ValueError, match=r"^load_runs must be at most 128 in the replay, not 129$"):
        make_facts(PRESETS["tiny"], Memory(), 0, 1, 1)
