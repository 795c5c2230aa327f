"""The burst splitter is proved to cut runs without gaps; broken ones have counterexamples."""

import pytest

from systolith_hw.bus import bursts
from systolith_hw.bus.bursts import BurstSplitter
from systolith_sim.formal.bursts import BurstSplitterSpecification
from systolith_sim.formal.prove import prove
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.mutants import mutant

SHAPES = [
    {"addr_width": 16, "bus_bytes": 4, "burst_beats": 1},
    {"addr_width": 24, "bus_bytes": 4, "burst_beats": 2},
    {"addr_width": 32, "bus_bytes": 8, "burst_beats": 4},
    {"addr_width": 33, "bus_bytes": 16, "burst_beats": 256, "out_depth": 2048},
    {"addr_width": 48, "bus_bytes": 64, "burst_beats": 64, "out_depth": 2048},
]


@pytest.mark.requirement("AXI-2", "DAT-1")
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: str(shape["burst_beats"]))
def test_the_rules_hold_in_every_cycle(shape):
    config = small_config(**shape)
    specification = BurstSplitterSpecification(BurstSplitter(config), config)
    verdict = prove(specification, specification.DEPTH)
    assert verdict.proved, verdict


MUTANTS = {
    "a multiple is crossed": ("reach.eq(longest - place)", "reach.eq(longest)"),
    "a burst too long": (
        "length.eq(Mux(whole, longest - 1, rest - 1))",
        "length.eq(Mux(whole, longest - 1, rest))",
    ),
    "a burst too short": ("rest[longest.bit_length() - 1 :]", "rest[longest.bit_length() :]"),
    "one more after the last": ("final.eq(_at_most(longest, rest, 0))", "final.eq(rest == 0)"),
    "beats twice": ("rest.eq(self.run.p.beats - reach)", "rest.eq(self.run.p.beats)"),
    "beats forgotten": ("rest.eq(rest - longest)", "rest.eq(rest - beats - 1)"),
    "a gap": ("addr.eq(addr + (beats << shift))", "addr.eq(addr + (longest << shift))"),
    "a run lost": ("~active | (taken & final)", "~active | final"),
    "a burst withdrawn": (
        "with m.If(self.run.ready):\n            m.d.sync += [\n",
        "with m.If(self.run.ready | ~self.burst.ready):\n            m.d.sync += [\n",
    ),
    "each burst is marked": ("final & last", "last"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_splitter_that_breaks_a_rule_has_a_counterexample(name):
    config = small_config(addr_width=16, bus_bytes=4, burst_beats=4)
    broken = mutant(bursts, MUTANTS[name]).BurstSplitter(config)
    verdict = prove(BurstSplitterSpecification(broken, config, inside=False), depth=8)
    print(verdict)
    assert not verdict.base
