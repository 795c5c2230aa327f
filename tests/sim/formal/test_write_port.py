"""Write ports that break the rules of W, or lose or double bursts, have counterexamples."""

import pytest

from systolith_hw.bus import write_port
from systolith_sim.formal.prove import prove
from systolith_sim.formal.write_port import WriteDataSpecification, WriteOrderSpecification
from systolith_sim.testing.configs import port_config
from systolith_sim.testing.mutants import mutant

RULES = {item.__name__: item for item in (WriteDataSpecification, WriteOrderSpecification)}
MUTANTS = {
    "WriteDataSpecification": {
        "WLAST a beat late": ("sent == lengths.o.p)", "sent == lengths.o.p + 1)"),
        "W pauses": ("(unclaimed > issue.held.length)", "(unclaimed != 0)"),
        "a beat claimed twice": ("issue.held.length + 1, 0)", "issue.held.length, 0)"),
        "one too many outstanding": ("(outstanding != config.outstanding_writes)", "1"),
        "a beat before its address": ("lengths.o.valid & buffer.o.valid", "buffer.o.valid"),
        "a beat lost": ("lengths.o.valid & bus.wready", "bus.wready"),
        "strobes of all bytes": ("bus.wstrb.eq(buffer.o.p.strb)", "bus.wstrb.eq(~0)"),
        "quiet too early": ("(outstanding == 0) & issue.idle", "issue.idle"),
        "rest too early": ("buffer.empty & lengths.empty", "lengths.empty"),
        "a false accusation": ("(sent_bursts == 0)", "(sent_bursts == 1)"),
    },
    "WriteOrderSpecification": {
        "all bursts marked": ("answers.o.valid & answers.o.p", "answers.o.valid"),
        "a burst lost": ("self.burst.ready.eq(~early_valid)", "self.burst.ready.eq(1)"),
        "a burst twice": ("m.Elif(issue.burst.ready)", "m.Elif(issue.burst.ready & bus.awready)"),
        "the mark of the next burst": ("eq(issue.held.last)", "eq(early.last)"),
    },
}


@pytest.mark.parametrize(
    ("rules", "name"), [(rules, name) for rules, names in MUTANTS.items() for name in names]
)
def test_a_port_that_breaks_a_rule_has_a_counterexample(rules, name):
    config = port_config(1)
    broken = mutant(write_port, MUTANTS[rules][name]).WritePort(config)
    verdict = prove(RULES[rules](broken, config, inside=False), depth=12)
    print(verdict)
    assert not verdict.base
