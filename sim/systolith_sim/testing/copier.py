"""A stand-in for the accelerator: same ports and registers, but its program is a copy of memory."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import fifo, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.registers import (
    ADDR_WIDTH,
    CONTROL_RESET,
    CONTROL_START,
    ENGINE_STATES,
    IDENTITY,
    REGISTERS,
    VERSION,
    Engine,
    ErrorCode,
    counter_name,
)

__all__ = ["Copier"]


class Copier(wiring.Component):
    """Copies PROGRAM_COUNT * 64 bytes from PROGRAM_ADDR to right behind them.

    Both PROGRAM_ADDR and the number of bytes must be multiples of the longest burst. Reads and
    writes are issued as fast as the memory takes them. The engines count all cycles as idle; LOAD
    claims to wait for the memory while a copy is under way. The window is not looked at.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    s_axil_*, m_axi_*, irq
        As of the accelerator.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        members: dict[str, Any] = {"irq": Out(1)}
        for channel in ("aw", "ar"):
            members[f"s_axil_{channel}addr"] = In(ADDR_WIDTH)
            members[f"s_axil_{channel}valid"] = In(1)
            members[f"s_axil_{channel}ready"] = Out(1)
            for name, width in (
                ("id", 1),
                ("addr", config.addr_width),
                ("len", 8),
                ("size", 3),
                ("burst", 2),
                ("valid", 1),
            ):
                members[f"m_axi_{channel}{name}"] = Out(width)
            members[f"m_axi_{channel}ready"] = In(1)
        for prefix, master, data in (
            ("s_axil", False, 32),
            ("m_axi", True, 8 * config.bus_bytes),
        ):
            there, back = (Out, In) if master else (In, Out)
            members |= {
                f"{prefix}_wdata": there(data),
                f"{prefix}_wstrb": there(data // 8),
                f"{prefix}_wvalid": there(1),
                f"{prefix}_wready": back(1),
                f"{prefix}_bresp": back(2),
                f"{prefix}_bvalid": back(1),
                f"{prefix}_bready": there(1),
                f"{prefix}_rdata": back(data),
                f"{prefix}_rresp": back(2),
                f"{prefix}_rvalid": back(1),
                f"{prefix}_rready": there(1),
            }
        members |= {"m_axi_wlast": Out(1), "m_axi_rlast": In(1)}
        members |= {"m_axi_bid": In(1), "m_axi_rid": In(1)}
        super().__init__(members)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        self._values = {
            register.name: Signal(register.width, name=register.name.lower())
            for register in REGISTERS.values()
        }
        values = self._values
        m.d.comb += [
            values["ID"].eq(IDENTITY),
            values["VERSION"].eq(VERSION),
            values["FINGERPRINT"].eq(self.config.fingerprint),
            values["ENGINE_STATE"].eq(Mux(values["STATUS"][0], 2 << 4 * Engine.LOAD, 0)),
        ]
        for engine in ENGINE_STATES:
            m.d.comb += values[counter_name(engine, "idle")].eq(values["CYCLES"])
        self._build_copy(m)
        self._build_control(m)
        return m

    def _build_control(self, m: Module) -> None:
        """Registers; they come after the copy, so that a reset wins."""
        values = self._values
        write = Signal()
        m.d.comb += [
            write.eq(self.s_axil_awvalid & self.s_axil_wvalid & ~self.s_axil_bvalid),
            self.s_axil_awready.eq(write),
            self.s_axil_wready.eq(write),
            self.s_axil_arready.eq(~self.s_axil_rvalid),
            self.irq.eq(values["IRQ_PENDING"][0] & values["IRQ_ENABLE"][0]),
        ]
        with m.If(self.s_axil_bready):
            m.d.sync += self.s_axil_bvalid.eq(0)
        with m.If(self.s_axil_rready):
            m.d.sync += self.s_axil_rvalid.eq(0)
        with m.If(write):
            m.d.sync += self.s_axil_bvalid.eq(1)
            with m.Switch(self.s_axil_awaddr):
                for register in REGISTERS.values():
                    if register.access != "rw":
                        continue
                    for half in range(0, register.width, 32):
                        with m.Case(register.offset + half // 8):
                            target = values[register.name][half : half + 32]
                            m.d.sync += target.eq(self.s_axil_wdata)
                with m.Case(REGISTERS["IRQ_PENDING"].offset):
                    with m.If(self.s_axil_wdata[0]):
                        m.d.sync += values["IRQ_PENDING"].eq(0)
                with m.Case(REGISTERS["CONTROL"].offset):
                    m.d.comb += [
                        self._start.eq((self.s_axil_wdata & CONTROL_START) != 0),
                        self._reset.eq((self.s_axil_wdata & CONTROL_RESET) != 0),
                    ]
        with m.If(self.s_axil_arvalid & self.s_axil_arready):
            m.d.sync += self.s_axil_rvalid.eq(1)
            with m.Switch(self.s_axil_araddr):
                for register in REGISTERS.values():
                    for half in range(0, register.width, 32):
                        with m.Case(register.offset + half // 8):
                            source = values[register.name][half : half + 32]
                            m.d.sync += self.s_axil_rdata.eq(source)

    def _build_copy(self, m: Module) -> None:
        config, values = self.config, self._values
        beats = config.burst_beats
        m.submodules.data = data = fifo.SyncFIFOBuffered(
            width=8 * config.bus_bytes, depth=4 * beats
        )
        self._start = start = Signal()
        self._reset = reset = Signal()
        busy = Signal()
        reads, writes, answers = (Signal(32, name=name) for name in ("reads", "writes", "answers"))
        reserved = Signal(range(4 * beats + 1))  # places of the queue that reads will fill
        beat = Signal(8)
        quiet = Signal(32)
        failed = Signal()
        shift = (config.burst_bytes - 1).bit_length()
        bursts = Signal(32)
        taken = self.m_axi_wvalid & self.m_axi_wready
        for channel in ("aw", "ar"):
            m.d.comb += [
                getattr(self, f"m_axi_{channel}len").eq(beats - 1),
                getattr(self, f"m_axi_{channel}size").eq((config.bus_bytes - 1).bit_length()),
                getattr(self, f"m_axi_{channel}burst").eq(1),
            ]
        base = values["PROGRAM_ADDR"]
        length = values["PROGRAM_COUNT"] << 6
        m.d.comb += [
            bursts.eq(length >> shift),
            busy.eq(values["STATUS"][0]),
            self.m_axi_araddr.eq(base + (reads << shift)),
            self.m_axi_arvalid.eq(busy & (reads != bursts) & (reserved <= 3 * beats)),
            self.m_axi_awaddr.eq(base + length + (writes << shift)),
            self.m_axi_awvalid.eq(busy & (writes != bursts)),
            data.w_data.eq(self.m_axi_rdata),
            data.w_en.eq(self.m_axi_rvalid),
            self.m_axi_rready.eq(1),
            self.m_axi_wdata.eq(data.r_data),
            self.m_axi_wstrb.eq(~0),
            self.m_axi_wlast.eq(beat == beats - 1),
            self.m_axi_wvalid.eq(data.r_rdy),
            data.r_en.eq(self.m_axi_wready),
            self.m_axi_bready.eq(1),
            failed.eq(
                (self.m_axi_rvalid & (self.m_axi_rresp != 0))
                | (self.m_axi_bvalid & (self.m_axi_bresp != 0))
            ),
        ]
        asked = self.m_axi_arvalid & self.m_axi_arready
        m.d.sync += [
            reads.eq(reads + asked),
            writes.eq(writes + (self.m_axi_awvalid & self.m_axi_awready)),
            answers.eq(answers + self.m_axi_bvalid),
            reserved.eq(reserved + Mux(asked, beats, 0) - taken),
        ]
        with m.If(taken):
            m.d.sync += beat.eq(Mux(self.m_axi_wlast, 0, beat + 1))
        with m.If(busy):
            size = config.bus_bytes
            m.d.sync += [
                values["CYCLES"].eq(values["CYCLES"] + 1),
                values["BYTES_READ"].eq(values["BYTES_READ"] + Mux(self.m_axi_rvalid, size, 0)),
                values["BYTES_WRITTEN"].eq(values["BYTES_WRITTEN"] + Mux(taken, size, 0)),
                quiet.eq(Mux(Cat(self.m_axi_rvalid, taken, self.m_axi_bvalid).any(), 0, quiet + 1)),
            ]
            ended = answers == bursts
            stuck = (values["WATCHDOG"] != 0) & (quiet >= values["WATCHDOG"])
            with m.If(failed | stuck | ended):
                error = failed | stuck
                m.d.sync += [
                    values["STATUS"].eq(Mux(error, 4, 2)),
                    values["IRQ_PENDING"].eq(1),
                    values["ERROR_ENGINE"].eq(Engine.LOAD),
                    values["ERROR_CODE"].eq(
                        Mux(failed, ErrorCode.BUS, Mux(stuck, ErrorCode.WATCHDOG, 0))
                    ),
                ]
        with m.If(start):
            m.d.sync += [signal.eq(0) for signal in (reads, writes, answers, beat, quiet)]
            m.d.sync += [values[name].eq(0) for name in ("CYCLES", "BYTES_READ", "BYTES_WRITTEN")]
            m.d.sync += [values["STATUS"].eq(1), values["ERROR_CODE"].eq(0)]
        with m.If(reset):
            m.d.sync += [values["STATUS"].eq(0), values["ERROR_CODE"].eq(0)]
