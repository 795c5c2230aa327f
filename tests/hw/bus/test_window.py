"""Inside the window means: every byte of the burst, by its whole address."""

from random import Random

import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator

from systolith_hw.bus.window import is_inside
from systolith_hw.interface.layouts import address_bits
from systolith_sim.testing.configs import small_config


@pytest.mark.parametrize("addr_width", [16, 32, 48])
def test_every_byte_counts_and_memory_ends_every_window(addr_width):
    config = small_config(addr_width=addr_width)
    bits, top = address_bits(config), 1 << addr_width
    addr, base, limit = (Signal(bits) for _ in range(3))
    end = Signal(bits + 1)
    inside = Signal()
    m = Module()
    m.d.comb += inside.eq(is_inside(config, addr, end, base, limit))
    random = Random(addr_width)
    marks = [0, 1, 0x4000, top - 0x4000, top - 1, top, top + 1, top + 0x4000, 2 * top - 1]
    seen = set()

    async def bench(ctx):
        for _ in range(5000):
            values = [random.choice(marks) + random.randint(-0x4000, 0x4000) for _ in range(3)]
            values = [random.choice([value, random.choice(marks)]) for value in values]
            first, low, high = (min(max(value, 0), 2 * top - 1) for value in values)
            size = random.choice([1, 64, 0x1000, 0x4000, random.randint(1, 0x4000)])
            for signal, value in ((addr, first), (end, first + size), (base, low), (limit, high)):
                ctx.set(signal, value)
            expected = low <= first and first + size <= min(high, top)
            assert ctx.get(inside) == expected, (first, size, low, high)
            seen.add((expected, first + size > top))

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen == {(True, False), (False, False), (False, True)}
