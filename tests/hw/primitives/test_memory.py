"""The registered memory: what was written is read LATENCY cycles after its address."""

from random import Random

import pytest
from amaranth.hdl import MemoryData, signed, unsigned

from systolith_hw.primitives.memory import RegisteredMemory
from systolith_sim.testing.streams import simulate


@pytest.mark.parametrize(("shape", "depth"), [(unsigned(1), 2), (signed(32), 5), (unsigned(8), 64)])
def test_reads_and_writes_side_by_side(shape, depth):
    dut = RegisteredMemory(MemoryData(shape=shape, depth=depth, init=[]))
    random = Random(depth)
    low = -(1 << (shape.width - 1)) if shape.signed else 0
    contents = [0] * depth
    expected, seen = [], []

    async def bench(ctx):
        for _ in range(300):
            read = random.randrange(depth)
            write = random.choice([place for place in range(depth) if place != read])
            value = random.randrange(low, low + (1 << shape.width))
            enable = random.getrandbits(1)
            ctx.set(dut.r_addr, read)
            ctx.set(dut.w_addr, write)
            ctx.set(dut.w_data, value)
            ctx.set(dut.w_en, enable)
            expected.append(contents[read])
            if enable:
                contents[write] = value
            seen.append((await ctx.tick().sample(dut.r_data))[-1])

    simulate(dut, bench)
    assert seen[dut.LATENCY :] == expected[: -dut.LATENCY]
