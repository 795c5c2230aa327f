"""The item that is followed shows each loss, copy, change and overtaking, and nothing else."""

import pytest
from amaranth.asserts import AnySeq  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import Module, Signal

from systolith_sim.formal.prove import Specification, prove
from systolith_sim.formal.tracked import Tracked

WAYS = {
    "as it should be": None,
    "lost": "items leave as they came, in their order",
    "twice": "items leave as they came, in their order",
    "changed": "items leave as they came, in their order",
    "overtaken": "items leave as they came, in their order",
    "out of nothing": "no items leave that did not enter",
}


class Pair(Specification):
    """Two items enter, and leave later as a pair; `way` says what goes wrong."""

    DEPTH = 2
    seen_first: Signal
    seen_second: Signal
    seen_full: Signal

    def __init__(self, way, *, inside=True):
        self.way = way
        bits = {"first": 3, "second": 3, "full": 1}
        super().__init__(
            probes={f"seen_{name}": (name, width) for name, width in bits.items()}, inside=inside
        )

    def elaborate(self, platform):
        m = Module()
        first, second, full = Signal(3, name="first"), Signal(3, name="second"), Signal(name="full")
        enter, leave = AnySeq(1), AnySeq(1)
        items = [AnySeq(3), AnySeq(3)]
        with m.If(enter & ~full):
            m.d.sync += [first.eq(items[0]), second.eq(items[1]), full.eq(1)]
        with m.Elif(leave & full):
            m.d.sync += full.eq(0)
        gone = {
            "lost": [second, second],
            "twice": [first, first],
            "changed": [first, second ^ (first == 5)],
            "overtaken": [second, first],
        }.get(self.way, [first, second])
        leaves = leave & (full | (self.way == "out of nothing"))
        m.submodules.items = tracked = Tracked(
            [(enter & ~full, item) for item in items], [(leaves, item) for item in gone], 2
        )
        m.d.comb += tracked.rules("items")
        if self.inside:
            places = [(self.seen_full, self.seen_first), (self.seen_full, self.seen_second)]
            m.d.comb += tracked.invariants(places, "items")
        return m


def test_what_keeps_its_items_is_proved():
    assert prove(Pair("as it should be"), Pair.DEPTH).proved


@pytest.mark.parametrize("way", [way for way, message in WAYS.items() if message])
def test_what_does_not_has_a_counterexample(way):
    verdict = prove(Pair(way, inside=False), depth=5)
    assert not verdict.base
    assert verdict.failed == (WAYS[way],)
