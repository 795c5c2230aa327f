"""The counters of a patch's places."""

from random import Random

import pytest
from amaranth.hdl import ResetInserter, Signal

from systolith_hw.compute.winograd.place import PatchPlace
from systolith_sim.testing.streams import simulate


@pytest.mark.parametrize("pause", [0, 1, 20])
def test_places_follow_begin_and_end_after_36(pause):
    random = Random(pause)
    starts = [5]
    for _ in range(5):
        starts.append(starts[-1] + 36 + random.randint(0, pause))
    expected = {start + 1 + k: divmod(k, 6) for start in starts for k in range(36)}
    dut = PatchPlace()

    async def bench(ctx):
        for cycle in range(starts[-1] + 60):
            ctx.set(dut.begin, cycle in starts)
            _, _, valid, inner, outer = await ctx.tick().sample(dut.valid, dut.inner, dut.outer)
            assert bool(valid) == (cycle in expected)
            if valid:
                assert (outer, inner) == expected[cycle]

    simulate(dut, bench)


def test_a_reset_ends_the_patch():
    dut = PatchPlace()
    reset = Signal()

    async def bench(ctx):
        ctx.set(dut.begin, 1)
        await ctx.tick()
        ctx.set(dut.begin, 0)
        await ctx.tick().repeat(10)
        assert ctx.get(dut.valid)
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)
        assert not ctx.get(dut.valid)

    simulate(ResetInserter(reset)(dut), bench)
