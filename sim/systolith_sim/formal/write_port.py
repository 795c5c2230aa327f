"""Rules of the write port: what it puts on W, and that every burst is sent and answered once."""

from typing import Any

from amaranth.hdl import Assert, Assume, Cat, Module, Mux, Signal

from systolith_hw.bus.write_port import WritePort
from systolith_hw.spec.config import AcceleratorConfig
from systolith_sim.formal.port import PortSpecification
from systolith_sim.formal.queue import QueueView
from systolith_sim.formal.stream_contract import StreamContract
from systolith_sim.formal.tracked import Tracked

__all__ = ["WriteDataSpecification", "WriteOrderSpecification"]


class _WriteSpecification(PortSpecification):
    """What both specifications of the write port know: its queues, and a memory that obeys AXI4.

    A B comes in the cycle of the last beat or of the address of its burst, whichever is later, or
    after it; it carries the identifier of AW.
    """

    DEPTH = 2
    CHANNEL = "aw"
    STAGES = (("early_valid", "early"),)

    seen_unclaimed: Any
    seen_outstanding: Any
    seen_addressed: Any
    seen_sent_bursts: Any
    seen_answer: Any
    seen_stranger: Any
    seen_sent: Any

    def __init__(self, dut: WritePort, config: AcceleratorConfig, *, inside: bool = True) -> None:
        limit = config.outstanding_writes
        self.depth = config.out_bytes // config.bus_bytes
        self.buffer = QueueView("dut.buffer", config.bus_bytes * 9, self.depth)
        self.lengths = QueueView("dut.lengths", 8, limit + 1)
        self.answers = QueueView("dut.answers", 1, limit + 1)
        registers = {
            "unclaimed": self.depth.bit_length(),
            "outstanding": limit.bit_length(),
            "addressed": (limit + 1).bit_length(),
            "sent_bursts": (limit + 1).bit_length(),
            "answer": 1,
            "stranger": 1,
            "sent": 8,
        }
        queues = [self.buffer, self.lengths, self.answers]
        super().__init__(dut, config, registers, queues, inside=inside)

    def observe(self, m: Module) -> None:
        """Count what is open on the bus, and suppose that the memory keeps to AXI4."""
        super().observe(m)
        bus = self.dut.bus
        self.addressing = bus.awvalid & bus.awready
        self.sending = bus.wvalid & bus.wready
        self.answered = bus.bvalid & bus.bready
        # Bursts whose address was taken, and whose last beat was, of those without an answer.
        most = 2 * self.config.outstanding_writes + 2
        self.addressed, self.sent_bursts = Signal(range(most)), Signal(range(most))
        ending = self.sending & bus.wlast
        m.d.sync += [
            self.addressed.eq(self.addressed + self.addressing - self.answered),
            self.sent_bursts.eq(self.sent_bursts + ending - self.answered),
        ]
        both = (self.addressed + self.addressing != 0) & (self.sent_bursts + ending != 0)
        m.d.comb += [
            Assume(~bus.bvalid | both, "a B comes after its AW and its last W"),
            Assume(~bus.bvalid | (bus.bid == bus.awid), "a B has its AW's identifier"),
        ]
        # Bursts of which AW has been offered at least once, up to the cycle before.
        m.submodules.bursts = self.bursts = Tracked(
            [(self.fresh, bus.awlen)],
            [(ending, self._beats(m))],
            self.config.outstanding_writes + 1,
        )

    def _beats(self, m: Module) -> Signal:
        """Return the number of beats before this one in its burst."""
        self.beats = Signal(8)
        with m.If(self.sending):
            m.d.sync += self.beats.eq(Mux(self.dut.bus.wlast, 0, self.beats + 1))
        return self.beats

    def judge_inside(self, m: Module) -> None:
        """Assert what the induction needs of queues and counters."""
        bus, limit = self.dut.bus, self.config.outstanding_writes
        for queue in self.queues:
            m.d.comb += queue.invariants(self)
        lengths, answers = self.lengths.items(self), self.answers.items(self)
        # A length enters its queue in the cycle before its address is offered first.
        offered = [
            (there & ~(self.fresh & ~_any(lengths[number + 1 :])), length)
            for number, (there, length) in enumerate(lengths)
        ]
        front, length = lengths[0]
        claimed = sum(Mux(there, size + 1, 0) for there, size in lengths)
        words = sum(there for there, _ in self.buffer.items(self))
        m.d.comb += [
            *self.bursts.invariants(offered, "bursts"),
            Assert(self.seen_sent == self.beats, "sent beats are known"),
            Assert((self.beats == 0) | (front & (self.beats <= length)), "a burst is in order"),
            Assert(self.seen_unclaimed + claimed == words + self.beats, "beats are claimed once"),
            Assert(~self.fresh | _any(lengths[1:]), "a length enters before its address"),
            Assert(self.seen_outstanding == self.addressed + bus.awvalid, "bursts are counted"),
            Assert(
                self.bursts.level + self.fresh + self.sent_bursts == self.seen_outstanding,
                "each burst is to be sent or to be answered",
            ),
            Assert(sum(there for there, _ in answers) == self.seen_outstanding, "answers are due"),
            Assert(self.seen_outstanding <= limit, "no more are outstanding"),
            Assert(~self.seen_answer | ~self.seen_stranger, "no stranger answered"),
            Assert(self.seen_addressed == self.addressed + self.seen_answer, "AWs are counted"),
            Assert(self.seen_sent_bursts == self.sent_bursts + self.seen_answer, "Ws are counted"),
        ]


class WriteDataSpecification(_WriteSpecification):
    """The rules of W, for any memory that obeys AXI4; also under ``halt``.

    - Beats leave as they came, in their order, none lost or doubled.
    - An offered beat stays, unchanged, until it is taken, and W never pauses inside a burst.
    - The bursts on W have the lengths of those on AW, in their order; WLAST comes with the last
      beat. No burst begins on W before its address is offered.
    - No more bursts are outstanding than configured, and ``broken`` stays low.
    - ``quiet`` says that none was outstanding or offered a cycle ago, ``rest`` that no beat was
      inside.

    Parameters
    ----------
    dut : WritePort
    config : AcceleratorConfig
        Of the same.
    inside : bool
        Whether to assert also what holds inside of it, for the induction.
    """

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut, bus = self.dut, self.dut.bus
        self.observe(m)
        m.submodules.contract = contract = StreamContract(
            bus.wvalid, bus.wready, bus.wdata, bus.wstrb, bus.wlast
        )
        m.submodules.beats = beats = Tracked(
            [(dut.beat.valid & dut.beat.ready, dut.beat.p)],
            [(self.sending, Cat(bus.wdata, bus.wstrb))],
            self.depth,
        )
        empty = Signal(init=1)
        m.d.sync += empty.eq((beats.level == 0) & (self.bursts.level == 0))
        m.d.comb += [
            Assert(contract.kept, "a beat stays until it is taken"),
            *beats.rules("beats"),
            *self.bursts.rules("bursts"),
            Assert((self.beats == 0) | bus.wvalid, "W does not pause inside a burst"),
            Assert(~bus.wvalid | (self.bursts.level != 0), "no beat comes before its address"),
            Assert(~dut.broken, "a memory that obeys is not accused"),
            Assert(~dut.rest | empty, "rest is true"),
        ]
        self.judge_outstanding(m, self.addressed, self.config.outstanding_writes)
        if self.inside:
            self.judge_inside(m)
            m.d.comb += beats.invariants(self.buffer.items(self), "beats")
        return m


class WriteOrderSpecification(_WriteSpecification):
    """The rules of bursts and answers, for any memory that obeys AXI4.

    - Bursts are offered on AW as they came, in their order, none lost or doubled.
    - ``acknowledged`` comes in the cycle after the B of a burst that was marked, and of no other.

    This is for runs without ``halt`` and without bursts that are refused: those are dropped.

    Parameters
    ----------
    dut : WritePort
    config : AcceleratorConfig
        Of the same.
    inside : bool
        Whether to assert also what holds inside of it, for the induction.
    """

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut = self.dut
        self.observe(m)
        self.suppose_that_none_is_dropped(m)
        came = dut.burst.valid & dut.burst.ready
        answered = Signal()
        m.d.sync += answered.eq(self.answered)
        most = self.config.outstanding_writes + 3
        m.submodules.asked = orders = Tracked(
            [(came, self.order(dut.burst.p))], [self.offered], most
        )
        m.submodules.marks = marks = Tracked(
            [(came, dut.burst.p.last)], [(answered, dut.acknowledged)], most
        )
        m.d.comb += [
            *orders.rules("orders"),
            *marks.rules("marks"),
            Assert(answered | ~dut.acknowledged, "nothing is acknowledged without a B"),
        ]
        if self.inside:
            self.judge_inside(m)
            waiting = self.waiting()
            places = [(there, self.order(burst)) for there, burst in waiting]
            lasts = [(there, burst.last) for there, burst in waiting]
            acknowledged = (answered, dut.acknowledged)
            m.d.comb += [
                *orders.invariants([self.offered, *places], "orders"),
                *marks.invariants([acknowledged, *self.answers.items(self), *lasts], "marks"),
            ]
        return m


def _any(items: Any) -> Any:
    """Return whether one of the places has an item."""
    return Cat(there for there, _ in items).any()
