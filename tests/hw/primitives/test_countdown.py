"""Countdowns: as many iterations as were loaded, `last` in the last one."""

import pytest
from amaranth.hdl import Module, Signal

from systolith_hw.primitives.countdown import Countdown
from systolith_sim.testing.streams import simulate


@pytest.mark.parametrize("count", [1, 2, 3, 255, 256])
def test_last_is_known_in_the_last_iteration_only(count):
    m = Module()
    counter = Countdown(8, "counter")
    load, advance = Signal(), Signal()
    with m.If(load):
        m.d.sync += counter.load(Signal(9, init=count))
    with m.Elif(advance):
        m.d.sync += counter.advance()
    seen = []

    async def bench(ctx):
        ctx.set(load, 1)
        await ctx.tick()
        ctx.set(load, 0)
        for number in range(count):
            # It waits as long as it has to.
            await ctx.tick().repeat(number % 3 + 1)
            seen.append((ctx.get(counter.left), ctx.get(counter.last)))
            ctx.set(advance, 1)
            await ctx.tick()
            ctx.set(advance, 0)

    simulate(m, bench)
    assert seen == [(count - 1 - number, number == count - 1) for number in range(count)]


def test_before_anything_is_loaded_it_is_at_its_end():
    m = Module()
    counter = Countdown(4, "counter")
    m.d.sync += Signal().eq(counter.left)

    async def bench(ctx):
        await ctx.tick()
        assert ctx.get(counter.last) == 1

    simulate(m, bench)
