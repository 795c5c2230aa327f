"""Rules of the AXI4-Lite port and of the registers behind it."""

from typing import Any

from amaranth.hdl import Assert, Cat, Module, Mux, Signal, Value

from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.registers import ADDR_WIDTH, IDENTITY, REGISTERS, VERSION, Register
from systolith_sim.formal.prove import Specification
from systolith_sim.formal.stream_contract import StreamContract

__all__ = ["AxiLiteSpecification"]

_READ_CYCLES = 2
"""Cycles between that of an AR and the first one of its R."""


class AxiLiteSpecification(Specification):
    """The rules of the slave, for any master; registers are written and read as mapped.

    - An R comes after its AR, a B after its AW and its W, within three cycles, one for each; it
      stays, unchanged, until it is taken, and says OKAY.
    - A pair of AW and W writes once, in the cycle before its B is offered, and nothing else writes.
      A write sets the "rw" register at its address, or gives a pulse of the "w1" or "w1c" one.
    - A read returns the word at the address of the AR as it was in the cycle after that.

    Byte strobes are ignored, which :class:`~systolith_hw.bus.registers.RegisterFile` says.

    Parameters
    ----------
    dut : RegisterFile
    config : AcceleratorConfig
        Of the same.
    inside : bool
        Whether to assert also what holds inside of it, for the induction.
    """

    DEPTH = 5
    """Of the induction: a read takes four cycles."""

    seen_addr: Any
    seen_word: Any

    def __init__(self, dut: Any, config: AcceleratorConfig, *, inside: bool = True) -> None:
        self.dut = dut
        self.config = config
        probes = {"seen_addr": ("dut.write_addr", ADDR_WIDTH), "seen_word": ("dut.write_word", 32)}
        for register in REGISTERS.values():
            if register.external:
                name = f"{register.name.lower()}_beyond"
                probes[f"seen_{name}"] = (f"dut.{name}", register.width // 32)
        super().__init__(probes=probes, inside=inside)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self.place(m, self.dut)
        self._judge_writes(m)
        self._judge_reads(m)
        return m

    def _judge_writes(self, m: Module) -> None:
        bus = self.dut.bus
        m.submodules.b = contract = StreamContract(bus.bvalid, bus.bready, bus.bresp)
        # AWs and Ws that were taken, and whose B was not.
        taken_b = bus.bvalid & bus.bready
        addresses, words = Signal(3), Signal(3)
        addr, word = Signal(ADDR_WIDTH), Signal(32)
        offered, due = Signal(), Signal()
        m.d.sync += [
            addresses.eq(addresses + (bus.awvalid & bus.awready) - taken_b),
            words.eq(words + (bus.wvalid & bus.wready) - taken_b),
            offered.eq(bus.bvalid & ~bus.bready),
            due.eq((addresses != 0) & (words != 0) & ~bus.bvalid),
        ]
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += addr.eq(bus.awaddr)
        with m.If(bus.wvalid & bus.wready):
            m.d.sync += word.eq(bus.wdata)
        m.d.comb += [
            Assert(contract.kept, "B stays until it is taken"),
            Assert(~bus.bvalid | (addresses != 0), "B comes after AW"),
            Assert(~bus.bvalid | (words != 0), "B comes after W"),
            Assert(~due | bus.bvalid, "B comes a cycle after both AW and W"),
            Assert(~bus.bvalid | (bus.bresp.as_value() == 0), "B says OKAY"),
        ]
        if self.inside:
            m.d.comb += [
                Assert(addresses == ~bus.awready + bus.bvalid, "an AW waits or is answered"),
                Assert(words == ~bus.wready + bus.bvalid, "a W waits or is answered"),
                Assert(bus.awready | (self.seen_addr == addr), "the address is that of the AW"),
                Assert(bus.wready | (self.seen_word == word), "the word is that of the W"),
            ]
        written = Signal()
        m.d.comb += written.eq(bus.bvalid & ~offered)
        for register in REGISTERS.values():
            if register.access not in ("rw", "w1", "w1c"):
                continue
            halves = []
            for index, place in enumerate(_places(register)):
                hit = written & (addr[2:] == place)
                before = Signal(32, name=f"{register.name}_{index}")
                if register.access == "rw":
                    halves.append(Mux(hit, word, before))
                    m.d.sync += before.eq(halves[-1])
                else:
                    halves.append(Mux(hit, word, 0))
            self._judge_register(m, register, Cat(halves))

    def _judge_register(self, m: Module, register: Register, value: Any) -> None:
        """Assert that a register holds, or gives as a pulse, the value written."""
        if register.access != "rw":
            pulse = getattr(self.dut, f"pulse_{register.name}")
            m.d.comb += Assert(pulse == value, f"{register.name} is a pulse of a write")
            return
        held = getattr(self.dut, f"write_{register.name}")
        if register.external:
            width = self.config.addr_width
            beyond = [value[low : low + 32][max(0, width - low) :].any() for low in (0, 32)]
            value = Cat(value[:width], Cat(beyond).any())
            if self.inside:
                seen = getattr(self, f"seen_{register.name.lower()}_beyond")
                m.d.comb += Assert(seen == Cat(beyond), f"{register.name} knows what is beyond")
        m.d.comb += Assert(held == value, f"{register.name} holds what was written")

    def _judge_reads(self, m: Module) -> None:
        bus = self.dut.bus
        m.submodules.r = contract = StreamContract(bus.rvalid, bus.rready, bus.rdata, bus.rresp)
        reads, waited = Signal(2), Signal(range(_READ_CYCLES + 2))
        addr, expected = Signal(ADDR_WIDTH), Signal(32)
        taken = bus.arvalid & bus.arready
        m.d.sync += [
            reads.eq(reads + taken - (bus.rvalid & bus.rready)),
            waited.eq(Mux((reads == 0) | bus.rvalid, 0, waited + 1)),
        ]
        with m.If(taken):
            m.d.sync += addr.eq(bus.araddr)
        with m.If((reads != 0) & ~bus.rvalid & (waited == 0)):
            m.d.sync += expected.eq(self._word(m, addr[2:]))
        m.d.comb += [
            Assert(contract.kept, "R stays until it is taken"),
            Assert(~bus.rvalid | (reads != 0), "R comes after AR"),
            Assert(waited <= _READ_CYCLES, "R comes in time"),
            Assert(reads <= 1, "one read is under way"),
            Assert(~bus.rvalid | (bus.rdata == expected), "R carries the word at AR's address"),
            Assert(~bus.rvalid | (bus.rresp.as_value() == 0), "R says OKAY"),
        ]
        if self.inside:
            m.d.comb += Assert((reads != 0) == ~bus.arready, "an AR waits for its R")

    def _word(self, m: Module, place: Value) -> Signal:
        """Return the word of the register map at a place, by the specification's table."""
        word = Signal(32, name="mapped")
        constants = {"ID": IDENTITY, "VERSION": VERSION, "FINGERPRINT": self.config.fingerprint}
        with m.Switch(place):
            for register in REGISTERS.values():
                if register.access == "w1":
                    continue
                for index, number in enumerate(_places(register)):
                    if register.name in constants:
                        value = constants[register.name] >> 32 * index & 0xFFFFFFFF
                    else:
                        side = "write" if register.access == "rw" else "read"
                        port = getattr(self.dut, f"{side}_{register.name}")
                        value = port[32 * index : 32 * index + 32]
                    with m.Case(number):
                        m.d.comb += word.eq(value)
        return word


def _places(register: Register) -> list[int]:
    """Return the numbers of a register's words in the register map."""
    return [register.offset // 4 + index for index in range(register.width // 32)]
