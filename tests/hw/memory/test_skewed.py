"""The skewed memory: every lane a cycle behind its neighbour, groups written apart."""

from random import Random

import pytest

from systolith_hw.memory.skewed import SkewedMemory
from systolith_sim.testing.streams import simulate

SHAPES = [(1, 1), (4, 1), (4, 2), (6, 3), (8, 8)]


def test_groups_that_do_not_divide_the_lanes_are_refused():
    with pytest.raises(ValueError, match=r"^SkewedMemory groups must divide 4 lanes, not 3$"):
        SkewedMemory(lanes=4, groups=3, depth=8, width=8)


@pytest.mark.parametrize(("lanes", "groups"), SHAPES)
@pytest.mark.parametrize("width", [8, 64])
def test_a_lane_shows_its_element_latency_and_its_number_later(lanes, groups, width):
    random = Random(lanes)
    depth = 13
    dut = SkewedMemory(lanes=lanes, groups=groups, depth=depth, width=width)
    assert (dut.lanes, dut.groups, dut.depth, dut.width) == (lanes, groups, depth, width)
    contents = [[random.getrandbits(width) for _ in range(depth)] for _ in range(lanes)]
    for bank, words in zip(dut.banks, contents, strict=True):
        bank.init = words
    addresses = [random.randrange(depth) for _ in range(60)]

    async def bench(ctx):
        rows = []
        for address in addresses:
            ctx.set(dut.r_addr, address)
            _, _, row = await ctx.tick().sample(dut.r_data)
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
    dut = SkewedMemory(lanes=lanes, groups=groups, depth=depth, width=8)
    expected = [[0] * depth for _ in range(lanes)]

    async def bench(ctx):
        for _ in range(150):
            enable = random.getrandbits(groups)
            address = random.randrange(depth)
            word = [random.randrange(256) for _ in range(size)]
            ctx.set(dut.w_en, enable)
            ctx.set(dut.w_addr, address)
            ctx.set(dut.w_data, word)
            await ctx.tick()
            for lane in range(lanes):
                if enable >> (lane // size) & 1:
                    expected[lane][address] = word[lane % size]
        ctx.set(dut.w_en, 0)
        for address in range(depth):
            ctx.set(dut.r_addr, address)
            for _ in range(lanes + SkewedMemory.LATENCY):
                await ctx.tick()
            assert [ctx.get(dut.r_data[lane]) for lane in range(lanes)] == [
                expected[lane][address] for lane in range(lanes)
            ]

    simulate(dut, bench)


def test_a_word_may_be_read_from_the_cycle_after_its_write():
    dut = SkewedMemory(lanes=1, groups=1, depth=4, width=8)

    async def bench(ctx):
        ctx.set(dut.w_en, 1)
        ctx.set(dut.w_addr, 2)
        ctx.set(dut.w_data, [77])
        await ctx.tick()
        ctx.set(dut.w_en, 0)
        ctx.set(dut.r_addr, 2)
        for _ in range(SkewedMemory.LATENCY):
            await ctx.tick()
        assert ctx.get(dut.r_data[0]) == 77

    simulate(dut, bench)
