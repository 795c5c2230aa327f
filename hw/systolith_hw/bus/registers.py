"""The AXI4-Lite port: the register map of the specification in hardware."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.bus.axi import axi_lite_members
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.registers import ADDR_WIDTH, IDENTITY, REGISTERS, VERSION, Register

__all__ = ["RegisterFile"]


def _words(register: Register) -> list[tuple[int, int]]:
    """Return (byte offset, lowest bit) of each 32-bit word of a register."""
    return [(register.offset + bit // 8, bit) for bit in range(0, register.width, 32)]


class RegisterFile(wiring.Component):
    """Registers behind AXI4-Lite; one read and one write under way at a time.

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
                members[f"write_{register.name}"] = Out(register.width)
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
        addr, word = Signal(ADDR_WIDTH), Signal(32)
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
            for offset, low in _words(register):
                hit = write & (addr[2:] == offset >> 2)
                bits = slice(low, min(low + 32, register.width))
                if register.access == "rw":
                    with m.If(hit):
                        m.d.sync += getattr(self, f"write_{register.name}")[bits].eq(word)
                elif register.access in ("w1", "w1c"):
                    pulse = getattr(self, f"pulse_{register.name}")
                    m.d.sync += pulse[bits].eq(Mux(hit, word, 0))

    def _build_read(self, m: Module) -> None:
        bus = self.bus
        addr = Signal(ADDR_WIDTH)
        pending = Signal()
        m.d.comb += bus.arready.eq(~pending & ~bus.rvalid)
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += [addr.eq(bus.araddr), pending.eq(1)]
        with m.If(pending):
            m.d.sync += [pending.eq(0), bus.rvalid.eq(1), bus.rdata.eq(0)]
            with m.Switch(addr[2:]):
                for register in REGISTERS.values():
                    constant = self._constants().get(register.name)
                    for offset, low in _words(register):
                        if constant is not None:
                            value: Any = (constant >> low) & 0xFFFFFFFF
                        elif register.access == "rw":
                            value = getattr(self, f"write_{register.name}")[low : low + 32]
                        elif register.access == "w1":
                            continue
                        else:
                            value = getattr(self, f"read_{register.name}")[low : low + 32]
                        with m.Case(offset >> 2):
                            m.d.sync += bus.rdata.eq(value)
        with m.Elif(bus.rready):
            m.d.sync += bus.rvalid.eq(0)
