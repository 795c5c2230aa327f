"""The harness: every input is driven from its pin, every output reaches the other one."""

from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.primitives.harness import Harness
from systolith_sim.testing.streams import simulate

IN_BITS, OUT_BITS = 5, 18


class Spread(wiring.Component):
    """Bit k of the outputs is bit k of the inputs, again and again."""

    a: Any
    b: Any
    x: Any
    y: Any

    def __init__(self):
        super().__init__(
            {"a": In(3), "b": In(data.ArrayLayout(1, 2)), "x": Out(16), "y": Out(OUT_BITS - 16)}
        )

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [self.x.eq(self.a), self.y.eq(self.b.as_value())]
        return m


@pytest.mark.parametrize("ones", [1, 3])
def test_each_input_bit_changes_what_comes_out(ones):
    """A 1 that goes through the inputs changes the parity of all outputs while it is inside."""
    dut = Harness(Spread())
    seen = []

    async def bench(ctx):
        for cycle in range(30):
            ctx.set(dut.i, cycle < ones)
            seen.append((await ctx.tick().sample(dut.o))[-1])

    simulate(dut, bench)
    # Out of 18 bits come 5, of these 2, of these 1: with the inputs' and the outputs' registers
    # five cycles.
    latency = 5
    inside = [
        sum(1 for start in range(ones) if 0 <= cycle - latency - start < IN_BITS) % 2
        for cycle in range(30)
    ]
    assert seen == inside
