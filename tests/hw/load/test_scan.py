"""Scans: active bytes packed into the activation buffer, their mask, their number, and cycles."""

import random

import numpy as np
import pytest
from amaranth.hdl import Cat, Module, ResetInserter, Signal
from amaranth.sim import Simulator

from systolith_hw.load.scan import ScanWriter, _at_most
from systolith_sim.emulator.gather import scan
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.streams import simulate, stream_put, trace

SHAPES = [(4, 4), (6, 3), (2, 4)]


def random_scans(rng, config):
    """Return (dest, zero, bytes) of scans of all densities."""
    block, numbers = config.block, np.random.default_rng(rng.getrandbits(32))
    scans = []
    for density in [0, 1, 0.1, 0.3, 0.5, rng.random(), 1 / config.rows]:
        size = rng.randint(1, min(config.mask_words, 7)) * block
        zero = rng.choice([-128, 0, rng.randint(-128, 127)])
        data = np.full(size, zero, np.int8)
        active = numbers.random(size) < density
        data[active] = numbers.integers(-128, 127, int(active.sum()), np.int8, endpoint=True)
        words = -(-size // config.rows)
        scans.append((rng.randint(0, config.act_depth - words), zero, data))
    rng.shuffle(scans)
    return scans


def cycles_of(data, zero, config):
    """Return the cycles in which words are under way, without stalls."""
    active = (data.reshape(-1, config.block) != zero).sum(axis=1)
    count = int(active.sum())
    return int(np.maximum(active, 1).sum()) + (-count % config.rows or config.rows * (not count))


def run(dut, scans, stall, seed=1):
    """Return the traced rows of signals at a scan writer."""
    config = dut.config
    rows = []

    async def feed(ctx):
        for dest, zero, data in scans:
            await stream_put(ctx, dut.job, [{"dest": dest, "pad_value": zero}])
            words = data.view(np.uint8).reshape(-1, config.block)
            for index, word in enumerate(words):
                ctx.set(dut.last, int(index == len(words) - 1))
                value = int.from_bytes(word.tobytes(), "little")
                await stream_put(ctx, dut.word, [value], seed=value + seed, stall=stall)

    async def watch(ctx):
        limit = 20 + sum(
            8 + (2 if stall else 1) * 2 * (data.size + config.rows) for _, _, data in scans
        )
        names = ("finish", "busy", "fault", "fault_addr")
        signals = [getattr(dut, name) for name in names]
        signals += [dut.mask.en, dut.mask.addr, dut.mask.data]
        signals += [dut.write.en, dut.write.addr, dut.write.data.as_value()]
        signals += [dut.active.inputs, dut.active.words]
        rows.extend(await trace(ctx, limit, *signals))

    simulate(dut, feed, watch)
    return rows


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize(("rows", "cols"), SHAPES)
def test_scans_pack_active_bytes_and_keep_a_mask(rows, cols, stall):
    rng = random.Random(f"{rows}x{cols}")
    config = small_config(rows, cols, gather=12 * min(rows, cols))
    scans = random_scans(rng, config)
    traced = run(ScanWriter(config), scans, stall)
    block = config.block
    ends = [cycle for cycle, row in enumerate(traced) if row[0]]
    wanted, mask, start = [], {}, 0
    for (dest, zero, data), end in zip(scans, ends, strict=True):
        found = scan(data, zero, rows)
        part = traced[start : end + 1]
        mask |= {row[5]: row[6] for row in part if row[4]}
        bits = [mask[word] >> bit & 1 for word in range(data.size // block) for bit in range(block)]
        assert bits == found.mask.tolist()
        assert traced[end][10:] == (int(found.mask.sum()), len(found.words))
        busy = [cycle for cycle, row in enumerate(part) if row[1]]
        assert len(busy) == cycles_of(data, zero, config)
        if not stall:
            assert busy == list(range(busy[0], busy[0] + len(busy)))
        assert end == start + busy[-1] + 1
        start = end + 1
        wanted += [
            (dest + word, group, found.words[word, group * block : (group + 1) * block].tobytes())
            for word in range(len(found.words))
            for group in range(config.row_groups)
        ]
    values = [
        (row[8], group, row[9].to_bytes(block, "little"))
        for row in traced
        for group in range(config.row_groups)
        if row[7] >> group & 1
    ]
    assert values == wanted
    assert not any(row[2] for row in traced)


def test_places_beyond_the_buffer_and_the_mask_are_faults():
    config = small_config(gather=8)
    data = np.array([1, 2, 3, 4, 5, 6, 7, 8], np.int8)
    rows = run(ScanWriter(config), [(config.act_depth - 1, 0, data)], 0.0)
    assert [row[3] for row in rows if row[2]] == [config.act_depth]
    rows = run(ScanWriter(config), [(0, 1, np.ones(12, np.int8))], 0.0)
    assert [row[3] for row in rows if row[2]] == [2]


def test_a_reset_ends_the_scan():
    dut = ScanWriter(small_config(gather=64))
    rst = Signal()

    async def bench(ctx):
        await stream_put(ctx, dut.job, [{"dest": 0, "pad_value": 0}])
        await stream_put(ctx, dut.word, [0x01020304])
        ctx.set(rst, 1)
        await ctx.tick().repeat(2)
        ctx.set(rst, 0)
        ctx.set(dut.word.valid, 1)
        rows = await trace(ctx, 8, dut.taken, dut.word.ready, dut.write.en, dut.mask.en, dut.busy)
        assert rows == [(0, 0, 0, 0, 0)] * 8
        assert ctx.get(dut.job.ready) == 1

    simulate(ResetInserter(rst)(dut), bench)


@pytest.mark.parametrize("width", [2, 4, 6, 12])
def test_bits_are_counted_up_to_two(width):
    bits, found = Signal(width), Signal(2)
    m = Module()
    m.d.comb += found.eq(Cat(_at_most(count, bits) for count in (1, 2)))

    async def compare(ctx):
        for value in range(1 << width):
            ctx.set(bits, value)
            assert ctx.get(found) == (value.bit_count() <= 1) + 2 * (value.bit_count() <= 2)

    simulator = Simulator(m)
    simulator.add_testbench(compare)
    simulator.run()
