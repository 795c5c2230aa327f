"""The reader of taps: its addresses, their times, and what it waits for."""

from itertools import pairwise
from random import Random

import pytest

from systolith_hw.compute.winograd.taps import TapReader
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.streams import simulate, stream_put

JOBS = [(5, 2), (100, 1), (0, 1)]


def addresses(rows):
    return [
        [base + (chunk * 9 + tap) * rows + row for tap in range(9)]
        for base, chunks in JOBS
        for chunk in range(chunks)
        for row in range(rows)
    ]


@pytest.mark.parametrize("rows", [2, 3, 8])
@pytest.mark.parametrize("free", [1.0, 0.02])
def test_kernels_are_read_row_by_row_every_36_cycles_when_there_is_room(rows, free):
    random = Random(rows)
    dut = TapReader(small_config(rows, rows, weight_depth=1024))
    expected = addresses(rows)
    seen = []

    async def feed(ctx):
        jobs = [{"weight_base": base, "c_count": chunks} for base, chunks in JOBS]
        await stream_put(ctx, dut.job, jobs)

    async def watch(ctx):
        begun, after = 0, 0
        while after < 12:
            ctx.set(dut.free, random.random() < free)
            _, _, addr, begin, last, take, fault, room = await ctx.tick().sample(
                dut.addr, dut.begin, dut.last, dut.take, dut.fault, dut.free
            )
            assert not fault
            assert room or not take
            seen.append((addr, begin, last, take))
            begun += begin
            after += begun == len(expected)

    simulate(dut, feed, watch, limit=30_000)
    begun = [cycle for cycle, (_, begin, *_) in enumerate(seen) if begin]
    got = [[seen[cycle + tap][0] for tap in range(9)] for cycle in begun]
    assert got == expected
    assert [seen[cycle][2] for cycle in begun] == ([0] * (rows - 1) + [1]) * 4
    # A chunk takes its half in the cycle before its first address.
    assert [cycle for cycle, (*_, take) in enumerate(seen) if take] == [
        cycle - 1 for cycle in begun[::rows]
    ]
    distances = {b - a for a, b in pairwise(begun)}
    assert distances == {36} if free == 1.0 else min(distances) == 36


@pytest.mark.parametrize(("base", "faults"), [(256 - 36, 0), (257 - 36, 1)])
def test_an_address_beyond_the_buffer_is_a_fault(base, faults):
    dut = TapReader(small_config(4, 4))
    seen = []

    async def bench(ctx):
        ctx.set(dut.free, 1)
        await stream_put(ctx, dut.job, [{"weight_base": base, "c_count": 1}])
        for _ in range(200):
            _, _, fault, addr = await ctx.tick().sample(dut.fault, dut.addr)
            if fault:
                seen.append(addr)

    simulate(dut, bench)
    assert seen == [256] * faults
