"""Fetch is proved to keep to its room and to lose no beat; broken ones have counterexamples."""

import pytest

from systolith_hw.control import fetch
from systolith_hw.control.fetch import Fetch
from systolith_sim.formal.fetch import FetchOrderSpecification, FetchRoomSpecification
from systolith_sim.formal.prove import prove
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.mutants import mutant

SHAPES = [
    {"bus_bytes": 4, "burst_beats": 32, "addr_width": 16},
    {"bus_bytes": 8, "burst_beats": 4},
    {"bus_bytes": 16, "burst_beats": 4, "out_depth": 128, "gather": 8},
    {"bus_bytes": 64, "burst_beats": 1, "addr_width": 48, "out_depth": 2048},
]
RULES = {item.__name__: item for item in (FetchRoomSpecification, FetchOrderSpecification)}


@pytest.mark.requirement("ISA-2", "DAT-1")
@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: str(shape["bus_bytes"]))
def test_the_rules_hold_in_every_cycle(rules, shape):
    config = small_config(**shape)
    verdict = prove(RULES[rules](Fetch(config), config), RULES[rules].DEPTH)
    assert verdict.proved, verdict


MUTANTS = {
    "FetchRoomSpecification": {
        "a beat too many": ("(room > length)", "(room >= length)"),
        "the same room twice": ("(room > length) & ~asked", "(room > length)"),
        "room not taken": ("Mux(asked, length + 1, 0)", "Mux(asked, length, 0)"),
        "room made up": ("popped = queue.o.valid & queue.o.ready", "popped = queue.o.ready"),
        "room lost": ("room + popped - Mux", "room + (popped & ~asked) - Mux"),
        "a burst held up": ("(room > length)", "(room > length + 1)"),
        "a burst withdrawn": ("(room > length) & ~asked", "(room > length) & ~fits"),
    },
    "FetchOrderSpecification": {
        "a beat lost": (
            "word_valid.eq(queue.o.valid)",
            "word_valid.eq(queue.o.valid & ~word_valid)",
        ),
        "beats exchanged": (
            "Cat(raw[config.bus_bytes * 8 :], word)",
            "Cat(word, raw[: -config.bus_bytes * 8])",
        ),
        "an instruction twice": ("checked.eq(complete & ~sent)", "checked.eq(complete)"),
        "an instruction of too few beats": ("beat == beats - 1", "beat == beats - 2"),
        "an instruction for another engine": (
            "instruction.opcode == opcode.value",
            "instruction.opcode >= opcode.value",
        ),
        "fields of the one that follows": (
            "fields.as_value().eq(instruction.fields)",
            "fields.as_value().eq(following.fields)",
        ),
    },
}

LENIENT = (
    "from systolith_hw.spec.legal import rules\n",
    "def rules(opcode, config):\n    return ()\n",
)
"""Fewer illegal values, so that the solver soon has a legal instruction."""


@pytest.mark.parametrize(
    ("rules", "name"), [(rules, name) for rules, names in MUTANTS.items() for name in names]
)
def test_fetch_that_breaks_a_rule_has_a_counterexample(rules, name):
    config = small_config(bus_bytes=32, burst_beats=2, out_depth=512)
    broken = mutant(fetch, LENIENT, MUTANTS[rules][name]).Fetch(config)
    verdict = prove(RULES[rules](broken, config, inside=False), depth=20)
    print(verdict)
    assert not verdict.base
