"""The read side of the AXI4 master against a memory that stalls and answers out of order."""

from collections import deque
from random import Random

import pytest

from systolith_hw.bus.axi import AxiId, Response
from systolith_hw.bus.read_port import ReadPort
from systolith_sim.formal.stream_contract import StreamContract
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.streams import simulate, stream_get, stream_put

OPEN = (0, 1 << 32)


def beat_at(addr, config):
    """Return what the memory holds in the beat at `addr`."""
    return (addr * 0x9E3779B97F4A7C15 + 1) & ((1 << (8 * config.bus_bytes)) - 1)


class Memory:
    """AR and R of a memory: bursts in order for each identifier, interleaved beat by beat."""

    def __init__(self, dut, *, seed=0, stall=0.0, bad=()):
        self.dut = dut
        self.random = Random(seed)
        self.stall = stall
        self.bad = bad
        self.bursts = []
        self.finished = 0
        self.most_open = 0

    async def run(self, ctx):
        bus, config = self.dut.bus, self.dut.config
        queues = {AxiId.LOAD: deque(), AxiId.FETCH: deque()}
        while True:
            ctx.set(bus.arready, self.random.random() >= self.stall)
            ready = [identifier for identifier, queue in queues.items() if queue]
            if not ctx.get(bus.rvalid) and ready and self.random.random() >= self.stall:
                identifier = self.random.choice(ready)
                addr, last = queues[identifier].popleft()
                ctx.set(bus.rvalid, 1)
                ctx.set(bus.rid, identifier)
                ctx.set(bus.rdata, beat_at(addr, config))
                ctx.set(bus.rlast, last)
                ctx.set(bus.rresp, Response.SLVERR if addr in self.bad else Response.OKAY)
            _, _, ar, r, addr, length, identifier, last = await ctx.tick().sample(
                bus.arvalid & bus.arready,
                bus.rvalid & bus.rready,
                bus.araddr,
                bus.arlen,
                bus.arid,
                bus.rlast,
            )
            if ar:
                assert ctx.get(bus.arsize) == config.bus_bytes.bit_length() - 1
                assert ctx.get(bus.arburst) == 1
                identifier = AxiId(identifier)
                self.bursts.append((identifier, addr, length + 1))
                queues[identifier].extend(
                    (addr + index * config.bus_bytes, index == length)
                    for index in range(length + 1)
                )
            if r:
                ctx.set(bus.rvalid, 0)
                self.finished += last
            self.most_open = max(self.most_open, len(self.bursts) - self.finished)


def random_bursts(random, config, count):
    return [
        {
            "addr": random.randrange(1 << 16) * config.bus_bytes,
            "length": random.randint(1, config.burst_beats) - 1,
            "last": 0,
        }
        for _ in range(count)
    ]


def beats_of(bursts, config):
    return [
        beat_at(burst["addr"] + index * config.bus_bytes, config)
        for burst in bursts
        for index in range(burst["length"] + 1)
    ]


def ar_contract(bus):
    return StreamContract(bus.arvalid, bus.arready, bus.araddr, bus.arlen, bus.arid)


def open_window(ctx, dut, window=OPEN):
    ctx.set(dut.window_base, window[0])
    ctx.set(dut.window_end, window[1])


@pytest.mark.parametrize("bus", [4, 16])
@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize(("burst_stall", "beat_stall"), [(0.0, 0.0), (0.8, 0.0), (0.0, 0.6)])
def test_each_user_gets_its_beats_in_order(bus, stall, burst_stall, beat_stall):
    config = small_config(bus_bytes=bus, outstanding_reads=3)
    random = Random(bus)
    loads, fetches = random_bursts(random, config, 25), random_bursts(random, config, 8)
    dut = ReadPort(config)
    memory = Memory(dut, seed=bus, stall=stall)
    got = {}

    async def feed_load(ctx):
        open_window(ctx, dut)
        await stream_put(ctx, dut.load, loads, seed=1, stall=burst_stall)

    async def feed_fetch(ctx):
        await stream_put(ctx, dut.fetch, fetches, seed=2, stall=0.9)

    async def take_load(ctx):
        count = len(beats_of(loads, config))
        got["load"] = await stream_get(ctx, dut.load_beat, count, seed=3, stall=beat_stall)
        ctx.set(dut.load_beat.ready, 1)

    async def take_fetch(ctx):
        count = len(beats_of(fetches, config))
        got["fetch"] = await stream_get(ctx, dut.fetch_beat, count, seed=4, stall=beat_stall)
        ctx.set(dut.fetch_beat.ready, 1)

    async def end(ctx):
        while len(got) < 2:
            await ctx.tick()
        for _ in range(20):
            _, _, *valids = await ctx.tick().sample(
                dut.bus.arvalid, dut.load_beat.valid, dut.fetch_beat.valid
            )
            assert valids == [0, 0, 0]
        assert ctx.get(dut.quiet) == 1
        assert ctx.get(dut.bus_error) == 0

    simulate(
        dut,
        feed_load,
        feed_fetch,
        take_load,
        take_fetch,
        end,
        watch=[dut.load_beat, dut.fetch_beat, ar_contract(dut.bus)],
        background=[memory.run],
    )
    assert got["load"] == beats_of(loads, config)
    assert got["fetch"] == beats_of(fetches, config)
    for identifier, bursts in ((AxiId.LOAD, loads), (AxiId.FETCH, fetches)):
        issued = [(addr, count) for number, addr, count in memory.bursts if number == identifier]
        assert issued == [(burst["addr"], burst["length"] + 1) for burst in bursts]
    # The port counts a burst until its last beat is taken from its queue.
    assert 1 <= memory.most_open <= config.outstanding_reads


def test_fetch_goes_first():
    config = small_config()
    dut = ReadPort(config)
    memory = Memory(dut)

    async def bench(ctx):
        open_window(ctx, dut)
        ctx.set(dut.load_beat.ready, 1)
        ctx.set(dut.fetch_beat.ready, 1)
        for port in (dut.load, dut.fetch):
            ctx.set(port.payload, {"addr": 64, "length": 0, "last": 0})
            ctx.set(port.valid, 1)
        for _ in range(12):
            await ctx.tick()

    simulate(dut, bench, background=[memory.run])
    assert {identifier for identifier, _, _ in memory.bursts} == {AxiId.FETCH}


def test_beats_flow_one_a_cycle():
    config = small_config(bus_bytes=8, burst_beats=16)
    dut = ReadPort(config)
    cycles = []

    async def feed(ctx):
        open_window(ctx, dut)
        bursts = [{"addr": 128 * index, "length": 15, "last": 0} for index in range(6)]
        await stream_put(ctx, dut.load, bursts)

    async def memory(ctx):
        ctx.set(dut.bus.arready, 1)
        left = 0
        while True:
            _, _, ar, r = await ctx.tick().sample(dut.bus.arvalid, dut.bus.rvalid & dut.bus.rready)
            left += 16 * ar - r
            ctx.set(dut.bus.rvalid, left > 0)
            ctx.set(dut.bus.rlast, left % 16 == 1)

    async def take(ctx):
        ctx.set(dut.load_beat.ready, 1)
        cycle = 0
        while len(cycles) < 96:
            _, _, valid = await ctx.tick().sample(dut.load_beat.valid)
            if valid:
                cycles.append(cycle)
            cycle += 1

    simulate(dut, feed, take, background=[memory])
    assert cycles == list(range(cycles[0], cycles[0] + 96))


@pytest.mark.parametrize("user", ["load", "fetch"])
@pytest.mark.parametrize(
    ("window", "inside"),
    [
        ((0x1000, 0x1020), True),
        ((0x1001, 0x1020), False),
        ((0x1000, 0x101F), False),
        ((0, 1 << 32), True),
        ((0x1020, 0x2000), False),
        ((0, 0), False),
    ],
)
def test_a_burst_outside_of_the_window_is_a_fault_and_not_issued(user, window, inside):
    config = small_config(bus_bytes=8)
    dut = ReadPort(config)
    memory = Memory(dut)
    faults = []

    async def bench(ctx):
        open_window(ctx, dut, window)
        ctx.set(dut.load_beat.ready, 1)
        ctx.set(dut.fetch_beat.ready, 1)
        await stream_put(ctx, getattr(dut, user), [{"addr": 0x1000, "length": 3, "last": 1}])
        for _ in range(40):
            _, _, fault, fetch, addr = await ctx.tick().sample(
                dut.fault, dut.fault_fetch, dut.fault_addr
            )
            if fault:
                faults.append((fetch, addr))
        assert ctx.get(dut.quiet) == 1

    simulate(dut, bench, background=[memory.run])
    assert faults == ([] if inside else [(user == "fetch", 0x1000)])
    assert len(memory.bursts) == inside


def test_the_window_may_reach_the_end_of_the_address_space():
    config = small_config(bus_bytes=8, addr_width=20)
    dut = ReadPort(config)
    memory = Memory(dut)
    burst = {"addr": (1 << 20) - 32, "length": 3, "last": 1}
    beats = []

    async def bench(ctx):
        open_window(ctx, dut, (0, 1 << 20))
        await stream_put(ctx, dut.load, [burst])
        beats.extend(await stream_get(ctx, dut.load_beat, 4))

    simulate(dut, bench, background=[memory.run])
    assert beats == beats_of([burst], config)


@pytest.mark.parametrize("addr_width", [16, 32, 48])
@pytest.mark.parametrize("end", [0, 0x1000, -1])
def test_a_window_that_reaches_beyond_memory_ends_with_it(addr_width, end):
    config = small_config(bus_bytes=8, addr_width=addr_width)
    dut = ReadPort(config)
    memory = Memory(dut)
    top = 1 << addr_width
    places = [(top - 64, 7), (top - 64, 8), (top - 8, 0), (top - 8, 1), (top, 0), (top + 64, 7)]
    faults = []

    async def bench(ctx):
        open_window(ctx, dut, (top - 0x4000, top + end % top))
        ctx.set(dut.load_beat.ready, 1)
        for addr, length in places:
            await stream_put(ctx, dut.load, [{"addr": addr, "length": length, "last": 1}])
            for _ in range(20):
                _, _, fault, addr = await ctx.tick().sample(dut.fault, dut.fault_addr)
                if fault:
                    faults.append(addr)

    simulate(dut, bench, background=[memory.run])
    assert faults == [top - 64, top - 8, top, top + 64]
    assert [(addr, beats) for _, addr, beats in memory.bursts] == [(top - 64, 8), (top - 8, 1)]


def test_an_error_answer_is_reported_for_its_beat():
    config = small_config(bus_bytes=8)
    dut = ReadPort(config)
    memory = Memory(dut, bad={0x108})
    errors = []

    async def bench(ctx):
        open_window(ctx, dut)
        ctx.set(dut.load_beat.ready, 1)
        await stream_put(ctx, dut.load, [{"addr": 0x100, "length": 3, "last": 1}])
        for _ in range(40):
            _, _, error = await ctx.tick().sample(dut.bus_error)
            errors.append(error)

    simulate(dut, bench, background=[memory.run])
    assert sum(errors) == 1


@pytest.mark.parametrize("halt_at", range(3, 45, 6))
def test_halt_issues_nothing_more_and_drops_what_arrives(halt_at):
    config = small_config(bus_bytes=8)
    random = Random(halt_at)
    dut = ReadPort(config)
    memory = Memory(dut, stall=0.4, seed=halt_at)
    issued = []

    async def feed(ctx):
        open_window(ctx, dut)
        await stream_put(ctx, dut.load, random_bursts(random, config, 100))

    async def bench(ctx):
        ctx.set(dut.load_beat.ready, 1)
        for _ in range(halt_at):
            await ctx.tick()
        ctx.set(dut.halt, 1)
        ctx.set(dut.load_beat.ready, 0)
        await ctx.tick()
        for _ in range(150):
            _, _, valid = await ctx.tick().sample(dut.load_beat.valid)
            assert not valid
        issued.append(len(memory.bursts))
        for _ in range(50):
            _, _, quiet = await ctx.tick().sample(dut.quiet)
            assert quiet
        issued.append(len(memory.bursts))
        assert memory.finished == len(memory.bursts)

    simulate(dut, bench, background=[memory.run, feed], watch=[ar_contract(dut.bus)])
    assert issued[0] == issued[1] < 100
