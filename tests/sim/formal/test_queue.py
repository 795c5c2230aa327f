"""Queues are proved to pass each word once, in order; queues that do not have counterexamples."""

import pytest
from amaranth.hdl import signed
from amaranth.lib import data

from systolith_hw.stream import queue
from systolith_hw.stream.queue import Queue
from systolith_sim.formal.prove import prove
from systolith_sim.formal.queue import QueueSpecification
from systolith_sim.testing.mutants import mutant

LAYOUT = data.StructLayout({"value": signed(4), "flag": 1})
DEPTHS = [1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.requirement("DAT-1")
@pytest.mark.parametrize("depth", DEPTHS)
def test_the_rules_hold_in_every_cycle(depth):
    verdict = prove(QueueSpecification(Queue(LAYOUT, depth)), QueueSpecification.DEPTH)
    assert verdict.proved, verdict


MUTANTS = {
    "a word lost": (4, "write.en.eq(push)", "write.en.eq(push & ~move)"),
    "a word twice": (4, "(read, move))", "(read, move & ~push))"),
    "a word overwritten": (4, "room.eq(stored != depth - 1)", "room.eq(1)"),
    "a word of nothing": (4, "some.eq(stored != 1)", "some.eq(1)"),
    "a word withdrawn": (
        4,
        "self.o.valid.eq(1)\n        with m.Elif(self.o.ready)",
        "self.o.valid.eq(1)\n        with m.Else()",
    ),
    "a word changes while it waits": (4, "read.en.eq(move)", "read.en.eq(some)"),
    "addresses wrap too early": (4, "port.addr == depth - 1", "port.addr == depth - 2"),
    "a word forgotten inside": (4, "some.eq(stored != 1), room", "some.eq(0), room"),
    "full for ever": (4, "room.eq(1)]", "room.eq(room)]"),
    "the level without the last word": (4, "stored + self.o.valid", "stored"),
    "empty too early": (4, "~some & ~self.o.valid", "~some"),
    "one word over the other": (1, "self.i.ready.eq(~self.o.valid)", "self.i.ready.eq(1)"),
    "one word twice": (
        1,
        "payload.eq(self.i.p)]\n        with m.Elif(self.o.ready)",
        "payload.eq(self.i.p)]\n        with m.Elif(self.o.ready & self.i.valid)",
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_queue_that_breaks_a_rule_has_a_counterexample(name):
    depth, before, after = MUTANTS[name]
    broken = mutant(queue, (before, after)).Queue(LAYOUT, depth)
    verdict = prove(QueueSpecification(broken, inside=False), depth=10)
    print(verdict)
    assert not verdict.base
