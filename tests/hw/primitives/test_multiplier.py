"""The multiplier: exact products of any shapes, LATENCY cycles later, one a cycle."""

from random import Random

import pytest
from amaranth.hdl import Shape, signed, unsigned

from systolith_hw.primitives.multiplier import Multiplier
from systolith_sim.testing.streams import simulate

SHAPES = [
    (signed(8), signed(8)),
    (unsigned(17), unsigned(16)),
    (signed(15), unsigned(24)),
    (unsigned(1), signed(3)),
]


def extremes(shape):
    low = -(1 << (shape.width - 1)) if shape.signed else 0
    return low, low + (1 << shape.width) - 1


@pytest.mark.parametrize("shapes", SHAPES)
def test_a_product_a_cycle_latency_cycles_later(shapes):
    dut = Multiplier(*shapes)
    assert dut.shapes == shapes
    width = sum(shape.width for shape in shapes)
    assert dut.product.shape() == Shape(width, any(shape.signed for shape in shapes))
    random = Random(width)
    ranges = [extremes(shape) for shape in shapes]
    pairs = [(a, b) for a in ranges[0] for b in ranges[1]]
    pairs += [tuple(random.randint(*ends) for ends in ranges) for _ in range(200)]
    seen = []

    async def bench(ctx):
        for a, b in [*pairs, *[(0, 0)] * dut.LATENCY]:
            ctx.set(dut.a, a)
            ctx.set(dut.b, b)
            seen.append((await ctx.tick().sample(dut.product))[-1])

    simulate(dut, bench)
    assert seen[dut.LATENCY :] == [a * b for a, b in pairs]
