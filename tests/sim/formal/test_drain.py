"""The drain is proved to keep to its queue's room; broken ones have counterexamples."""

import pytest

from systolith_hw.store import drain
from systolith_hw.store.drain import Drain
from systolith_sim.formal import drain as rules
from systolith_sim.formal.drain import DrainSpecification
from systolith_sim.formal.prove import prove
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.mutants import mutant

SHAPES = [
    {"post_lanes": 4},
    {"post_lanes": 2, "functions": 1, "gather": 8},
    {"post_lanes": 1},
]
"""With one, two and four groups of lanes in a word."""


@pytest.mark.requirement("DAT-1")
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: str(shape["post_lanes"]))
def test_the_rules_hold_in_every_cycle(shape):
    config = small_config(**shape)
    verdict = prove(DrainSpecification(Drain(config), config), DrainSpecification.DEPTH)
    assert verdict.proved, verdict


def test_a_drain_with_winograd_is_refused():
    config = small_config(winograd=4, acc_depth=256)
    with pytest.raises(ValueError, match=r"^the drain's proof is for configurations without"):
        DrainSpecification(Drain(config), config)


SETTLES = "settle_cycles: Any = drain_latency(self.config) + 1"
MUTANTS = {
    "no limit": ("may_begin = has_room", "may_begin = 1"),
    "a word too many": ("has_room.eq(room != 1)", "has_room.eq(room != 0)"),
    "a word too few": ("has_room.eq(room != 1)", "has_room.eq(room != 2)"),
    "room for each sum": ("taken = issue & word_first", "taken = issue"),
    "room of words that stay": (
        "given = self.word.valid & self.word.ready",
        "given = self.word.ready",
    ),
    "all words marked": ("ends.eq(settle == 4)", "ends.eq(1)"),
    "the mark too early": ("ends.eq(settle == 4)", "ends.eq(settle == 5)"),
    "the next STORE too early": (SETTLES, SETTLES.replace("+ 1", "- 4")),
}
FEW = ("Queue\n\n__all__", "Queue\n\nDRAIN_WORDS = 4\n__all__")
"""A queue that is soon full."""


@pytest.mark.parametrize("name", MUTANTS)
def test_a_drain_that_breaks_a_rule_has_a_counterexample(name, monkeypatch):
    monkeypatch.setattr(rules, "DRAIN_WORDS", 4)
    config = small_config(post_lanes=2)
    broken = mutant(drain, FEW, MUTANTS[name]).Drain(config)
    verdict = prove(DrainSpecification(broken, config, inside=False), depth=30)
    print(verdict)
    assert not verdict.base
