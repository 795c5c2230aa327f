"""The controller: start, end, tokens, faults, watchdog and reset."""

import pytest

from systolith_hw.control.controller import FAULTS, Controller
from systolith_hw.spec.registers import Engine, ErrorCode


def test_a_program_ends_when_all_it_named_is_done(make_bench):
    bench = make_bench()
    dut = bench.dut

    async def test(ctx):
        assert bench.status(ctx) == make_bench.IDLE
        await bench.start(ctx, count=3)
        assert bench.status(ctx) == make_bench.RUNNING
        for index in range(3):  # a LOAD, a CONV, a STORE
            await bench.pulse(ctx, dut.dispatched, 1 << index)
            ctx.set(dut.fetched, index + 1)
        for counter in range(4):
            await bench.wait(ctx, 20)
            assert bench.status(ctx) == make_bench.RUNNING
            assert ctx.get(dut.stores_pending) == 1
            await bench.pulse(ctx, dut.finished, 1 << counter)
            assert ctx.get(dut.progress[make_bench.COUNTERS[counter]]) == 1
        await bench.wait(ctx, 5)
        assert bench.status(ctx) == make_bench.DONE
        assert (bench.begins, bench.ends) == (1, 1)
        assert ctx.get(dut.stores_pending) == 0

    bench.run(test)


@pytest.mark.parametrize("missing", ["fetched", "dispatched", "quiet"])
def test_it_does_not_end_before(make_bench, missing):
    bench = make_bench()
    dut = bench.dut

    async def test(ctx):
        await bench.start(ctx, count=2)
        await bench.pulse(ctx, dut.dispatched, 0b001)
        if missing == "dispatched":
            await bench.pulse(ctx, dut.dispatched, 0b001)  # one more under way
        ctx.set(dut.fetched, 1 if missing == "fetched" else 2)
        ctx.set(dut.quiet, missing != "quiet")
        await bench.pulse(ctx, dut.finished, 0b0001)
        await bench.wait(ctx, 50)
        assert bench.status(ctx) == make_bench.RUNNING
        assert bench.ends == 0

    bench.run(test)


def test_a_second_program_starts_from_zero_and_does_not_end_with_the_first_ones_counts(make_bench):
    bench = make_bench()
    dut = bench.dut

    async def test(ctx):
        for program in range(2):
            await bench.start(ctx, count=1)
            assert [ctx.get(dut.progress[name]) for name in make_bench.COUNTERS] == [0] * 4
            await bench.wait(ctx, 30)
            assert bench.status(ctx) == make_bench.RUNNING
            await bench.pulse(ctx, dut.dispatched, 0b010)
            ctx.set(dut.fetched, 1)
            await bench.wait(ctx, 10)
            await bench.pulse(ctx, dut.finished, 0b0010)
            await bench.wait(ctx, 5)
            assert bench.status(ctx) == make_bench.DONE
            assert bench.ends == program + 1

    bench.run(test)


def test_a_program_of_no_instructions_ends_at_once(make_bench):
    bench = make_bench()

    async def test(ctx):
        await bench.start(ctx, count=0)
        await bench.wait(ctx, 20)
        assert bench.status(ctx) == make_bench.DONE
        assert bench.ends == 1

    bench.run(test)


@pytest.mark.parametrize("index", range(len(FAULTS)))
def test_a_fault_ends_the_program_and_says_what_where_and_whose(make_bench, index):
    bench = make_bench()
    dut = bench.dut
    _, code, engine = FAULTS[index]

    async def test(ctx):
        await bench.start(ctx, count=9)
        await bench.wait(ctx, 20)
        ctx.set(dut.infos[index], 0x1ABCDEF01 - index)
        await bench.pulse(ctx, dut.faults, 1 << index)
        ctx.set(dut.infos[index], 7)
        await bench.wait(ctx, 3)
        assert bench.status(ctx) == make_bench.FAILED
        assert ctx.get(dut.halt) == 1
        assert ErrorCode(ctx.get(dut.error_code)) is code
        assert Engine(ctx.get(dut.error_engine)) is engine
        assert ctx.get(dut.error_info) == 0x1ABCDEF01 - index
        # Later faults change nothing.
        await bench.pulse(ctx, dut.faults, (1 << len(FAULTS)) - 1)
        await bench.wait(ctx, 5)
        assert ErrorCode(ctx.get(dut.error_code)) is code
        assert bench.ends == 1

    bench.run(test)


def test_the_first_named_of_two_faults_in_a_cycle_counts(make_bench):
    bench = make_bench()
    dut = bench.dut

    async def test(ctx):
        await bench.start(ctx, count=9)
        await bench.pulse(ctx, dut.faults, 0b101001000)
        await bench.wait(ctx, 3)
        assert ErrorCode(ctx.get(dut.error_code)) is FAULTS[3][1]
        assert Engine(ctx.get(dut.error_engine)) is FAULTS[3][2]

    bench.run(test)


def test_a_fault_outranks_the_end_of_the_program(make_bench):
    bench = make_bench()
    dut = bench.dut

    async def test(ctx):
        await bench.start(ctx, count=1)
        await bench.pulse(ctx, dut.dispatched, 0b001)
        ctx.set(dut.fetched, 1)
        await bench.wait(ctx, 20)
        ctx.set(dut.finished, 0b0001)
        await ctx.tick()
        ctx.set(dut.finished, 0)
        await bench.pulse(ctx, dut.faults, 1 << 4)
        await bench.wait(ctx, 5)
        assert bench.status(ctx) == make_bench.FAILED
        assert bench.ends == 1

    bench.run(test)


@pytest.mark.requirement("ISA-4")
@pytest.mark.parametrize("watchdog", [10, 37])
def test_the_watchdog_bites_after_that_many_idle_cycles(make_bench, watchdog):
    bench = make_bench()
    dut = bench.dut

    async def test(ctx):
        await bench.start(ctx, count=1, watchdog=watchdog)
        for _ in range(5):  # activity in time keeps it off
            await bench.wait(ctx, watchdog - 2)
            await bench.pulse(ctx, dut.activity)
        assert bench.status(ctx) == make_bench.RUNNING
        cycles = 0
        while ctx.get(dut.running):
            await ctx.tick()
            cycles += 1
        assert watchdog <= cycles <= watchdog + 4
        assert bench.status(ctx) == make_bench.FAILED
        assert ErrorCode(ctx.get(dut.error_code)) is ErrorCode.WATCHDOG

    bench.run(test)


def test_a_watchdog_of_zero_never_bites(make_bench):
    bench = make_bench()

    async def test(ctx):
        await bench.start(ctx, count=1, watchdog=0)
        await bench.wait(ctx, 500)
        assert bench.status(ctx) == make_bench.RUNNING

    bench.run(test)


@pytest.mark.parametrize("when", ["idle", "running", "failed", "done"])
def test_reset_waits_for_the_bus_then_holds_the_engines_then_allows_a_start(make_bench, when):
    bench = make_bench()
    dut = bench.dut

    async def test(ctx):
        if when != "idle":
            await bench.start(ctx, count=0 if when == "done" else 5)
            await bench.wait(ctx, 20)
        if when == "failed":
            await bench.pulse(ctx, dut.faults, 1)
            await bench.wait(ctx, 5)
        ctx.set(dut.quiet, 0)
        await bench.pulse(ctx, dut.reset_request)
        await ctx.tick()
        for _ in range(40):
            assert ctx.get(dut.resetting) == 1
            assert ctx.get(dut.halt) == 1
            assert ctx.get(dut.engine_reset) == 0
            await ctx.tick()
        ctx.set(dut.quiet, 1)
        await bench.pulse(ctx, dut.start)  # ignored
        held = 0
        while ctx.get(dut.resetting):
            held += ctx.get(dut.engine_reset)
            await ctx.tick()
        longest_pipeline = 2 * (bench.config.rows + bench.config.cols)
        assert held > longest_pipeline
        assert bench.status(ctx) == make_bench.IDLE
        assert ctx.get(dut.halt) == 0
        before = bench.ends
        await bench.start(ctx, count=0)
        await bench.wait(ctx, 20)
        assert bench.status(ctx) == make_bench.DONE
        assert ErrorCode(ctx.get(dut.error_code)) is ErrorCode.NONE
        assert bench.ends == before + 1

    bench.run(test)


@pytest.mark.parametrize("when", ["idle", "running", "failed", "draining", "resetting", "done"])
def test_a_reset_outranks_a_start_in_the_same_cycle(make_bench, when):
    bench = make_bench()
    dut = bench.dut

    async def test(ctx):
        if when != "idle":
            await bench.start(ctx, count=0 if when == "done" else 5)
            await bench.wait(ctx, 20)
        if when == "failed":
            await bench.pulse(ctx, dut.faults, 1)
            await bench.wait(ctx, 5)
        if when in ("draining", "resetting"):
            ctx.set(dut.quiet, when == "resetting")
            await bench.pulse(ctx, dut.reset_request)
            await bench.wait(ctx, 10)
        begins = bench.begins
        ctx.set(dut.start, 1)
        await bench.pulse(ctx, dut.reset_request)
        ctx.set(dut.start, 0)
        ctx.set(dut.quiet, 1)
        assert ctx.get(dut.resetting) == 1
        held = 0
        while ctx.get(dut.resetting):
            held += ctx.get(dut.engine_reset)
            await ctx.tick()
        assert held > 0
        await bench.wait(ctx, 20)
        assert bench.status(ctx) == make_bench.IDLE
        assert bench.begins == begins
        await bench.start(ctx, count=0)
        await bench.wait(ctx, 20)
        assert bench.status(ctx) == make_bench.DONE

    bench.run(test)


def test_error_registers_survive_a_reset_until_the_next_start(make_bench):
    bench = make_bench()
    dut = bench.dut

    async def test(ctx):
        await bench.start(ctx, count=5)
        index = [name for name, _, _ in FAULTS].index("fetch_address")
        ctx.set(dut.infos[index], 0x1234)
        await bench.pulse(ctx, dut.faults, 1 << index)
        await bench.wait(ctx, 4)
        await bench.reset(ctx)
        assert ErrorCode(ctx.get(dut.error_code)) is ErrorCode.ADDRESS
        assert ctx.get(dut.error_info) == 0x1234
        await bench.start(ctx, count=5)
        await ctx.tick()
        assert ErrorCode(ctx.get(dut.error_code)) is ErrorCode.NONE
        assert ctx.get(dut.error_info) == 0

    bench.run(test)


class Impatient(Controller):
    """A controller that waits less than the real one."""

    PATIENCE = 100


def test_a_reset_after_a_broken_protocol_takes_its_time_and_no_longer(make_bench):
    bench = make_bench(Impatient)
    dut = bench.dut

    async def test(ctx):
        for quiet in (0, 1):
            await bench.start(ctx, count=5)
            ctx.set(dut.broken, 1)
            await bench.wait(ctx, 20)
            await bench.pulse(ctx, dut.faults, 1)
            await bench.wait(ctx, 4)
            assert bench.status(ctx) == make_bench.FAILED
            assert ErrorCode(ctx.get(dut.error_code)) is ErrorCode.PROTOCOL
            ctx.set(dut.quiet, quiet)  # whatever the ports believe
            await bench.pulse(ctx, dut.reset_request)
            waited = 0
            while not ctx.get(dut.engine_reset):
                await ctx.tick()
                waited += 1
            assert dut.PATIENCE <= waited <= dut.PATIENCE + 10
            ctx.set(dut.broken, 0)
            while ctx.get(dut.resetting):
                await ctx.tick()
            assert bench.status(ctx) == make_bench.IDLE

    bench.run(test)


def test_faults_without_a_program_change_nothing(make_bench):
    bench = make_bench()
    dut = bench.dut

    async def test(ctx):
        await bench.pulse(ctx, dut.faults, (1 << len(FAULTS)) - 1)
        await bench.wait(ctx, 5)
        assert bench.status(ctx) == make_bench.IDLE
        assert bench.ends == 0

    bench.run(test)
