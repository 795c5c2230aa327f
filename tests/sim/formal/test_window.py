"""Short legal programs end with the real queues and token gates; broken ones have deadlocks."""

import os

import pytest

from systolith_hw.stream import deal, gate, queue
from systolith_sim.formal.prove import prove
from systolith_sim.formal.window import WindowSpecification
from systolith_sim.testing.mutants import mutant

MORE = os.environ.get("SYSTOLITH_PROOFS_MORE")
"""Longer programs, too: `make formal` sets it."""
SHAPES = [(3, 1, 2), (4, 1, 1), *([(4, 2, 2), (5, 1, 1)] if MORE else [])]
"""Instructions, depth of the queues, and longest latency of an engine."""


@pytest.mark.requirement("ISA-4")
@pytest.mark.parametrize(("length", "depth", "latency"), SHAPES)
def test_every_program_ends(length, depth, latency):
    specification = WindowSpecification(length, depth, latency)
    verdict = prove(specification, specification.DEPTH, induct=False)
    assert verdict.base, verdict


MUTANTS = {
    "a token too many": (gate, "TokenGate", ">= held[field]", "> held[field]"),
    "a count that has gone on": (gate, "TokenGate", ">= held[field]", "== held[field]"),
    "an instruction held for ever": (
        gate,
        "TokenGate",
        "with m.If(self.o.valid & self.o.ready):",
        "with m.If(0):",
    ),
    "a queue that stays full": (
        queue,
        "Queue",
        "payload.eq(self.i.p)]\n        with m.Elif(self.o.ready)",
        "payload.eq(self.i.p)]\n        with m.Elif(0)",
    ),
    "a CONV that one gate never gets": (deal, "deal", "eq(~source.ready & taken)", "eq(taken)"),
    "a CONV that both gates get at once": (
        deal,
        "deal",
        "given[name] | (valid & ready)",
        "reduce(and_, (t.ready for t in takers.values())) & valid",
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_part_that_is_broken_lets_programs_wait_for_ever(name):
    module, part, old, new = MUTANTS[name]
    parts = {part: getattr(mutant(module, (old, new)), part)}
    specification = WindowSpecification(3, 1, 1, parts)
    verdict = prove(specification, specification.DEPTH, induct=False)
    print(verdict)
    assert verdict.failed == ("the program ends",)


def test_a_program_that_waits_for_a_later_instruction_does_not_end():
    specification = WindowSpecification(2, 1, 1, later=1)
    verdict = prove(specification, specification.DEPTH, induct=False)
    assert verdict.failed == ("the program ends",)
