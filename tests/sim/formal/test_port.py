"""The ways of bursts and beats through both ports of the AXI4 master are proved."""

import pytest

from systolith_hw.bus.read_port import ReadPort
from systolith_hw.bus.write_port import WritePort
from systolith_sim.formal.prove import prove
from systolith_sim.formal.read_port import ReadCountSpecification, ReadDataSpecification
from systolith_sim.formal.write_port import WriteDataSpecification, WriteOrderSpecification
from systolith_sim.testing.configs import port_config

RULES = {
    ReadCountSpecification: ReadPort,
    ReadDataSpecification: ReadPort,
    WriteDataSpecification: WritePort,
    WriteOrderSpecification: WritePort,
}


@pytest.mark.requirement("AXI-4", "AXI-5", "DAT-1")
@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_the_rules_hold_in_every_cycle(rules, limit):
    config = port_config(limit)
    verdict = prove(rules(RULES[rules](config), config), rules.DEPTH)
    assert verdict.proved, verdict
