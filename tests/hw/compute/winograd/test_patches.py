"""Transformed activations: the lanes of gathered patches in the ring, and when it has room."""

from random import Random

import numpy as np
import pytest

from systolith_hw.compute.winograd.patches import PatchSource
from systolith_hw.compute.winograd.ring import Ring
from systolith_hw.memory.skewed import SkewedMemory
from systolith_hw.spec.winograd import B_T, LANES, PATCH
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.streams import simulate

INPUT = np.array(B_T)
MOST = 4
SHAPES = [(1, 2), (2, 2), (1, 1), (3, 1), (1, 4)]
"""Rows of patches of a chunk, and patches of a row."""


def check_chunks(rows, pause, record=lambda *_: ()):
    """Gather chunks with pauses, and read them lane by lane."""
    random = Random(rows)
    config = small_config(rows, rows, winograd=MOST, acc_depth=LANES * MOST)
    dut = PatchSource(config)
    rng = np.random.default_rng(rows)
    chunks = [rng.integers(-128, 128, (y * x, rows, PATCH, PATCH)) for y, x in SHAPES]
    pixels, now = {}, [0]
    expected, got, readies = {}, {}, []

    async def clock(ctx):
        while True:
            for row in range(rows):
                value = pixels.get((now[0], row), random.randint(-128, 127))
                ctx.set(dut.i[row], value & 255)
            _, _, data = await ctx.tick().sample(dut.read.data)
            for row in range(rows):
                place = now[0] - Ring.LATENCY - row, row
                if place in expected:
                    got[place] = data[row]
            now[0] += 1

    async def gather(ctx):
        for (down, across), chunk in zip(SHAPES, chunks, strict=True):
            ctx.set(dut.patches, down * across)
            ctx.set(dut.load, 1)
            await ctx.tick()
            ctx.set(dut.load, 0)
            for number, patch in enumerate(chunk):
                if number % across == 0:
                    for _ in range(random.randint(0, pause)):
                        await ctx.tick()
                    while not ctx.get(dut.ready):
                        readies.append(number)
                        await ctx.tick()
                ctx.set(dut.pixel, 1)
                for k in range(LANES):
                    for row in range(rows):
                        arrives = now[0] + 2 + SkewedMemory.LATENCY + row
                        pixels[arrives, row] = int(patch[row, k % PATCH, k // PATCH])
                    await ctx.tick()
                ctx.set(dut.pixel, 0)

    async def read(ctx):
        for number, chunk in enumerate(chunks):
            lanes = np.einsum("ij,brjk,lk->ilbr", INPUT, chunk, INPUT).reshape(LANES, -1, rows)
            while not ctx.get(dut.full):
                await ctx.tick()
            ctx.set(dut.start, 1)
            for lane in range(LANES):
                ctx.set(dut.release, lane == LANES - 1)
                for patch in range(5):
                    half = number % 2 * LANES * MOST
                    ctx.set(dut.read.addr, half + lane * MOST + min(patch, MOST - 1))
                    if patch < len(chunk):
                        for row in range(rows):
                            expected[now[0], row] = lanes[lane, patch, row]
                    await ctx.tick()
                    ctx.set(dut.start, 0)
                    ctx.set(dut.release, 0)
        await ctx.tick().repeat(20)

    simulate(dut, gather, read, background=[clock, *record(dut)], limit=20_000)
    assert len(expected) == LANES * sum(map(len, chunks)) * rows
    assert got == expected
    # Only the first row of a chunk ever waits for room.
    assert set(readies) <= {0}
    assert readies or pause


@pytest.mark.parametrize("rows", [2, 5])
@pytest.mark.parametrize("pause", [0, 200])
def test_chunks_of_gathered_patches_can_be_read_lane_by_lane(rows, pause):
    check_chunks(rows, pause)


@pytest.mark.rtl
def test_the_netlist_gives_the_same_lanes(ecp5_recording):
    check_chunks(2, 200, ecp5_recording.record)
    # The first patch fills the memories of the transform.
    assert ecp5_recording.wrong_cycles(settle=400) == 0
    assert ecp5_recording.cells["DP16KD"] == 2
