"""No burst leaves the window or the memory: proved, and refuted of ports that are broken."""

import pytest

from systolith_hw.bus import issue, read_port, write_port
from systolith_hw.bus.read_port import ReadPort
from systolith_hw.bus.write_port import WritePort
from systolith_sim.formal.address import ReadAddressSpecification, WriteAddressSpecification
from systolith_sim.formal.prove import prove
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.mutants import mutant

PORTS = {
    "ReadPort": (ReadPort, ReadAddressSpecification, read_port),
    "WritePort": (WritePort, WriteAddressSpecification, write_port),
}
SHAPES = [
    {"addr_width": 16, "bus_bytes": 4, "burst_beats": 1},
    {"addr_width": 32, "bus_bytes": 8, "outstanding_reads": 3, "outstanding_writes": 1},
    {"addr_width": 33, "bus_bytes": 16, "burst_beats": 16, "out_depth": 128},
    {"addr_width": 48, "bus_bytes": 64, "burst_beats": 64, "out_depth": 2048},
]


@pytest.mark.requirement("AXI-2", "AXI-3")
@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: str(shape["addr_width"]))
def test_the_rules_hold_in_every_cycle(port, shape):
    config = small_config(**shape)
    component, specification, _ = PORTS[port]
    verdict = prove(specification(component(config), config), specification.DEPTH)
    assert verdict.proved, verdict


IMPORT = "from systolith_hw.bus.window import is_inside\n"
OUTSIDE = {
    "a burst ends with the memory",
    "a burst begins in the window",
    "a burst ends in the window",
}
MUTANTS = {
    "wraps at the end of memory": (
        IMPORT,
        "def is_inside(_, a, e, base, limit):\n    return (a >= base) & (e <= limit)\n",
        OUTSIDE,
    ),
    "takes a burst for its first byte": (
        IMPORT,
        "def is_inside(_, a, e, base, limit):\n    return (a >= base) & (a < limit)\n",
        OUTSIDE,
    ),
    "has no base": (
        IMPORT,
        "from systolith_hw.bus.window import is_inside as whole\n"
        "def is_inside(c, a, e, base, limit):\n    return whole(c, a, e, 0, limit)\n",
        {"a burst begins in the window"},
    ),
    "issues what is not inside": ("            & inside\n", "", OUTSIDE),
    "issues what was not checked": ("            & checked\n", "", OUTSIDE),
    "issues under halt": (
        "            & ~self.halt\n",
        "",
        {"a halted port offers nothing new"},
    ),
    "overwrites an address": (
        "            & ~self.address.valid\n",
        "",
        {"an address stays until it is taken"},
    ),
    "forgets an address": (
        "with m.Elif(self.address.ready):",
        "with m.Else():",
        {"an address stays until it is taken"},
    ),
    "adds a beat": (
        "address.length.eq(held.length)",
        "address.length.eq(held.length + 1)",
        {"a burst keeps to AXI4", *OUTSIDE},
    ),
}


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("name", MUTANTS)
def test_a_port_that_breaks_a_rule_has_a_counterexample(port, name, monkeypatch):
    config = small_config(addr_width=16, bus_bytes=4)
    component, specification, module = PORTS[port]
    old, new, messages = MUTANTS[name]
    monkeypatch.setattr(module, "BurstIssue", mutant(issue, (old, new)).BurstIssue)
    broken = component(config)
    verdict = prove(specification(broken, config, inside=False), depth=8)
    print(verdict)
    assert not verdict.base
    assert verdict.failed[0] in messages
