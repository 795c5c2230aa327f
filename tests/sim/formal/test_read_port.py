"""Read ports that lose, double or mix up bursts or beats have counterexamples."""

import pytest

from systolith_hw.bus import read_port
from systolith_sim.formal.prove import prove
from systolith_sim.formal.read_port import ReadCountSpecification, ReadDataSpecification
from systolith_sim.testing.configs import port_config
from systolith_sim.testing.mutants import mutant

RULES = {item.__name__: item for item in (ReadCountSpecification, ReadDataSpecification)}
MUTANTS = {
    "ReadDataSpecification": {
        "readers exchanged": ("beats.o.p.id == AxiId.FETCH", "beats.o.p.id == AxiId.LOAD"),
        "a beat lost": (
            "Mux(is_fetch, self.fetch_beat.ready, self.load_beat.ready)",
            "(self.fetch_beat.ready | self.load_beat.ready)",
        ),
        "a beat for both": ("beats.o.valid & ~is_fetch & ~discard", "beats.o.valid & ~discard"),
        "an error of the other reader": ("error_fetch.eq(is_fetch)", "error_fetch.eq(~is_fetch)"),
        "an error of no beat": (
            "taken & (beats.o.p.resp != Response.OKAY)",
            "(beats.o.p.resp != Response.OKAY)",
        ),
        "a burst of the other reader": ("arid.eq(held_fetch)", "arid.eq(~held_fetch)"),
        "a burst lost": ("user.ready.eq(~waits[name])", "user.ready.eq(1)"),
        "a burst forgotten": ('waits["load"] & ~waits["fetch"]', 'waits["load"]'),
        "rest too early": ("self.rest.eq(beats.empty)", "self.rest.eq(1)"),
    },
    "ReadCountSpecification": {
        "one too many outstanding": (
            "issue.room.eq(outstanding != config.outstanding_reads)",
            "issue.room.eq(1)",
        ),
        "a burst counted down twice": ("(ended & (outstanding", "(taken & (outstanding"),
        "quiet too early": ("(outstanding == 0) & issue.idle", "issue.idle"),
    },
}


@pytest.mark.parametrize(
    ("rules", "name"), [(rules, name) for rules, names in MUTANTS.items() for name in names]
)
def test_a_port_that_breaks_a_rule_has_a_counterexample(rules, name):
    config = port_config(1)
    broken = mutant(read_port, MUTANTS[rules][name]).ReadPort(config)
    verdict = prove(RULES[rules](broken, config, inside=False), depth=12)
    print(verdict)
    assert not verdict.base
