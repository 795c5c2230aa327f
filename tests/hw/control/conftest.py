"""What the controller's tests share."""

import pytest

from systolith_hw.control.controller import Controller
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.streams import simulate


class Bench:
    """A controller and what tests do with it."""

    COUNTERS = ("loaded", "computed", "drained", "stored")
    RUNNING, DONE, FAILED, IDLE = (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0)

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


@pytest.fixture(scope="session")
def make_bench():
    """Return the class of benches."""
    return Bench
