"""The adder that subtracts, against integers."""

from itertools import product

import pytest
from amaranth.hdl import Module, Signal, signed

from systolith_hw.primitives.adder import plus_minus
from systolith_sim.testing.streams import simulate


@pytest.mark.parametrize(("a_width", "b_width", "width"), [(3, 4, 5), (4, 3, 5), (4, 4, 3)])
def test_sums_and_differences_are_those_of_integers_modulo_the_width(a_width, b_width, width):
    m = Module()
    a, b, minus = Signal(signed(a_width)), Signal(signed(b_width)), Signal()
    o = Signal(signed(width))
    m.d.comb += o.eq(plus_minus(a, b, minus, width))
    m.d.sync += Signal().eq(0)

    async def bench(ctx):
        values = (range(-(1 << (w - 1)), 1 << (w - 1)) for w in (a_width, b_width))
        for x, y, subtract in product(*values, (0, 1)):
            ctx.set(a, x)
            ctx.set(b, y)
            ctx.set(minus, subtract)
            wanted = (x - y if subtract else x + y) % (1 << width)
            assert ctx.get(o) % (1 << width) == wanted

    simulate(m, bench)
