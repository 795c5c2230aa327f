"""Transformed weights as the weight loader reads them: every block of every chunk, in time."""

from itertools import pairwise
from random import Random

import numpy as np
import pytest
from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import connect

from systolith_hw.compute.weights import WeightLoader
from systolith_hw.compute.winograd.kernels import KernelSource
from systolith_hw.compute.winograd.ring import Ring
from systolith_hw.interface.buffers import buffer_shape
from systolith_hw.memory.skewed import SkewedMemory
from systolith_hw.spec.isa import Buffer
from systolith_hw.spec.winograd import KERNEL, LANES, G
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.streams import simulate, stream_put

POINTS = np.array(G)


class Harness(wiring.Component):
    """The weight buffer, the source of blocks, and the loader that reads them."""

    def __init__(self, config, weight):
        self.source = KernelSource(config)
        self.loader = WeightLoader(config)
        self.buffer = SkewedMemory(buffer_shape(Buffer.WEIGHT, config))
        for col, bank in enumerate(self.buffer.banks):
            bank.init = [int(value) & 255 for value in weight[:, col]]
        self.swap = Signal()
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        m.submodules.source = source = self.source
        m.submodules.loader = loader = self.loader
        m.submodules.buffer = self.buffer
        connect(m, source.raw, self.buffer.read)
        connect(m, source.blocks, loader.job)
        m.d.comb += [
            source.capture.eq(loader.capture),
            source.read.addr.eq(loader.addr),
            loader.swap.eq(self.swap),
        ]
        return m


def check_blocks(rows, cols, pause, record=lambda *_: ()):
    """Read the blocks of four chunks, whose first passes begin after pauses."""
    random = Random(rows)
    chunks = 4
    config = small_config(rows, cols, winograd=4, acc_depth=144)
    rng = np.random.default_rng(rows)
    weight = rng.integers(-128, 128, (config.weight_depth, cols))
    kernels = weight[3 : 3 + chunks * 9 * rows].reshape(chunks, KERNEL, KERNEL, rows, cols)
    lanes = np.einsum("ij,cjkro,lk->cilro", POINTS, kernels, POINTS)
    expected = lanes.reshape(chunks * LANES, rows, cols)
    dut = Harness(config, weight)
    seen, captures, swaps = [], [], []

    async def feed(ctx):
        jobs = [(3, 1), (3 + 9 * rows, 3)]
        await stream_put(
            ctx, dut.source.job, [{"weight_base": base, "c_count": n} for base, n in jobs]
        )

    async def passes(ctx):
        last = -99
        cycle = 0
        while len(swaps) < len(expected) or cycle < swaps[-1] + 40:
            due = bool(ctx.get(dut.loader.ready)) and cycle >= last + config.least_pass
            # Passes of a chunk never wait; only the first of one may.
            if due and len(swaps) % LANES == 0:
                due = random.random() < 1 / (1 + pause)
            ctx.set(dut.swap, due and len(swaps) < len(expected))
            if ctx.get(dut.swap):
                swaps.append(cycle)
                last = cycle
            _, _, capture, data, fault = await ctx.tick().sample(
                dut.loader.capture, dut.source.read.data, dut.source.fault
            )
            assert not fault
            if capture:
                captures.append(cycle)
            seen.append([data[col] for col in range(cols)])
            cycle += 1

    simulate(dut, feed, passes, background=record(dut.source), limit=30_000)
    assert len(captures) == len(expected)
    for start, block in zip(captures, expected, strict=True):
        for row in range(rows):
            got = [seen[start + row + Ring.LATENCY + col][col] for col in range(cols)]
            assert got == block[row].tolist()
    if not pause:
        assert {b - a for a, b in pairwise(swaps)} == {config.least_pass}


@pytest.mark.parametrize(("rows", "cols", "pause"), [(2, 2, 0), (4, 2, 0), (5, 5, 0), (4, 2, 300)])
def test_blocks_are_the_lanes_of_all_rows_and_never_late(rows, cols, pause):
    check_blocks(rows, cols, pause)


def test_no_block_comes_of_kernels_that_a_reset_of_one_cycle_has_met():
    config = small_config(2, 2, winograd=4, acc_depth=144)
    dut = Harness(config, np.ones((config.weight_depth, 2), np.int8))
    rst = Signal()
    kernels = 2 * LANES  # the first of a row of the array is in the ring after that many cycles

    async def test(ctx):
        for cycles in range(1, kernels + 20):
            await stream_put(ctx, dut.source.job, [{"weight_base": 0, "c_count": 1}])
            await ctx.tick().repeat(cycles)
            ctx.set(rst, 1)
            await ctx.tick()
            ctx.set(rst, 0)
            for _ in range(kernels):
                assert not ctx.get(dut.source.blocks.valid)
                await ctx.tick()

    simulate(ResetInserter(rst)(dut), test, limit=30_000)


@pytest.mark.rtl
def test_the_netlist_gives_the_same_blocks(ecp5_recording):
    check_blocks(4, 2, 300, ecp5_recording.record)
    # The first two kernels fill the memories of the transform.
    assert ecp5_recording.wrong_cycles(settle=200) == 0
    assert ecp5_recording.cells["DP16KD"] == 2
