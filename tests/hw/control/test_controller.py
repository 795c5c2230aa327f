"""The controller: start, end, tokens, faults, watchdog and reset."""

import pytest

from systolith_hw.control.controller import FAULTS, Controller
from systolith_hw.spec.registers import Engine, ErrorCode
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.streams import simulate

COUNTERS = ("loaded", "computed", "drained", "stored")


class Bench:
    """A controller and what tests do with it."""

    def __init__(self, kind=Controller):
        self.config = small_config(2, 2)
        self.dut = kind(self.config)
        self.ends = 0
        self.begins = 0

    async def watch(self, ctx):
        while True:
            _, _, begin, end = await ctx.tick().sample(self.dut.begin, self.dut.end)
            self.begins += begin
            self.ends += end

    async def pulse(self, ctx, signal, value=1):
        ctx.set(signal, value)
        await ctx.tick()
        ctx.set(signal, 0)

    async def wait(self, ctx, cycles):
        for _ in range(cycles):
            await ctx.tick()

    async def start(self, ctx, count=1, watchdog=0, rest=0b1111):
        ctx.set(self.dut.count, count)
        ctx.set(self.dut.watchdog, watchdog)
        ctx.set(self.dut.quiet, 1)
        ctx.set(self.dut.rest, rest)
        await self.pulse(ctx, self.dut.start)
        ctx.set(self.dut.fetched, 0)  # fetch starts again with `begin`

    async def reset(self, ctx):
        await self.pulse(ctx, self.dut.reset_request)
        while ctx.get(self.dut.resetting):
            await ctx.tick()

    def run(self, test):
        simulate(self.dut, test, background=[self.watch])

    def status(self, ctx):
        return tuple(
            ctx.get(signal) for signal in (self.dut.running, self.dut.done, self.dut.failed)
        )


RUNNING, DONE, FAILED, IDLE = (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0)


def test_a_program_ends_when_all_it_named_is_done():
    bench = Bench()
    dut = bench.dut

    async def test(ctx):
        assert bench.status(ctx) == IDLE
        await bench.start(ctx, count=3)
        assert bench.status(ctx) == RUNNING
        for index in range(3):  # a LOAD, a CONV, a STORE
            await bench.pulse(ctx, dut.dispatched, 1 << index)
            ctx.set(dut.fetched, index + 1)
        for counter in range(4):
            await bench.wait(ctx, 20)
            assert bench.status(ctx) == RUNNING
            assert ctx.get(dut.stores_pending) == 1
            await bench.pulse(ctx, dut.finished, 1 << counter)
            assert ctx.get(dut.progress[COUNTERS[counter]]) == 1
        await bench.wait(ctx, 5)
        assert bench.status(ctx) == DONE
        assert (bench.begins, bench.ends) == (1, 1)
        assert ctx.get(dut.stores_pending) == 0

    bench.run(test)


@pytest.mark.parametrize("missing", ["fetched", "dispatched", "quiet"])
def test_it_does_not_end_before(missing):
    bench = Bench()
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
        assert bench.status(ctx) == RUNNING
        assert bench.ends == 0

    bench.run(test)


def test_a_second_program_starts_from_zero_and_does_not_end_with_the_first_ones_counts():
    bench = Bench()
    dut = bench.dut

    async def test(ctx):
        for program in range(2):
            await bench.start(ctx, count=1)
            assert [ctx.get(dut.progress[name]) for name in COUNTERS] == [0] * 4
            await bench.wait(ctx, 30)
            assert bench.status(ctx) == RUNNING
            await bench.pulse(ctx, dut.dispatched, 0b010)
            ctx.set(dut.fetched, 1)
            await bench.wait(ctx, 10)
            await bench.pulse(ctx, dut.finished, 0b0010)
            await bench.wait(ctx, 5)
            assert bench.status(ctx) == DONE
            assert bench.ends == program + 1

    bench.run(test)


def test_a_program_of_no_instructions_ends_at_once():
    bench = Bench()

    async def test(ctx):
        await bench.start(ctx, count=0)
        await bench.wait(ctx, 20)
        assert bench.status(ctx) == DONE
        assert bench.ends == 1

    bench.run(test)


@pytest.mark.parametrize("index", range(len(FAULTS)))
def test_a_fault_ends_the_program_and_says_what_where_and_whose(index):
    bench = Bench()
    dut = bench.dut
    _, code, engine = FAULTS[index]

    async def test(ctx):
        await bench.start(ctx, count=9)
        await bench.wait(ctx, 20)
        ctx.set(dut.infos[index], 0x1ABCDEF01 - index)
        await bench.pulse(ctx, dut.faults, 1 << index)
        ctx.set(dut.infos[index], 7)
        await bench.wait(ctx, 3)
        assert bench.status(ctx) == FAILED
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


def test_the_first_named_of_two_faults_in_a_cycle_counts():
    bench = Bench()
    dut = bench.dut

    async def test(ctx):
        await bench.start(ctx, count=9)
        await bench.pulse(ctx, dut.faults, 0b101001000)
        await bench.wait(ctx, 3)
        assert ErrorCode(ctx.get(dut.error_code)) is FAULTS[3][1]
        assert Engine(ctx.get(dut.error_engine)) is FAULTS[3][2]

    bench.run(test)


def test_a_fault_outranks_the_end_of_the_program():
    bench = Bench()
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
        assert bench.status(ctx) == FAILED
        assert bench.ends == 1

    bench.run(test)


@pytest.mark.parametrize("watchdog", [10, 37])
def test_the_watchdog_bites_after_that_many_idle_cycles(watchdog):
    bench = Bench()
    dut = bench.dut

    async def test(ctx):
        await bench.start(ctx, count=1, watchdog=watchdog)
        for _ in range(5):  # activity in time keeps it off
            await bench.wait(ctx, watchdog - 2)
            await bench.pulse(ctx, dut.activity)
        assert bench.status(ctx) == RUNNING
        cycles = 0
        while ctx.get(dut.running):
            await ctx.tick()
            cycles += 1
        assert watchdog <= cycles <= watchdog + 4
        assert bench.status(ctx) == FAILED
        assert ErrorCode(ctx.get(dut.error_code)) is ErrorCode.WATCHDOG

    bench.run(test)


def test_a_watchdog_of_zero_never_bites():
    bench = Bench()

    async def test(ctx):
        await bench.start(ctx, count=1, watchdog=0)
        await bench.wait(ctx, 500)
        assert bench.status(ctx) == RUNNING

    bench.run(test)


@pytest.mark.parametrize("when", ["idle", "running", "failed", "done"])
def test_reset_waits_for_the_bus_then_holds_the_engines_then_allows_a_start(when):
    bench = Bench()
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
        assert bench.status(ctx) == IDLE
        assert ctx.get(dut.halt) == 0
        before = bench.ends
        await bench.start(ctx, count=0)
        await bench.wait(ctx, 20)
        assert bench.status(ctx) == DONE
        assert ErrorCode(ctx.get(dut.error_code)) is ErrorCode.NONE
        assert bench.ends == before + 1

    bench.run(test)


@pytest.mark.parametrize("when", ["idle", "running", "failed", "draining", "resetting", "done"])
def test_a_reset_outranks_a_start_in_the_same_cycle(when):
    bench = Bench()
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
        assert bench.status(ctx) == IDLE
        assert bench.begins == begins
        await bench.start(ctx, count=0)
        await bench.wait(ctx, 20)
        assert bench.status(ctx) == DONE

    bench.run(test)


def test_error_registers_survive_a_reset_until_the_next_start():
    bench = Bench()
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


HOLD = 2 * (2 + 2) + 128 + Controller.RESET_TRAVEL
"""Cycles after which nothing can be in a pipeline."""


@pytest.mark.parametrize("engine", Engine)
def test_a_program_ends_in_the_cycle_in_which_the_last_engine_is_at_rest(engine):
    ends = []
    for late in (0, 1, HOLD - 5):
        bench = Bench()
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
            while bench.status(ctx) == RUNNING:
                await ctx.tick()
                cycles += 1
            assert bench.status(ctx) == DONE
            ends.append(cycles)

        bench.run(test)
    # The first waits for the counters, which take as long.
    assert ends == [2, 3, HOLD - 5 + 2]


@pytest.mark.parametrize("engine", Engine)
def test_what_is_left_over_at_the_end_is_a_fault_of_its_engine(engine):
    bench = Bench()
    dut = bench.dut

    async def test(ctx):
        for _ in range(2):
            await bench.start(ctx, count=0)
            ctx.set(dut.rest, 0b1111 & ~(1 << engine))
            await bench.wait(ctx, HOLD)
            assert bench.status(ctx) == RUNNING
            await bench.wait(ctx, 20)
            assert bench.status(ctx) == FAILED
            assert ErrorCode(ctx.get(dut.error_code)) is ErrorCode.LEFTOVER
            assert ctx.get(dut.error_engine) == engine
            assert ctx.get(dut.error_info) == 0
            await bench.reset(ctx)
        assert (bench.begins, bench.ends) == (2, 2)

    bench.run(test)


def test_an_engine_that_works_is_not_at_rest_and_no_fault():
    bench = Bench()
    dut = bench.dut

    async def test(ctx):
        await bench.start(ctx, count=1)
        await bench.pulse(ctx, dut.dispatched, 1)
        ctx.set(dut.fetched, 1)
        ctx.set(dut.rest, 0)
        await bench.wait(ctx, 3 * HOLD)
        assert bench.status(ctx) == RUNNING

    bench.run(test)


@pytest.mark.parametrize("engine", Engine)
def test_a_program_does_not_start_on_what_another_left_over(engine):
    bench = Bench()
    dut = bench.dut

    async def test(ctx):
        await bench.start(ctx, count=1, rest=0b1111 & ~(1 << engine))
        await bench.wait(ctx, 4)
        assert bench.status(ctx) == FAILED
        assert ErrorCode(ctx.get(dut.error_code)) is ErrorCode.LEFTOVER
        assert ctx.get(dut.error_engine) == engine

    bench.run(test)


class Impatient(Controller):
    """A controller that waits less than the real one."""

    PATIENCE = 100


def test_a_reset_after_a_broken_protocol_takes_its_time_and_no_longer():
    bench = Bench(Impatient)
    dut = bench.dut

    async def test(ctx):
        for quiet in (0, 1):
            await bench.start(ctx, count=5)
            ctx.set(dut.broken, 1)
            await bench.wait(ctx, 20)
            await bench.pulse(ctx, dut.faults, 1)
            await bench.wait(ctx, 4)
            assert bench.status(ctx) == FAILED
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
            assert bench.status(ctx) == IDLE

    bench.run(test)


def test_faults_without_a_program_change_nothing():
    bench = Bench()
    dut = bench.dut

    async def test(ctx):
        await bench.pulse(ctx, dut.faults, (1 << len(FAULTS)) - 1)
        await bench.wait(ctx, 5)
        assert bench.status(ctx) == IDLE
        assert bench.ends == 0

    bench.run(test)
