"""The accelerator as a whole, from its ports: registers, a short program, a fault, a reset."""

from typing import Any

import pytest

from systolith_hw.accelerator import Accelerator
from systolith_hw.bus.axi import axi4_members, axi_lite_members
from systolith_hw.spec.isa import INSTRUCTION_BYTES, Buffer, Instruction, Opcode
from systolith_hw.spec.registers import (
    CONTROL_RESET,
    CONTROL_START,
    IDENTITY,
    REGISTERS,
    STATUS_DONE,
    STATUS_ERROR,
    Engine,
    ErrorCode,
)
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.streams import sample_when, simulate

MEMORY_BYTES = 4096
DATA = 2048


class Bench:
    """An accelerator, a host that reads and writes registers, and a memory that is only read."""

    def __init__(self):
        self.config = small_config()
        self.dut: Any = Accelerator(self.config)  # its members come from the bus edges
        self.memory = bytearray(MEMORY_BYTES)

    async def read(self, ctx, name):
        register, dut, value = REGISTERS[name], self.dut, 0
        for low in range(0, register.width, 32):
            ctx.set(dut.s_axil_araddr, register.offset + low // 8)
            ctx.set(dut.s_axil_arvalid, 1)
            await sample_when(ctx, dut.s_axil_arready)
            ctx.set(dut.s_axil_arvalid, 0)
            ctx.set(dut.s_axil_rready, 1)
            (word,) = await sample_when(ctx, dut.s_axil_rvalid, dut.s_axil_rdata)
            ctx.set(dut.s_axil_rready, 0)
            value |= word << low
        return value

    async def write(self, ctx, name, value):
        register, dut = REGISTERS[name], self.dut
        for low in range(0, register.width, 32):
            ctx.set(dut.s_axil_awaddr, register.offset + low // 8)
            ctx.set(dut.s_axil_wdata, value >> low & 0xFFFFFFFF)
            ctx.set(dut.s_axil_awvalid, 1)
            ctx.set(dut.s_axil_wvalid, 1)
            await sample_when(ctx, dut.s_axil_awready & dut.s_axil_wready)
            ctx.set(dut.s_axil_awvalid, 0)
            ctx.set(dut.s_axil_wvalid, 0)
            ctx.set(dut.s_axil_bready, 1)
            await sample_when(ctx, dut.s_axil_bvalid)
            ctx.set(dut.s_axil_bready, 0)

    async def serve(self, ctx):
        """Answer one burst after the other, a beat a cycle."""
        dut, size = self.dut, self.config.bus_bytes
        while True:
            ctx.set(dut.m_axi_arready, 1)
            addr, length, number = await sample_when(
                ctx, dut.m_axi_arvalid, dut.m_axi_araddr, dut.m_axi_arlen, dut.m_axi_arid
            )
            ctx.set(dut.m_axi_arready, 0)
            for beat in range(length + 1):
                start = addr + beat * size
                ctx.set(
                    dut.m_axi_rdata, int.from_bytes(self.memory[start : start + size], "little")
                )
                ctx.set(dut.m_axi_rid, number)
                ctx.set(dut.m_axi_rlast, beat == length)
                ctx.set(dut.m_axi_rvalid, 1)
                await sample_when(ctx, dut.m_axi_rready)
            ctx.set(dut.m_axi_rvalid, 0)

    async def start(self, ctx, *instructions):
        program = b"".join(instructions)
        self.memory[: len(program)] = program
        await self.write(ctx, "WINDOW_END", MEMORY_BYTES)
        await self.write(ctx, "PROGRAM_COUNT", len(program) // INSTRUCTION_BYTES)
        await self.write(ctx, "WATCHDOG", 1000)
        await self.write(ctx, "IRQ_ENABLE", 1)
        await self.write(ctx, "CONTROL", CONTROL_START)

    async def end(self, ctx):
        """Wait for the interrupt, acknowledge it, and see it go."""
        while not ctx.get(self.dut.irq):
            await ctx.tick()
        await self.write(ctx, "IRQ_PENDING", 1)
        await ctx.tick().repeat(3)
        assert ctx.get(self.dut.irq) == 0
        return await self.read(ctx, "STATUS")

    def run(self, bench):
        simulate(self.dut, bench, background=[self.serve], limit=8000)


def load(words, **fields):
    fields = {"buffer": Buffer.WEIGHT, "addr": DATA, "run_words": words, "runs": 1} | fields
    return Instruction(Opcode.LOAD, {"planes": 1, "rows": 1, "pixels": 1, **fields}).encode()


def test_the_ports_are_the_bus_edges_and_an_interrupt():
    config = small_config()
    names = {f"m_axi_{name}" for name in axi4_members(config)}
    names |= {f"s_axil_{name}" for name in axi_lite_members()}
    assert set(Accelerator(config).signature.members) == names | {"irq"}


def test_the_host_finds_out_what_it_is():
    bench = Bench()

    async def host(ctx):
        assert await bench.read(ctx, "ID") == IDENTITY
        assert await bench.read(ctx, "FINGERPRINT") == bench.config.fingerprint
        assert await bench.read(ctx, "STATUS") == 0

    bench.run(host)


@pytest.mark.requirement("CNT-2")
def test_a_program_runs_to_its_end_and_every_cycle_and_byte_is_counted():
    bench = Bench()
    words, cols = 6, bench.config.cols

    async def host(ctx):
        await bench.start(ctx, load(words, dest=9), load(2, dest=40))
        assert await bench.end(ctx) == STATUS_DONE
        counted = [await bench.read(ctx, name) for name in ("FETCHED", "LOADED", "COMPUTED")]
        assert counted == [2, 2, 0]
        cycles = await bench.read(ctx, "CYCLES")
        for engine in ("LOAD", "COMPUTE", "STORE"):
            states = [name for name in REGISTERS if name.startswith(f"{engine}_")]
            assert sum([await bench.read(ctx, name) for name in states]) == cycles
        beats = (2 * INSTRUCTION_BYTES + (words + 2) * cols) // bench.config.bus_bytes
        assert await bench.read(ctx, "BYTES_READ") == beats * bench.config.bus_bytes
        assert await bench.read(ctx, "BYTES_WRITTEN") == 0

    bench.run(host)


@pytest.mark.requirement("RST-1")
@pytest.mark.parametrize(
    ("program", "code", "engine", "info"),
    [
        ([load(1), bytes(INSTRUCTION_BYTES)], ErrorCode.ILLEGAL, Engine.FETCH, 1),
        ([load(1), load(1, dest=1 << 20)], ErrorCode.BUFFER, Engine.LOAD, 1 << 20),
        ([load(1, addr=MEMORY_BYTES)], ErrorCode.ADDRESS, Engine.LOAD, MEMORY_BYTES),
    ],
)
def test_a_fault_names_engine_and_place_and_a_reset_mends_it(program, code, engine, info):
    bench = Bench()

    async def host(ctx):
        await bench.start(ctx, *program)
        assert await bench.end(ctx) == STATUS_ERROR
        told = [await bench.read(ctx, f"ERROR_{name}") for name in ("CODE", "ENGINE", "INFO")]
        assert told == [code, engine, info]
        await bench.write(ctx, "CONTROL", CONTROL_RESET)
        while await bench.read(ctx, "STATUS"):
            pass
        await bench.start(ctx, load(1))
        assert await bench.end(ctx) == STATUS_DONE

    bench.run(host)
