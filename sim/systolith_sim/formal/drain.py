"""Rules of the drain: no sum is read without room for its word, and each word gets there."""

from typing import Any

from amaranth.hdl import Assert, Module, Mux, Shape, Signal
from amaranth.lib import data

from systolith_hw.primitives.delay import delay
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.timing import DRAIN_WORDS, drain_latency
from systolith_hw.store.drain import Drain
from systolith_hw.store.lanes import PostLanes, drain_flags
from systolith_sim.formal.prove import Specification
from systolith_sim.formal.queue import QueueView

__all__ = ["DrainSpecification"]


class DrainSpecification(Specification):
    """The rules of the drain's room, for any STOREs and whoever takes the words.

    - The queue takes each word in the cycle in which it comes: nothing else could hold it.
    - Words that were begun and have not left are never more than the queue holds.
    - While there is room, a sum is read in every cycle of a STORE: no room is lost.
    - Between two STOREs each word that was begun is in the queue.
    - The word of a STORE's last sum is marked, and no other.

    It is not for configurations with ``winograd``.

    Parameters
    ----------
    dut : Drain
    config : AcceleratorConfig
        Of the same.
    inside : bool
        Whether to assert also what the induction needs. The rules themselves look inside, too.
    """

    DEPTH = 2

    seen_comes: Any
    seen_last: Any
    seen_taken: Any
    seen_reads: Any
    seen_first: Any
    seen_room: Any
    seen_has_room: Any
    seen_settle: Any
    seen_ends: Any

    def __init__(self, dut: Drain, config: AcceleratorConfig, *, inside: bool = True) -> None:
        if config.winograd:
            raise ValueError("the drain's proof is for configurations without winograd")
        self.dut = dut
        self.latency = drain_latency(config)
        self.flags = drain_flags(config)
        word = config.block * 8 + 1
        self.queue = QueueView("dut.queue", word, DRAIN_WORDS, words=False)
        wires = {
            "comes": ("queue.i__valid", 1),
            "last": ("ends", 1),
            "taken": ("queue.i__ready", 1),
            "reads": ("active", 1),
            "first": ("word_first", 1),
        }
        probes = {f"seen_{name}": (f"dut.{wire}", bits) for name, (wire, bits) in wires.items()}
        probes |= self.queue.probes
        if inside:
            probes |= {
                "seen_room": ("dut.room", DRAIN_WORDS.bit_length()),
                "seen_has_room": ("dut.has_room", 1),
                "seen_settle": ("dut.settle", (self.latency + 1).bit_length()),
            }
            # The flags of a sum, and whether there are some, by the cycles since it was read.
            bits, stages = Shape.cast(self.flags).width, PostLanes.latency(config)
            places = [f"flags_{stage}" for stage in range(stages - 2)]
            places += ["flags_of_maxima_0", "flags_of_word_0"]
            probes["seen_flags_1"] = ("dut.flags", bits)
            for stage, place in enumerate(places):
                probes[f"seen_flags_{stage + 2}"] = (f"dut.lanes.{place}", bits)
                probes[f"seen_valid_{stage + 2}"] = (f"dut.lanes.arrives_{stage}", 1)
        super().__init__(probes=probes)
        self.inside = inside

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut = self.dut
        self.place(m, dut)
        self.claimed = Signal(range(DRAIN_WORDS + 2))
        begins = dut.busy & self.seen_first
        m.d.sync += self.claimed.eq(self.claimed + begins - (dut.word.valid & dut.word.ready))
        # Whether the last sum was read so many cycles ago; `drained` comes after one.
        self.ended = {1: dut.drained}
        for age in range(2, self.latency + 1):
            self.ended[age] = delay(m, self.ended[age - 1], 1, f"ended_{age}", reset=True)
        level = self.queue.level(self)
        m.d.comb += [
            Assert(~self.seen_comes | self.seen_taken, "the queue takes a word that comes"),
            Assert(self.claimed <= DRAIN_WORDS, "no more words are begun than there is room for"),
            Assert(
                ~self.seen_reads | dut.busy | (self.claimed == DRAIN_WORDS),
                "sums are read while there is room",
            ),
            Assert(dut.active | (self.claimed == level), "between STOREs all words are there"),
            Assert(
                self.ended[self.latency] == (self.seen_comes & self.seen_last), "the last is marked"
            ),
        ]
        if self.inside:
            self._judge_inside(m)
        return m

    def _judge_inside(self, m: Module) -> None:
        dut, settle, latency = self.dut, self.seen_settle, self.latency
        words: list[Any] = [self.seen_reads & ~self.seen_first]
        sums: list[Any] = [0]
        for age in range(1, latency + 1):
            flags: Any = data.View(self.flags, getattr(self, f"seen_flags_{age}"))
            valid = getattr(self, f"seen_valid_{age}") if age > 1 else flags.valid
            sums.append(valid)
            words.append(valid & flags.last & flags.word_last)
        under_way: Any = sum(Mux(word, 1, 0) for word in words)
        level = self.queue.level(self)
        states = ~dut.active + self.seen_reads + dut.drained + (settle != 0)
        m.d.comb += [
            *self.queue.invariants(self),
            Assert(self.seen_room + self.claimed == DRAIN_WORDS, "the room is known"),
            Assert(self.seen_has_room == (self.seen_room != 0), "that there is room is known"),
            Assert(self.claimed == level + under_way, "words are under way or in the queue"),
            Assert(self.seen_comes == words[latency], "a word comes from the last stage"),
            Assert(states == 1, "a STORE is in one state"),
            Assert(settle <= latency + 1, "the pipeline empties in time"),
            Assert(~dut.drained | words[1], "the last sum ends a word"),
            Assert((settle != 3) | self.seen_last, "the mark comes in time"),
            Assert(~self.seen_comes | (self.seen_last == (settle == 3)), "no other is marked"),
        ]
        for age in range(1, latency + 1):
            left = latency + 3 - age  # cycles to settle when the last sum has this age
            late = dut.active & ((settle == 0) | (settle >= left))
            m.d.comb += Assert(~sums[age] | late, "between STOREs no sum is under way")
            if age > 1:
                m.d.comb += [
                    Assert(self.ended[age] == (settle == left), "the end is known"),
                    Assert((settle != left) | words[age], "the last sum is under way"),
                ]
