"""The weight loader: blocks in order, one ahead of the pass that uses it, never earlier."""

from random import Random

import numpy as np
import pytest

from systolith_hw.compute.weights import WeightLoader
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.streams import simulate, stream_put, trace

JOBS = [(5, 3, 2, 1), (40, 1, 1, 2), (0, 1, 1, 1), (9, 2, 2, 2)]


def payload(job):
    return dict(zip(("weight_base", "s_count", "r_count", "c_count"), job, strict=True))


@pytest.mark.parametrize("rows", [2, 3, 4, 8])
@pytest.mark.parametrize("pause", [0, 5])
def test_blocks_are_read_in_order_each_behind_the_swap_of_the_one_before(rows, pause):
    config = small_config(rows, rows)
    dut = WeightLoader(config)
    random = Random(rows)
    blocks = [base + number * rows for base, s, r, c in JOBS for number in range(s * r * c)]
    seen, swaps = [], []

    async def feed(ctx):
        await stream_put(ctx, dut.job, [payload(job) for job in JOBS])

    async def passes(ctx):
        """Use a block as soon as it is ready, or later: swap a cycle after the decision."""
        cycle = 0
        decided = False
        last = -10
        while len(swaps) < len(blocks) or cycle < swaps[-1] + 20:
            ctx.set(dut.swap, decided)
            if decided:
                swaps.append(cycle)
            _, _, ready, addr, capture, fault = await ctx.tick().sample(
                dut.ready, dut.addr, dut.capture, dut.fault
            )
            assert not fault
            seen.append((addr, capture))
            # A pass is decided on once, and at the earliest when the one before has swapped.
            decided = (
                bool(ready)
                and not decided
                and cycle >= last + max(rows, 4) + random.randint(0, pause)
                and len(swaps) < len(blocks)
            )
            if decided:
                last = cycle
            cycle += 1

    simulate(dut, feed, passes)
    captures = [cycle for cycle, (_, capture) in enumerate(seen) if capture]
    assert len(captures) == len(blocks)
    for number, (start, base) in enumerate(zip(captures, blocks, strict=True)):
        assert [seen[start + i][0] for i in range(rows)] == list(range(base, base + rows))
        # All its words are on their way before the pass's first address, a cycle after the swap.
        assert swaps[number] + 1 >= start + rows
        if number:
            assert start > swaps[number - 1]
    if not pause and rows >= 4:
        blocks_apart = np.diff(captures[1:]).tolist()
        assert set(blocks_apart) == {rows}


@pytest.mark.parametrize(("base", "faults"), [(252, 0), (253, 1)])
def test_an_address_beyond_the_buffer_is_a_fault(base, faults):
    config = small_config(4, 4)
    dut = WeightLoader(config)

    async def bench(ctx):
        await stream_put(ctx, dut.job, [payload((base, 1, 1, 1))])
        rows = await trace(ctx, 20, dut.fault)
        assert sum(fault for (fault,) in rows) == faults

    simulate(dut, bench)
