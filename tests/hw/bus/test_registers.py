"""The register file over AXI4-Lite."""

from itertools import product
from random import Random
from typing import Any

import pytest

from systolith_hw.bus.registers import RegisterFile
from systolith_hw.spec.registers import ADDR_WIDTH, IDENTITY, REGISTERS, VERSION
from systolith_sim.formal.stream_contract import StreamContract
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.streams import sample_when, simulate

CONSTANTS = ("ID", "VERSION", "FINGERPRINT")


class Bench:
    """A register file and an AXI4-Lite master."""

    def __init__(self, dut=None, *, seed=0, stall=0.0, config=None):
        self.config = config or small_config()
        self.dut: Any = dut or RegisterFile(self.config)
        self.random = Random(seed)
        self.stall = stall

    async def dawdle(self, ctx):
        while self.random.random() < self.stall:
            await ctx.tick()

    async def read(self, ctx, addr):
        bus = self.dut.bus
        await self.dawdle(ctx)
        ctx.set(bus.araddr, addr)
        ctx.set(bus.arvalid, 1)
        await sample_when(ctx, bus.arready)
        ctx.set(bus.arvalid, 0)
        ctx.set(bus.araddr, 0xFFF)
        await self.dawdle(ctx)
        ctx.set(bus.rready, 1)
        value, response = await sample_when(ctx, bus.rvalid, bus.rdata, bus.rresp)
        ctx.set(bus.rready, 0)
        assert response.value == 0
        return value

    async def write(self, ctx, addr, value, first="both"):
        bus = self.dut.bus
        await self.dawdle(ctx)
        waiting = {"aw": (bus.awvalid, bus.awready), "w": (bus.wvalid, bus.wready)}
        ctx.set(bus.awaddr, addr)
        ctx.set(bus.wdata, value)
        ctx.set(bus.wstrb, 0xF)
        order = {"both": [("aw", "w")], "aw": [("aw",), ("w",)], "w": [("w",), ("aw",)]}[first]
        for channels in order:
            left = set(channels)
            for channel in channels:
                ctx.set(waiting[channel][0], 1)
            while left:
                _, _, *readies = await ctx.tick().sample(waiting["aw"][1], waiting["w"][1])
                for channel, ready in zip(("aw", "w"), readies, strict=True):
                    if ready and channel in left:
                        ctx.set(waiting[channel][0], 0)
                        left.discard(channel)
            await self.dawdle(ctx)
        ctx.set(bus.bready, 1)
        (response,) = await sample_when(ctx, bus.bvalid, bus.bresp)
        ctx.set(bus.bready, 0)
        assert response.value == 0

    async def read_register(self, ctx, name):
        register = REGISTERS[name]
        words = [
            await self.read(ctx, register.offset + bit // 8) for bit in range(0, register.width, 32)
        ]
        return sum(word << 32 * index for index, word in enumerate(words))

    async def write_register(self, ctx, name, value, first="both"):
        register = REGISTERS[name]
        for bit in range(0, register.width, 32):
            word = value >> bit & 0xFFFFFFFF
            await self.write(ctx, register.offset + bit // 8, word, first)

    def run(self, test):
        bus = self.dut.bus
        reads = StreamContract(bus.rvalid, bus.rready, bus.rdata, bus.rresp)
        simulate(self.dut, test, watch=[reads, StreamContract(bus.bvalid, bus.bready, bus.bresp)])


@pytest.mark.requirement("REG-1")
def test_constants_identify_the_accelerator():
    bench = Bench()

    async def test(ctx):
        assert await bench.read_register(ctx, "ID") == IDENTITY
        assert await bench.read_register(ctx, "VERSION") == VERSION
        assert await bench.read_register(ctx, "FINGERPRINT") == bench.config.fingerprint

    bench.run(test)


@pytest.mark.requirement("REG-2")
@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("first", ["both", "aw", "w"])
def test_read_write_registers_keep_what_is_written(first, stall):
    bench = Bench(seed=3, stall=stall)
    names = [name for name, register in REGISTERS.items() if register.access == "rw"]
    values = {name: bench.random.getrandbits(REGISTERS[name].width) for name in names}

    async def test(ctx):
        for name in names:
            await bench.write_register(ctx, name, values[name], first)
        for name in names:
            held = REGISTERS[name].held(values[name], bench.config.addr_width)
            assert await bench.read_register(ctx, name) == held
            assert ctx.get(getattr(bench.dut, f"write_{name}")) == held

    bench.run(test)


@pytest.mark.parametrize("addr_width", [20, 32, 40, 48])
@pytest.mark.parametrize("more", [1, 1 << 12, 1 << 15])
def test_of_an_address_beyond_memory_its_place_is_kept_and_that_it_is_beyond(addr_width, more):
    bench = Bench(seed=5, config=small_config(addr_width=addr_width))
    low = bench.random.getrandbits(addr_width)

    async def test(ctx):
        for value, held in ((more << addr_width | low, 1 << addr_width | low), (low, low)):
            await bench.write_register(ctx, "WINDOW_END", value)
            assert await bench.read_register(ctx, "WINDOW_END") == held
            assert ctx.get(bench.dut.write_WINDOW_END) == held

    bench.run(test)


@pytest.mark.parametrize("addr_width", [16, 32, 48])
def test_the_window_can_end_where_the_address_space_does(addr_width):
    bench = Bench(config=small_config(addr_width=addr_width))

    async def test(ctx):
        await bench.write_register(ctx, "WINDOW_END", 1 << addr_width)
        assert await bench.read_register(ctx, "WINDOW_END") == 1 << addr_width
        assert ctx.get(bench.dut.write_WINDOW_END) == 1 << addr_width

    bench.run(test)


@pytest.mark.requirement("REG-2")
def test_read_only_registers_show_their_inputs_and_ignore_writes():
    bench = Bench(seed=4)
    names = [
        name
        for name, register in REGISTERS.items()
        if register.access in ("ro", "w1c") and name not in CONSTANTS
    ]
    values = {name: bench.random.getrandbits(REGISTERS[name].width) for name in names}

    async def test(ctx):
        for name in names:
            ctx.set(getattr(bench.dut, f"read_{name}"), values[name])
        for name in names:
            await bench.write(ctx, REGISTERS[name].offset, 0xFFFFFFFF)
            assert await bench.read_register(ctx, name) == values[name]

    bench.run(test)


@pytest.mark.parametrize(
    ("name", "bits"), list(product(["CONTROL", "IRQ_PENDING"], [0b01, 0b10, 0b11]))
)
def test_a_written_one_is_a_pulse_of_one_cycle(name, bits):
    bench = Bench()
    pulses = []

    async def watch(ctx):
        while True:
            _, _, *now = await ctx.tick().sample(
                bench.dut.pulse_CONTROL, bench.dut.pulse_IRQ_PENDING
            )
            pulses.append(tuple(now))

    async def test(ctx):
        await bench.write(ctx, REGISTERS[name].offset, bits)
        await bench.write(ctx, REGISTERS["WATCHDOG"].offset, 0xFFFFFFFF)
        for _ in range(5):
            await ctx.tick()

    simulate(bench.dut, test, background=[watch])
    seen = [now for now in pulses if any(now)]
    assert seen == [(bits, 0) if name == "CONTROL" else (0, bits)]


def test_control_reads_as_zero():
    bench = Bench()

    async def test(ctx):
        await bench.write(ctx, REGISTERS["CONTROL"].offset, 3)
        assert await bench.read_register(ctx, "CONTROL") == 0

    bench.run(test)


def test_unknown_addresses_read_as_zero_and_ignore_writes():
    bench = Bench()
    known = {
        register.offset + bit // 8
        for register in REGISTERS.values()
        for bit in range(0, register.width, 32)
    }

    async def test(ctx):
        for addr in (0x68, 0xFC, 0x300, (1 << ADDR_WIDTH) - 4):
            assert addr not in known
            await bench.write(ctx, addr, 0xFFFFFFFF)
            assert await bench.read(ctx, addr) == 0
        for name, register in REGISTERS.items():
            if register.access == "rw":
                assert await bench.read_register(ctx, name) == 0

    bench.run(test)


@pytest.mark.requirement("AXI-1")
def test_reads_and_writes_at_once_do_not_disturb_each_other():
    bench = Bench(seed=6)
    other = Bench(bench.dut, seed=7, stall=0.4)
    values = [bench.random.getrandbits(32) for _ in range(20)]
    done = []

    async def write(ctx):
        for value in values:
            await bench.write(ctx, REGISTERS["WATCHDOG"].offset, value)
        done.append(True)

    async def read(ctx):
        seen = []
        while not done:
            seen.append(await other.read_register(ctx, "WATCHDOG"))
        assert set(seen) <= {0, *values}
        assert [value for value in values if value in seen] == list(
            dict.fromkeys(value for value in seen if value)
        )
        assert await other.read_register(ctx, "WATCHDOG") == values[-1]

    simulate(bench.dut, write, read)
