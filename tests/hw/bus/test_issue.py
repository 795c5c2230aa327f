"""Issuing bursts: one at a time, in the window, where there is room, and not under halt."""

from random import Random

import pytest
from amaranth.hdl import ResetInserter, Signal

from systolith_hw.bus.issue import BurstIssue
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.streams import simulate, stream_get, stream_put, trace

WINDOW = (0x100, 0x800)
LATENCY = 3


def burst(addr, beats=1, last=0):
    return {"addr": addr, "length": beats - 1, "last": last}


def make_dut():
    return BurstIssue(small_config())


def open_window(ctx, dut):
    ctx.set(dut.window_base, WINDOW[0])
    ctx.set(dut.window_end, WINDOW[1])
    ctx.set(dut.room, 1)


@pytest.mark.parametrize("stall", [(0.0, 0.0), (0.6, 0.0), (0.0, 0.7), (0.5, 0.5)])
def test_bursts_in_the_window_come_out_in_order_and_others_are_faults(stall):
    dut = make_dut()
    random = Random(3)
    bursts = [burst(random.randrange(0, 0x900, 32), random.randint(1, 4)) for _ in range(60)]

    def fits(one):
        size = (one["length"] + 1) * dut.config.bus_bytes
        return one["addr"] >= WINDOW[0] and one["addr"] + size <= WINDOW[1]

    good = [one for one in bursts if fits(one)]
    bad = [one["addr"] for one in bursts if not fits(one)]
    assert good
    assert bad
    faults, addresses = [], []

    async def feed(ctx):
        open_window(ctx, dut)
        await stream_put(ctx, dut.burst, bursts, stall=stall[0])

    async def take(ctx):
        addresses.extend(await stream_get(ctx, dut.address, len(good), stall=stall[1]))

    async def watch(ctx):
        while True:
            _, _, fault, addr = await ctx.tick().sample(dut.fault, dut.fault_addr)
            if fault:
                faults.append(addr)

    async def end(ctx):
        while len(addresses) < len(good) or len(faults) < len(bad):
            await ctx.tick()
        rows = await trace(ctx, 10, dut.address.valid, dut.idle)
        assert rows[3:] == [(0, 1)] * 7

    simulate(dut, feed, take, end, background=[watch], watch=[dut.address])
    assert [(one.addr, one.length) for one in addresses] == [
        (one["addr"], one["length"]) for one in good
    ]
    assert faults == bad


def test_an_address_stands_latency_cycles_after_its_burst_was_taken():
    dut = make_dut()

    async def bench(ctx):
        open_window(ctx, dut)
        await stream_put(ctx, dut.burst, [burst(0x200)])
        rows = await trace(ctx, LATENCY + 1, dut.waits, dut.issued, dut.address.valid)
        # Held, its end known; checked and issued; on the channel until it is taken.
        assert rows == [(1, 0, 0), (1, 1, 0), (0, 0, 1), (0, 0, 1)]

    simulate(dut, bench)


def test_without_room_a_burst_waits():
    dut = make_dut()

    async def bench(ctx):
        open_window(ctx, dut)
        ctx.set(dut.room, 0)
        await stream_put(ctx, dut.burst, [burst(0x200, 3)])
        assert await trace(ctx, 8, dut.waits, dut.issued) == [(1, 0)] * 8
        assert ctx.get(dut.held.length) == 2
        ctx.set(dut.room, 1)
        assert await trace(ctx, 2, dut.issued) == [(1,), (0,)]

    simulate(dut, bench)


@pytest.mark.parametrize("cycles", range(6))
def test_halt_forgets_what_is_held_and_keeps_what_is_on_the_channel(cycles):
    dut = make_dut()

    async def bench(ctx):
        open_window(ctx, dut)
        await stream_put(ctx, dut.burst, [burst(0x200)])
        await trace(ctx, cycles)
        on_channel = ctx.get(dut.address.valid)
        assert on_channel == (cycles >= LATENCY - 1)
        ctx.set(dut.halt, 1)
        rows = await trace(ctx, 6, dut.address.valid, dut.waits, dut.fault)
        assert rows[1:] == [(on_channel, 0, 0)] * 5

    simulate(dut, bench)


def test_a_reset_forgets_everything():
    dut = make_dut()
    rst = Signal()

    async def bench(ctx):
        open_window(ctx, dut)
        await stream_put(ctx, dut.burst, [burst(0x200), burst(0x300)])
        ctx.set(rst, 1)
        await ctx.tick()
        ctx.set(rst, 0)
        rows = await trace(ctx, 6, dut.address.valid, dut.waits, dut.idle, dut.fault)
        assert rows == [(0, 0, 1, 0)] * 6

    simulate(ResetInserter(rst)(dut), bench)
