"""Token gates are proved to wait for what they name; gates that do not have counterexamples."""

import pytest
from amaranth.lib import data

from systolith_hw.interface.layouts import COUNTER_BITS
from systolith_hw.spec.isa import FIELDS, Opcode, Role
from systolith_hw.stream import gate
from systolith_hw.stream.gate import TokenGate
from systolith_sim.formal.gate import TokenGateSpecification
from systolith_sim.formal.prove import prove
from systolith_sim.testing.mutants import mutant

TOKENS = {
    opcode.name: {field.name: field.counter for field in FIELDS[opcode] if field.role is Role.TOKEN}
    for opcode in Opcode
}


@pytest.mark.requirement("ISA-2")
@pytest.mark.parametrize("opcode", TOKENS)
def test_the_rules_hold_in_every_cycle(opcode):
    # Of the other fields, two bits stand for all.
    layout = data.StructLayout({**dict.fromkeys(TOKENS[opcode], COUNTER_BITS), "rest": 2})
    dut = TokenGate(layout, TOKENS[opcode])
    verdict = prove(TokenGateSpecification(dut), TokenGateSpecification.DEPTH)
    assert verdict.proved, verdict


MUTANTS = {
    "one token is enough": ("met.all()", "met.any()"),
    "a token too few": (">= held[field]", "> held[field]"),
    "a count that has gone on": (">= held[field]", "== held[field]"),
    "the tokens of the one before": ("full & (self.progress", "(self.progress"),
    "an instruction lost": ("self.i.ready.eq(~full)", "self.i.ready.eq(1)"),
    "an instruction twice": ("m.d.sync += full.eq(0)", "m.d.sync += full.eq(self.i.valid)"),
    "an instruction withdrawn": (
        "with m.If(self.o.valid & self.o.ready)",
        "with m.If(self.o.valid)",
    ),
    "waiting for nothing": ("~met & full.replicate", "met & full.replicate"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_gate_that_breaks_a_rule_has_a_counterexample(name):
    layout = data.StructLayout({"after_a": COUNTER_BITS, "after_b": COUNTER_BITS, "rest": 2})
    broken = mutant(gate, MUTANTS[name]).TokenGate(
        layout, {"after_a": "loaded", "after_b": "stored"}
    )
    verdict = prove(TokenGateSpecification(broken, inside=False), depth=8)
    print(verdict)
    assert not verdict.base
