"""Walks: every place of the nested levels once, in order, and then from the beginning."""

from itertools import product

import pytest
from amaranth.hdl import Module, Signal

from systolith_hw.primitives.countdown import Countdown
from systolith_hw.primitives.walk import Level, walk
from systolith_sim.testing.streams import simulate


@pytest.mark.parametrize("counts", [(), (1,), (3,), (1, 1), (3, 2), (1, 4), (2, 1, 3), (2, 3, 2)])
def test_an_address_goes_through_all_places_and_ends_after_the_last(counts):
    m = Module()
    counters = [Countdown(4, f"level_{index}") for index in range(len(counts))]
    places = [Signal(4, name=f"place_{index}") for index in range(len(counts))]
    steps, rounds = Signal(8), Signal(8)
    start, go = Signal(), Signal()
    levels = []
    for counter, count, place in zip(counters, counts, places, strict=True):
        level = Level.counted(counter, count, place.eq(place + 1), steps.eq(steps + 1))
        levels.append(Level(level.last, [*level.begin, place.eq(0)], level.step))
    with m.If(start):
        m.d.sync += [level.begin for level in levels]
    with m.If(go):
        walk(m, levels, end=[rounds.eq(rounds + 1), steps.eq(0)])
    expected = [tuple(reversed(place)) for place in product(*map(range, reversed(counts)))]

    async def bench(ctx):
        ctx.set(start, 1)
        await ctx.tick()
        ctx.set(start, 0)
        for number in range(2):
            for index, place in enumerate(expected):
                await ctx.tick()  # without a step nothing moves
                assert tuple(ctx.get(signal) for signal in places) == place
                assert (ctx.get(steps), ctx.get(rounds)) == (index, number)
                ctx.set(go, 1)
                await ctx.tick()
                ctx.set(go, 0)

    simulate(m, bench)
