"""The post-processing lanes against the specification's rule: skewed sums in, pooled words out."""

from random import Random

import pytest
from amaranth.hdl import ResetInserter, Signal

from systolith_hw.interface.core import DrainRead
from systolith_hw.spec.numerics import requantize
from systolith_hw.spec.winograd import LANES
from systolith_hw.store.lanes import PostLanes, drain_flags
from systolith_hw.store.requantize import Requantizer
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.streams import simulate

OUTPUT = (-3, -100, 90)
SHAPES = [(4, 1), (4, 2), (4, 4), (8, 4)]


def make_dut(block, lanes, functions=0):
    return PostLanes(
        small_config(block, block, post_lanes=lanes, param_depth=4 * block, functions=functions)
    )


def random_entry(random):
    return {
        "bias": random.randint(-500, 500),
        "multiplier": random.randint(1 << 13, 1 << 16),
        "shift": random.randint(18, 22),
    }


async def play(ctx, dut, reads):
    """Give a read a cycle, None for a pause, and return the words with the cycles they come in.

    A read is its flags, and for each lane its sum and parameter entry.
    """
    lanes = dut.config.post_lanes
    ctx.set(dut.output, dict(zip(("zero_point", "low", "high"), OUTPUT, strict=True)))
    words = []
    for cycle in range(len(reads) + dut.latency(dut.config) + 8):
        read = reads[cycle] if cycle < len(reads) else None
        # Without `valid` the other flags say nothing.
        ctx.set(dut.flags, read[0] if read else {"valid": 0, "last": 1, "word_last": 1})
        for lane in range(lanes):
            place = cycle - DrainRead.LATENCY - lane
            if 0 <= place < len(reads) and reads[place]:
                total, entry = reads[place][1][lane]
                ctx.set(dut.sum[lane], total)
                ctx.set(dut.param[lane], entry)
        _, _, valid, word = await ctx.tick().sample(dut.word_valid, dut.word)
        if valid:
            words.append((cycle, word))
    return words


def random_reads(dut, random, words, window, pause, function=lambda value: value):
    """Return reads, and the words they give with the cycles of their last reads."""
    block, lanes = dut.config.block, dut.config.post_lanes
    groups = block // lanes
    reads, expected = [], []
    for _ in range(words):
        results = []
        while random.random() < pause:  # between words only
            reads.append(None)
        for group in range(groups):
            entries = [random_entry(random) for _ in range(lanes)]
            values = []
            for index in range(window):
                sums = [random.randint(-9000, 9000) for _ in range(lanes)]
                flags = {
                    "valid": 1,
                    "first": index == 0,
                    "last": index == window - 1,
                    "word_last": group == groups - 1,
                    "group": group,
                }
                reads.append((flags, list(zip(sums, entries, strict=True))))
                values.append(
                    [
                        function(
                            requantize(
                                total, entry["bias"], entry["multiplier"], entry["shift"], *OUTPUT
                            )
                        )
                        for total, entry in zip(sums, entries, strict=True)
                    ]
                )
            results += [max(lane) for lane in zip(*values, strict=True)]
        word = int.from_bytes(bytes(value & 255 for value in results), "little")
        expected.append((len(reads) - 1, word))
    return reads, expected


@pytest.mark.parametrize(("block", "lanes"), SHAPES)
@pytest.mark.parametrize("window", [1, 4])
@pytest.mark.parametrize("pause", [0.0, 0.4])
def test_a_word_holds_each_windows_maximum_latency_cycles_after_its_last_read(
    block, lanes, window, pause
):
    dut = make_dut(block, lanes)
    reads, expected = random_reads(dut, Random(block + window), 12, window, pause)
    got = []

    async def bench(ctx):
        got.extend(await play(ctx, dut, reads))

    simulate(dut, bench)
    late = dut.latency(dut.config)
    assert got == [(cycle + late, word) for cycle, word in expected]


@pytest.mark.parametrize(("block", "lanes"), SHAPES)
@pytest.mark.parametrize("use", [0, 1])
def test_values_are_looked_up_before_the_maximum(block, lanes, use):
    dut = make_dut(block, lanes, functions=1)
    random = Random(block)
    table = [random.randint(-128, 127) for _ in range(256)]
    reads, expected = random_reads(
        dut, random, 12, 4, 0.3, lambda value: table[value + 128] if use else value
    )
    got = []

    async def bench(ctx):
        for place, entry in enumerate(table):
            ctx.set(dut.table.addr, place)
            ctx.set(dut.table.data[0], entry & 255)
            ctx.set(dut.table.en, 1)
            await ctx.tick()
        ctx.set(dut.table.en, 0)
        ctx.set(dut.use_table, use)
        got.extend(await play(ctx, dut, reads))

    simulate(dut, bench)
    late = dut.latency(dut.config)
    assert got == [(cycle + late, word) for cycle, word in expected]


def test_a_reset_lets_no_word_out():
    dut = make_dut(4, 2)
    reads, _ = random_reads(dut, Random(1), 2, 1, 0.0)
    rst = Signal()
    got = []

    async def bench(ctx):
        for read in reads:
            ctx.set(dut.flags, read[0])
            await ctx.tick()
        ctx.set(dut.flags, {"valid": 0})
        ctx.set(rst, 1)
        await ctx.tick()
        ctx.set(rst, 0)
        got.extend(await play(ctx, dut, []))

    simulate(ResetInserter(rst)(dut), bench)
    assert got == []


def test_flags_know_every_group_of_a_word():
    assert drain_flags(small_config(8, 8, post_lanes=1, param_depth=32))["group"].width == 3


def test_with_patches_the_results_come_out_aligned_too():
    lanes = 2
    config = small_config(4, 4, post_lanes=lanes, winograd=4, acc_depth=4 * LANES)
    dut = PostLanes(config)
    random = Random(3)
    sums = [[random.randint(-9000, 9000) for _ in range(lanes)] for _ in range(40)]
    entry = random_entry(random)
    late = Requantizer.LATENCY + lanes - 1
    got = []

    async def bench(ctx):
        ctx.set(dut.output, dict(zip(("zero_point", "low", "high"), OUTPUT, strict=True)))
        for cycle in range(len(sums) + late):
            for lane in range(lanes):
                ctx.set(dut.param[lane], entry)
                if 0 <= cycle - lane < len(sums):
                    ctx.set(dut.sum[lane], sums[cycle - lane][lane])
            if cycle >= late:
                got.append([ctx.get(dut.value[lane]) for lane in range(lanes)])
            await ctx.tick()

    simulate(dut, bench)
    bias, multiplier, shift = entry["bias"], entry["multiplier"], entry["shift"]
    assert got == [
        [requantize(total, bias, multiplier, shift, *OUTPUT) for total in values] for values in sums
    ]
