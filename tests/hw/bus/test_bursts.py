"""Regions to runs to bursts: every byte of a region, no other beat, AXI4's rules."""

from itertools import pairwise
from random import Random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import connect

from systolith_hw.bus.bursts import BurstSplitter, RegionWalker
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.streams import simulate, stream_get, stream_put, trace

WORDS = (4, 12, 8)
BUSES = [(4, 1), (8, 4), (16, 256), (64, 64), (8, 16)]


def random_region(random, kind, addr_width=32):
    run_words = random.choice([1, 2, random.randint(1, 40), random.randint(1, 700)])
    size = run_words * WORDS[kind]
    pitch = random.choice([size, size + 4, size + random.randrange(0, 5000, 4), 0])
    plane_pitch = random.randrange(0, 9000, 4)
    addr = random.choice([random.randrange(0, 1 << 20, 4), 4096 * 3 - 4, 4096, 0])
    return {
        "addr": addr + random.choice([0, (1 << addr_width) - (1 << 22)]),
        "run_words": run_words,
        "runs": random.randint(1, 4),
        "run_pitch": pitch,
        "planes": random.randint(1, 3),
        "plane_pitch": plane_pitch,
        "kind": kind,
    }


def runs_of(region):
    """Return (address, bytes) of every run."""
    return [
        (
            region["addr"] + plane * region["plane_pitch"] + run * region["run_pitch"],
            region["run_words"] * WORDS[region["kind"]],
        )
        for plane in range(region["planes"])
        for run in range(region["runs"])
    ]


def regions(seed, count=8, addr_width=32):
    random = Random(seed)
    return [random_region(random, index % len(WORDS), addr_width) for index in range(count)]


class Chain(wiring.Component):
    """A walker in front of a splitter."""

    def __init__(self, config):
        self.walker = RegionWalker(config, WORDS)
        self.splitter = BurstSplitter(config)
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        m.submodules.walker = self.walker
        m.submodules.splitter = self.splitter
        connect(m, self.walker.run, self.splitter.run)
        return m


@pytest.mark.parametrize(("bus", "beats"), BUSES)
@pytest.mark.parametrize(("stall_in", "stall_out"), [(0.0, 0.0), (0.7, 0.5)])
def test_walker_gives_every_run_as_beats(bus, beats, stall_in, stall_out):
    config = small_config(bus_bytes=bus, burst_beats=beats, out_depth=4096)
    dut = RegionWalker(config, WORDS)
    given = regions(bus)
    expected = [run for region in given for run in runs_of(region)]
    runs = []

    async def feed(ctx):
        await stream_put(ctx, dut.region, given, seed=5, stall=stall_in)

    async def take(ctx):
        runs.extend(await stream_get(ctx, dut.run, len(expected), seed=6, stall=stall_out))
        ctx.set(dut.run.ready, 1)
        assert all(valid == 0 for (valid,) in await trace(ctx, 10, dut.run.valid))

    simulate(dut, feed, take, watch=[dut.run])
    for run, (addr, size) in zip(runs, expected, strict=True):
        first = addr // bus
        assert run.addr == first * bus
        assert run.beats == (addr + size - 1) // bus - first + 1
        assert run.skip == addr % bus
        assert run.end == (addr + size - 1) % bus + 1
        assert run.short == (first // beats == (addr + size - 1) // bus // beats)
    ends = [run.last for run in runs]
    assert ends == [
        index == region["runs"] * region["planes"] - 1
        for region in given
        for index in range(region["runs"] * region["planes"])
    ]


def test_walker_gives_a_run_every_second_cycle_at_most():
    dut = RegionWalker(small_config(bus_bytes=8), WORDS)
    seen = []

    async def feed(ctx):
        await stream_put(ctx, dut.region, regions(8))

    async def take(ctx):
        ctx.set(dut.run.ready, 1)
        seen.extend(valid for (valid,) in await trace(ctx, 200, dut.run.valid))

    simulate(dut, feed, take)
    assert sum(seen) > 20
    assert not any(now and then for now, then in pairwise(seen))


def bursts_of(region, bus, longest):
    """Return (address, beats, last) of every burst."""
    bursts = []
    for addr, size in runs_of(region):
        place, end = addr // bus, (addr + size - 1) // bus + 1
        while place < end:
            beats = min(longest - place % longest, end - place)
            bursts.append((place * bus, beats, False))
            place += beats
    return [*bursts[:-1], (*bursts[-1][:2], True)]


@pytest.mark.parametrize(("bus", "beats"), BUSES)
@pytest.mark.parametrize(("stall_in", "stall_out"), [(0.0, 0.0), (0.7, 0.3)])
def test_bursts_cover_a_region_once_and_cross_no_boundary(bus, beats, stall_in, stall_out):
    config = small_config(bus_bytes=bus, burst_beats=beats, out_depth=4096)
    dut = Chain(config)
    given = regions(bus + 1, count=4)
    expected = [burst for region in given for burst in bursts_of(region, bus, beats)]
    bursts = []

    async def feed(ctx):
        await stream_put(ctx, dut.walker.region, given, seed=7, stall=stall_in)

    async def take(ctx):
        burst = dut.splitter.burst
        bursts.extend(await stream_get(ctx, burst, len(expected), seed=8, stall=stall_out))
        ctx.set(burst.ready, 1)
        assert all(valid == 0 for (valid,) in await trace(ctx, 10, burst.valid))

    simulate(dut, feed, take, watch=[dut.splitter.burst], limit=40_000)
    got = [(burst.addr, burst.length + 1, bool(burst.last)) for burst in bursts]
    assert got == expected
    for addr, count, _ in got:
        assert addr // 4096 == (addr + count * bus - 1) // 4096


@pytest.mark.parametrize("addr_width", [20, 40])
def test_addresses_have_their_full_width(addr_width):
    config = small_config(addr_width=addr_width)
    dut = Chain(config)
    top = (1 << addr_width) - 64
    region = {"addr": top, "run_words": 16, "runs": 1, "planes": 1, "kind": 0}
    bursts = []

    async def feed(ctx):
        await stream_put(ctx, dut.walker.region, [region])

    async def take(ctx):
        bursts.extend(await stream_get(ctx, dut.splitter.burst, 2))

    simulate(dut, feed, take)
    assert [(burst.addr, burst.length) for burst in bursts] == [(top, 3), (top + 32, 3)]


def test_a_run_of_many_bursts_gives_one_a_cycle():
    config = small_config(bus_bytes=8, burst_beats=4)
    dut = BurstSplitter(config)
    run = {"addr": 0, "beats": 40, "skip": 0, "end": 8, "short": 0, "last": 1}
    finished = []

    async def feed(ctx):
        await stream_put(ctx, dut.run, [run, run])

    async def take(ctx):
        ctx.set(dut.burst.ready, 1)
        finished.extend(await trace(ctx, 25, dut.burst.valid))

    simulate(dut, feed, take)
    assert [valid for (valid,) in finished] == [0] + [1] * 20 + [0] * 4
