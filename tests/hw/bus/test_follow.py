"""The follower of bursts: each beat is told from one that nobody has asked for."""

import pytest

from systolith_hw.bus.follow import BurstFollower
from systolith_sim.testing.streams import simulate


@pytest.mark.parametrize("bursts", [1, 2, 5])
@pytest.mark.parametrize(
    ("lengths", "lasts", "broken_at"),
    [
        ([1], [1], None),
        ([3], [0, 0, 1], None),
        ([3, 1, 2], [0, 0, 1, 1, 0, 1], None),
        ([256], [*[0] * 255, 1], None),
        ([], [1], 0),
        ([3], [0, 1], 1),
        ([3], [0, 0, 0], 2),
        ([2, 2], [0, 1, 0, 0], 3),
        ([2], [0, 1, 0], 2),
    ],
)
def test_the_first_wrong_beat_is_named(bursts, lengths, lasts, broken_at):
    dut = BurstFollower(bursts)
    seen = []
    waiting = list(lengths)

    async def bench(ctx):
        left = 0
        for beat, last in enumerate(lasts):
            if left == 0 and waiting:
                left = waiting.pop(0)
                ctx.set(dut.burst.p, left - 1)
                ctx.set(dut.burst.valid, 1)
                await ctx.tick()
                ctx.set(dut.burst.valid, 0)
            left = max(0, left - 1)
            ctx.set(dut.beat, 1)
            ctx.set(dut.last, last)
            await ctx.tick()
            ctx.set(dut.beat, 0)
            for _ in range(3):
                await ctx.tick()
                if ctx.get(dut.broken):
                    seen.append(beat)

    simulate(dut, bench)
    assert seen[:1] == ([] if broken_at is None else [broken_at])
