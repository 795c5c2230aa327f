"""Rules of the read port: every beat reaches its reader, and bursts are counted."""

from typing import Any

from amaranth.hdl import Assert, Assume, Cat, Module, Signal

from systolith_hw.bus.axi import AxiId
from systolith_hw.bus.read_port import ReadPort
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.timing import READ_BEATS
from systolith_sim.formal.port import PortSpecification
from systolith_sim.formal.queue import QueueView
from systolith_sim.formal.stream_contract import StreamContract
from systolith_sim.formal.tracked import Tracked

__all__ = ["ReadCountSpecification", "ReadDataSpecification"]

_USERS = {"load": AxiId.LOAD, "fetch": AxiId.FETCH}


class _ReadSpecification(PortSpecification):
    """What both specifications of the read port know: its registers, and its queue of beats."""

    DEPTH = 2
    CHANNEL = "ar"
    STAGES = (("waits_load", "waiting_load"), ("waits_fetch", "waiting_fetch"))

    seen_outstanding: Any
    seen_ended: Any
    seen_held_fetch: Any

    def __init__(self, dut: ReadPort, config: AcceleratorConfig, *, inside: bool = True) -> None:
        self.data = config.bus_bytes * 8
        self.beats = QueueView("dut.beats", self.data + 4, READ_BEATS)
        counts = {"outstanding": config.outstanding_reads.bit_length(), "ended": 1, "held_fetch": 1}
        super().__init__(dut, config, counts, [self.beats], inside=inside)


class ReadDataSpecification(_ReadSpecification):
    """The rules of bursts and beats, for any memory.

    - A reader's bursts are offered on AR as they came, in their order, under its identifier.
    - A reader gets all beats with its identifier, as they came and in their order, and no others.
    - Each beat's error is reported once, in its order, with its reader.
    - What is offered to a reader stays, unchanged, until it is taken.
    - ``rest`` says that no beat was inside a cycle ago.

    This is for runs without ``halt`` and without bursts that are refused: those are dropped.

    Parameters
    ----------
    dut : ReadPort
    config : AcceleratorConfig
        Of the same.
    inside : bool
        Whether to assert also what holds inside of it, for the induction.
    """

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut, bus = self.dut, self.dut.bus
        self.observe(m)
        self.suppose_that_none_is_dropped(m)
        came = bus.rvalid & bus.rready
        ports = {name: getattr(dut, f"{name}_beat") for name in _USERS}
        m.submodules.data = beats = Tracked(
            [(came, Cat(bus.rdata, bus.rid))],
            [
                (port.valid & port.ready, Cat(port.p, _USERS[name].value == AxiId.FETCH.value))
                for name, port in ports.items()
            ],
            READ_BEATS,
        )
        m.submodules.errors = errors = Tracked(
            [(came, Cat(bus.rid, bus.rresp.as_value()[1]))],
            [(dut.beat_taken, Cat(dut.bus_error_fetch, dut.bus_error))],
            READ_BEATS + 1,
        )
        empty = Signal(init=1)
        m.d.sync += empty.eq(beats.level == 0)
        m.d.comb += [
            Assert(~dut.rest | empty, "rest is true"),
            *beats.rules("beats"),
            *errors.rules("errors"),
            Assert(dut.beat_taken | ~dut.bus_error, "an error is that of a beat"),
        ]
        if self.inside:
            held = self.beats.items(self)
            size = self.data
            m.d.comb += [
                *self.beats.invariants(self),
                *beats.invariants([(there, beat[: size + 1]) for there, beat in held], "beats"),
                *errors.invariants(
                    [
                        (dut.beat_taken, Cat(dut.bus_error_fetch, dut.bus_error)),
                        *((there, Cat(beat[size], beat[size + 2])) for there, beat in held),
                    ],
                    "errors",
                ),
            ]
        for name, port in ports.items():
            m.submodules[f"{name}_contract"] = contract = StreamContract.of(port)
            m.d.comb += Assert(contract.kept, "a beat stays until it is taken")
            self._judge_bursts(m, name)
        return m

    def _judge_bursts(self, m: Module, name: str) -> None:
        user = getattr(self.dut, name)
        fresh, order = self.offered
        offered = (fresh & (self.dut.bus.arid == _USERS[name]), order)
        entering = (user.valid & user.ready, self.order(user.p))
        m.submodules[name] = bursts = Tracked([entering], [offered], 3)
        m.d.comb += bursts.rules(f"{name}'s bursts")
        if self.inside:
            fetches = _USERS[name] is AxiId.FETCH
            (waits, held), *stages = self.waiting()
            own = dict(zip(_USERS, stages, strict=True))[name]
            waiting = [(waits & (self.seen_held_fetch == fetches), held), own]
            places = [(there, self.order(burst)) for there, burst in waiting]
            m.d.comb += bursts.invariants([offered, *places], f"{name}'s bursts")


class ReadCountSpecification(_ReadSpecification):
    """The rules of outstanding bursts, for a memory that ends only bursts that it was asked for.

    - No more bursts are outstanding than configured.
    - ``quiet`` says that none was outstanding or offered a cycle ago.

    This holds under ``halt``, too.

    Parameters
    ----------
    dut : ReadPort
    config : AcceleratorConfig
        Of the same.
    inside : bool
        Whether to assert also what holds inside of it, for the induction.
    """

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bus, limit = self.dut.bus, self.config.outstanding_reads
        self.observe(m)
        ending = bus.rvalid & bus.rready & bus.rlast
        outstanding = Signal(range(2 * limit + 2))
        m.d.sync += outstanding.eq(outstanding + (bus.arvalid & bus.arready) - ending)
        none = ~bus.rvalid | ~bus.rlast | (outstanding != 0)
        m.d.comb += Assume(none, "only what was asked for ends")
        self.judge_outstanding(m, outstanding, limit)
        if self.inside:
            held = self.beats.items(self)
            lasts: Any = sum(there & beat[-1] for there, beat in held)
            m.d.comb += [
                *self.beats.invariants(self),
                Assert(
                    self.seen_outstanding == outstanding + bus.arvalid + lasts + self.seen_ended,
                    "bursts are counted",
                ),
                Assert(self.seen_outstanding <= limit, "no more are counted"),
            ]
        return m
