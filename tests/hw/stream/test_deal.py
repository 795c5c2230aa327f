"""Dealing to several takers: each gets its items, all of them, in order."""

from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.stream.deal import deal
from systolith_sim.testing.streams import collect, simulate, stream_put


class Harness(wiring.Component):
    """Three takers; the third wants odd items only, and items are offered while `open`."""

    i: Any
    o: Any
    open: Any

    def __init__(self):
        item = stream.Signature(8)
        super().__init__({"i": In(item), "o": Out(item).array(3), "open": In(1)})

    def elaborate(self, platform):
        m = Module()
        takers = {f"taker_{index}": port for index, port in enumerate(self.o)}
        wanted = {"taker_2": self.i.p[0]}
        deal(m, self.i, takers, wanted=wanted, offered=self.open)
        for taker in takers.values():
            m.d.comb += taker.p.eq(self.i.p)
        return m


@pytest.mark.parametrize("stalls", [(0, 0, 0), (0.5, 0, 0.8), (0, 0.9, 0.3), (0.8, 0.8, 0.8)])
def test_each_taker_gets_all_items_that_it_wants_in_order(stalls):
    items = list(range(60))
    dut = Harness()
    taken = [[], [], []]

    async def feed(ctx):
        ctx.set(dut.open, 1)
        await stream_put(ctx, dut.i, items, seed=1, stall=0.3)
        await ctx.tick().repeat(60)

    def taker(index):
        async def take(ctx):
            await collect(ctx, dut.o[index], taken[index], seed=index, stall=stalls[index])

        return take

    simulate(dut, feed, watch=dut.o, background=[taker(index) for index in range(3)])
    assert taken == [items, items, items[1::2]]


def test_an_item_that_is_not_offered_stays():
    dut = Harness()

    async def bench(ctx):
        ctx.set(dut.i.valid, 1)
        for port in dut.o:
            ctx.set(port.ready, 1)
        for _ in range(5):
            _, _, ready, valid = await ctx.tick().sample(dut.i.ready, dut.o[0].valid)
            assert not ready
            assert not valid
        ctx.set(dut.open, 1)
        _, _, ready, valid = await ctx.tick().sample(dut.i.ready, dut.o[0].valid)
        assert (ready, valid) == (0, 1)
        _, _, ready, valid = await ctx.tick().sample(dut.i.ready, dut.o[0].valid)
        assert (ready, valid) == (1, 0)

    simulate(dut, bench)
