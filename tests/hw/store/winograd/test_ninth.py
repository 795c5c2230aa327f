"""The division by nine: exact for every width, one word per cycle."""

from random import Random

import pytest

from systolith_hw.store.winograd.ninth import Ninth
from systolith_sim.testing.streams import simulate


@pytest.mark.parametrize("width", [0, 37])
def test_a_width_without_the_inverse_is_refused(width):
    with pytest.raises(ValueError, match=rf"^Ninth width must be between 1 and 36, not {width}$"):
        Ninth(width)


@pytest.mark.parametrize("width", [5, 20, 30, 32, 36])
def test_it_divides_multiples_of_nine(width):
    dut = Ninth(width)
    random = Random(width)
    most = (1 << (width - 1)) - 1
    values = [0, 1, -1, most, -most - 1, *(random.randint(-most - 1, most) for _ in range(200))]
    got = []

    async def bench(ctx):
        for cycle in range(len(values) + Ninth.LATENCY):
            value = values[cycle] if cycle < len(values) else random.getrandbits(width)
            ctx.set(dut.i, value * 9 % (1 << width))
            got.append(ctx.get(dut.o))
            await ctx.tick()

    simulate(dut, bench)
    assert got[Ninth.LATENCY :] == values
