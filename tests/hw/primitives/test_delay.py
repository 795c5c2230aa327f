"""Delays: a value comes out as it was so many cycles ago, with or without a reset."""

from random import Random

import pytest
from amaranth.hdl import Module, ResetInserter, Signal, signed
from amaranth.lib import data

from systolith_hw.primitives.delay import delay
from systolith_sim.testing.streams import simulate, trace


@pytest.mark.parametrize("cycles", [0, 1, 2, 5])
def test_a_signed_value_keeps_its_sign(cycles):
    m = Module()
    i, o = Signal(signed(5)), Signal(signed(8))
    m.d.comb += o.eq(delay(m, i, cycles, "late"))
    m.d.sync += Signal().eq(1)  # a clock, also where nothing is delayed
    random = Random(cycles)
    values = [random.randrange(-16, 16) for _ in range(30)]
    seen = []

    async def bench(ctx):
        for value in values:
            ctx.set(i, value)
            seen.append((await ctx.tick().sample(o))[-1])

    simulate(m, bench)
    assert seen == [0] * cycles + values[: len(values) - cycles]


def test_a_layout_stays_one():
    m = Module()
    i = Signal(data.StructLayout({"count": signed(4), "flag": 1}))
    late = delay(m, i, 2, "late")
    rows = []

    async def bench(ctx):
        ctx.set(i, {"count": -3, "flag": 1})
        rows.extend(await trace(ctx, 3, late.count, late.flag))

    simulate(m, bench)
    assert rows == [(0, 0), (0, 0), (-3, 1)]


@pytest.mark.parametrize(("reset", "after"), [(False, [1, 1]), (True, [0, 0])])
def test_only_control_is_reset(reset, after):
    m = Module()
    i, o, rst = Signal(), Signal(), Signal()
    m.d.comb += o.eq(delay(m, i, 2, "late", reset=reset))
    rows = []

    async def bench(ctx):
        ctx.set(i, 1)
        await ctx.tick().repeat(3)
        ctx.set(i, 0)
        ctx.set(rst, 1)
        await ctx.tick()
        ctx.set(rst, 0)
        rows.extend(await trace(ctx, 3, o))

    simulate(ResetInserter(rst)(m), bench)
    # The reset itself is the first of the two cycles that a 1 has left to go.
    assert [row[0] for row in rows] == [after[0], 0, 0]


def test_a_negative_delay_is_refused():
    with pytest.raises(ValueError, match=r"^Cycles of a delay must be 0 or more, not -1$"):
        delay(Module(), Signal(), -1, "late")
