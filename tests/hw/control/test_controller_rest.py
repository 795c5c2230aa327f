"""The end of a program: every engine at rest, and nothing left over."""

import pytest

from systolith_hw.control.controller import Controller
from systolith_hw.spec.registers import Engine, ErrorCode

HOLD = 2 * (2 + 2) + 128 + Controller.RESET_TRAVEL
"""Cycles after which nothing can be in a pipeline."""


@pytest.mark.parametrize("engine", Engine)
def test_a_program_ends_in_the_cycle_in_which_the_last_engine_is_at_rest(make_bench, engine):
    ends = []
    for late in (0, 1, HOLD - 5):
        bench = make_bench()
        dut = bench.dut

        async def test(ctx, dut=dut, bench=bench, late=late):
            await bench.start(ctx, count=1)
            await bench.pulse(ctx, dut.dispatched, 1)
            await bench.wait(ctx, 20)
            ctx.set(dut.rest, 0b1111 & ~(1 << engine))
            ctx.set(dut.fetched, 1)
            await bench.pulse(ctx, dut.finished, 1)
            await bench.wait(ctx, late)
            ctx.set(dut.rest, 0b1111)
            cycles = late
            while bench.status(ctx) == make_bench.RUNNING:
                await ctx.tick()
                cycles += 1
            assert bench.status(ctx) == make_bench.DONE
            ends.append(cycles)

        bench.run(test)
    # The first waits for the counters, which take as long.
    assert ends == [2, 3, HOLD - 5 + 2]


@pytest.mark.parametrize("engine", Engine)
def test_what_is_left_over_at_the_end_is_a_fault_of_its_engine(make_bench, engine):
    bench = make_bench()
    dut = bench.dut

    async def test(ctx):
        for _ in range(2):
            await bench.start(ctx, count=0)
            ctx.set(dut.rest, 0b1111 & ~(1 << engine))
            await bench.wait(ctx, HOLD)
            assert bench.status(ctx) == make_bench.RUNNING
            await bench.wait(ctx, 20)
            assert bench.status(ctx) == make_bench.FAILED
            assert ErrorCode(ctx.get(dut.error_code)) is ErrorCode.LEFTOVER
            assert ctx.get(dut.error_engine) == engine
            assert ctx.get(dut.error_info) == 0
            await bench.reset(ctx)
        assert (bench.begins, bench.ends) == (2, 2)

    bench.run(test)


def test_an_engine_that_works_is_not_at_rest_and_no_fault(make_bench):
    bench = make_bench()
    dut = bench.dut

    async def test(ctx):
        await bench.start(ctx, count=1)
        await bench.pulse(ctx, dut.dispatched, 1)
        ctx.set(dut.fetched, 1)
        ctx.set(dut.rest, 0)
        await bench.wait(ctx, 3 * HOLD)
        assert bench.status(ctx) == make_bench.RUNNING

    bench.run(test)


@pytest.mark.parametrize("engine", Engine)
def test_a_program_does_not_start_on_what_another_left_over(make_bench, engine):
    bench = make_bench()
    dut = bench.dut

    async def test(ctx):
        await bench.start(ctx, count=1, rest=0b1111 & ~(1 << engine))
        await bench.wait(ctx, 4)
        assert bench.status(ctx) == make_bench.FAILED
        assert ErrorCode(ctx.get(dut.error_code)) is ErrorCode.LEFTOVER
        assert ctx.get(dut.error_engine) == engine

    bench.run(test)
