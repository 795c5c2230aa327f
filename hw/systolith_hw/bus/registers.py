"""The AXI4-Lite port: the register map of the specification in hardware."""

from functools import reduce
from operator import or_
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.bus.axi import axi_lite_members
from systolith_hw.interface.layouts import address_bits
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.registers import ADDR_WIDTH, IDENTITY, REGISTERS, VERSION, Register

__all__ = ["RegisterFile"]

_GROUP_WORDS = 8


def _words(register: Register) -> list[tuple[int, int]]:
    """Return (byte offset, lowest bit) of each 32-bit word of a register."""
    return [(register.offset + bit // 8, bit) for bit in range(0, register.width, 32)]


class RegisterFile(wiring.Component):
    """Registers behind AXI4-Lite; one read and one write at a time.

    Unknown addresses read as zero and ignore writes. Byte strobes are ignored: registers are
    written whole.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    bus : AXI4-Lite, slave side
    read_NAME : In, value of a read-only register
    write_NAME : Out, value of a read-write register
    pulse_NAME : Out, bits written as 1 to a "w1" or "w1c" register, for one cycle
    """

    bus: Any

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        members: dict[str, Any] = {"bus": Out(wiring.Signature(axi_lite_members()))}
        for register in REGISTERS.values():
            if register.access == "rw":
                bits = address_bits(config) if register.external else register.width
                members[f"write_{register.name}"] = Out(bits)
            elif register.access in ("w1", "w1c"):
                members[f"pulse_{register.name}"] = Out(register.width)
            if register.access in ("ro", "w1c") and register.name not in self._constants():
                members[f"read_{register.name}"] = In(register.width)
        super().__init__(members)

    def _constants(self) -> dict[str, int]:
        return {"ID": IDENTITY, "VERSION": VERSION, "FINGERPRINT": self.config.fingerprint}

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._build_write(m)
        self._build_read(m)
        return m

    def _build_write(self, m: Module) -> None:
        bus = self.bus
        addr, word = Signal(ADDR_WIDTH, name="write_addr"), Signal(32, name="write_word")
        have_addr, have_word = Signal(), Signal()
        write = have_addr & have_word & ~bus.bvalid
        m.d.comb += [bus.awready.eq(~have_addr), bus.wready.eq(~have_word)]
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [addr.eq(bus.awaddr), have_addr.eq(1)]
        with m.If(bus.wvalid & bus.wready):
            m.d.sync += [word.eq(bus.wdata), have_word.eq(1)]
        with m.If(write):
            m.d.sync += [have_addr.eq(0), have_word.eq(0), bus.bvalid.eq(1)]
        with m.Elif(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        for register in REGISTERS.values():
            kept = Signal(self.config.addr_width, name=f"{register.name.lower()}_address")
            beyond = Signal(len(_words(register)), name=f"{register.name.lower()}_beyond")
            for index, (offset, low) in enumerate(_words(register)):
                hit = write & (addr[2:] == offset >> 2)
                bits = slice(low, min(low + 32, register.width))
                if register.external:
                    bits = slice(*slice(low, low + 32).indices(len(kept)))
                    with m.If(hit):
                        m.d.sync += kept[bits].eq(word)
                        m.d.sync += beyond[index].eq(word[max(0, len(kept) - low) :].any())
                elif register.access == "rw":
                    with m.If(hit):
                        m.d.sync += getattr(self, f"write_{register.name}")[bits].eq(word)
                elif register.access in ("w1", "w1c"):
                    pulse = getattr(self, f"pulse_{register.name}")
                    m.d.sync += pulse[bits].eq(Mux(hit, word, 0))
            if register.external:
                m.d.comb += getattr(self, f"write_{register.name}").eq(Cat(kept, beyond.any()))

    def _build_read(self, m: Module) -> None:
        bus = self.bus
        addr = Signal(ADDR_WIDTH)
        # Words come from all over the accelerator, so a read takes two cycles: the first chooses
        # a word in each group, the second a group.
        chosen, pending = Signal(), Signal()
        m.d.comb += bus.arready.eq(~chosen & ~pending & ~bus.rvalid)
        m.d.sync += [chosen.eq(bus.arvalid & bus.arready), pending.eq(chosen)]
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += addr.eq(bus.araddr)
        with m.If(pending):
            m.d.sync += bus.rvalid.eq(1)
        with m.Elif(bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        groups: dict[int, dict[int, Any]] = {}
        for place, value in self._read_words().items():
            groups.setdefault(place // _GROUP_WORDS, {})[place % _GROUP_WORDS] = value
        low = addr[2 : 2 + _GROUP_WORDS.bit_length() - 1]
        selected: list[Any] = []
        for index, words in groups.items():
            word = Signal(32, name=f"group_{index}", reset_less=True)
            hit = Signal(name=f"hit_{index}")
            m.d.sync += [word.eq(0), hit.eq(addr[2 + len(low) :] == index)]
            with m.Switch(low):
                for place, value in words.items():
                    with m.Case(place):
                        m.d.sync += word.eq(value)
            selected.append(Mux(hit, word, 0))
        with m.If(pending):
            m.d.sync += bus.rdata.eq(reduce(or_, selected))

    def _read_words(self) -> dict[int, Any]:
        """Return the value that each 32-bit word of the register map reads as, by its number."""
        words: dict[int, Any] = {}
        for register in REGISTERS.values():
            constant = self._constants().get(register.name)
            if register.access == "w1":
                continue
            for offset, low in _words(register):
                if constant is not None:
                    words[offset >> 2] = (constant >> low) & 0xFFFFFFFF
                else:
                    side = "write" if register.access == "rw" else "read"
                    signal = getattr(self, f"{side}_{register.name}")
                    words[offset >> 2] = signal[low : low + 32]
        return words
