"""The skewed memory: every lane a cycle behind its neighbour, groups written apart."""

from random import Random

import pytest

from systolith_hw.interface.buffers import BufferShape
from systolith_hw.memory.skewed import SkewedMemory
from systolith_sim.testing.streams import simulate

SHAPES = [(1, 1), (4, 1), (4, 2), (6, 3), (8, 8)]


@pytest.mark.parametrize(("lanes", "groups"), SHAPES)
@pytest.mark.parametrize("width", [8, 64])
def test_a_lane_shows_its_element_latency_and_its_number_later(lanes, groups, width):
    random = Random(lanes)
    depth = 13
    shape = BufferShape(width, lanes, groups, depth)
    dut = SkewedMemory(shape)
    assert dut.shape == shape
    contents = [[random.getrandbits(width) for _ in range(depth)] for _ in range(lanes)]
    for bank, words in zip(dut.banks, contents, strict=True):
        bank.init = words
    addresses = [random.randrange(depth) for _ in range(60)]

    async def bench(ctx):
        rows = []
        for address in addresses:
            ctx.set(dut.read.addr, address)
            _, _, row = await ctx.tick().sample(dut.read.data)
            rows.append(row)
        for cycle, address in enumerate(addresses):
            for lane in range(lanes):
                when = cycle + lane + SkewedMemory.LATENCY
                if when < len(rows):
                    assert rows[when][lane] == contents[lane][address]

    simulate(dut, bench)


@pytest.mark.parametrize(("lanes", "groups"), SHAPES)
def test_groups_are_written_apart_while_others_are_read(lanes, groups):
    random = Random(groups)
    depth, size = 16, lanes // groups
    dut = SkewedMemory(BufferShape(8, lanes, groups, depth))
    expected = [[0] * depth for _ in range(lanes)]

    async def bench(ctx):
        for _ in range(150):
            enable = random.getrandbits(groups)
            address = random.randrange(depth)
            word = [random.randrange(256) for _ in range(size)]
            ctx.set(dut.write.en, enable)
            ctx.set(dut.write.addr, address)
            ctx.set(dut.write.data, word)
            await ctx.tick()
            for lane in range(lanes):
                if enable >> (lane // size) & 1:
                    expected[lane][address] = word[lane % size]
        ctx.set(dut.write.en, 0)
        for address in range(depth):
            ctx.set(dut.read.addr, address)
            for _ in range(lanes + SkewedMemory.LATENCY):
                await ctx.tick()
            assert [ctx.get(dut.read.data[lane]) for lane in range(lanes)] == [
                expected[lane][address] for lane in range(lanes)
            ]

    simulate(dut, bench)


def test_a_word_may_be_read_from_the_cycle_after_its_write():
    dut = SkewedMemory(BufferShape(8, 1, 1, 4))

    async def bench(ctx):
        ctx.set(dut.write.en, 1)
        ctx.set(dut.write.addr, 2)
        ctx.set(dut.write.data, [77])
        await ctx.tick()
        ctx.set(dut.write.en, 0)
        ctx.set(dut.read.addr, 2)
        for _ in range(SkewedMemory.LATENCY):
            await ctx.tick()
        assert ctx.get(dut.read.data[0]) == 77

    simulate(dut, bench)
