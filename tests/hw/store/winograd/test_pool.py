"""The 2x2 maxima of patches, and the places of values."""

from random import Random

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from systolith_hw.spec.winograd import LANES, OUTPUTS, PATCH
from systolith_hw.store.winograd.pool import PatchPool
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.streams import simulate


def make_dut(lanes):
    return PatchPool(small_config(post_lanes=lanes, winograd=4, acc_depth=4 * LANES))


async def play(ctx, dut, starts, patches, rst=None, reset_at=None):
    """Give patches (count, 4, 4, lanes) from these cycles on; return what comes out by cycle."""
    random = Random(0)
    given = {
        start + PATCH * row + column: patch[row, column].tolist()
        for start, patch in zip(starts, patches, strict=True)
        for row, column in np.ndindex(OUTPUTS, OUTPUTS)
    }
    got, lasts = {}, []
    for cycle in range(starts[-1] + 40):
        values = given.get(cycle) if reset_at is None or cycle < reset_at else None
        ctx.set(dut.i_valid, values is not None)
        for lane in range(dut.config.post_lanes):
            ctx.set(dut.i[lane], random.randint(-128, 127) if values is None else values[lane])
        if rst is not None:
            ctx.set(rst, cycle == reset_at)
        if ctx.get(dut.o_valid):
            place = ctx.get(dut.place)
            lanes = [ctx.get(dut.o[lane]) for lane in range(dut.config.post_lanes)]
            got[cycle] = (place.row, place.column, lanes)
        if ctx.get(dut.patch_last):
            lasts.append(cycle)
        await ctx.tick()
    return got, lasts


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("pool", [0, 1])
def test_values_or_the_maxima_of_windows_come_latency_cycles_later(lanes, pool):
    dut = make_dut(lanes)
    random = Random(lanes)
    patches = np.random.default_rng(lanes).integers(-128, 128, (20, OUTPUTS, OUTPUTS, lanes))
    patches[3], patches[4] = -128, 127
    starts = np.cumsum([LANES + random.choice([0, 0, 5]) for _ in patches]).tolist()
    outcome = []

    async def bench(ctx):
        ctx.set(dut.pool, pool)
        outcome.extend(await play(ctx, dut, starts, patches))

    simulate(dut, bench)
    got, lasts = outcome
    wanted = {}
    for start, patch in zip(starts, patches, strict=True):
        for row, column in np.ndindex(OUTPUTS, OUTPUTS):
            cycle = start + PATCH * row + column + PatchPool.LATENCY
            if not pool:
                wanted[cycle] = (row, column, patch[row, column].tolist())
            elif row % 2 and column % 2:
                window = patch[row - 1 : row + 1, column - 1 : column + 1]
                wanted[cycle] = (row // 2, column // 2, window.max(axis=(0, 1)).tolist())
    assert got == wanted
    assert lasts == [start + 3 * PATCH + 3 + PatchPool.LATENCY for start in starts]


@pytest.mark.rtl
@pytest.mark.parametrize("pool", [0, 1])
def test_the_netlist_gives_the_same_values(ecp5_recording, pool):
    dut = make_dut(2)
    patches = np.random.default_rng(pool).integers(-128, 128, (20, OUTPUTS, OUTPUTS, 2))
    rst = Signal()

    async def bench(ctx):
        ctx.set(dut.pool, pool)
        await play(ctx, dut, [LANES * number for number in range(20)], patches, rst, 400)

    background = ecp5_recording.record(dut, rst)
    simulate(ResetInserter(rst)(dut), bench, background=background)
    # From the second row on, there is a row above.
    assert ecp5_recording.wrong_cycles(settle=20) == 0


def test_after_a_reset_the_next_value_is_the_first_of_its_patch():
    dut = make_dut(1)
    rst = Signal()
    places = []

    async def bench(ctx):
        patches = np.zeros((1, OUTPUTS, OUTPUTS, 1), int)
        got, lasts = await play(ctx, dut, [0], patches, rst, 7)
        assert max(got) <= 7
        assert not lasts
        got, _ = await play(ctx, dut, [0], patches)
        places.extend((row, column) for row, column, _ in got.values())

    simulate(ResetInserter(rst)(dut), bench)
    assert places == list(np.ndindex(OUTPUTS, OUTPUTS))
