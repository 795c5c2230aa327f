"""Driving, taking and watching streams in the Amaranth simulator, with random stalls."""

from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any

from amaranth.hdl import Module
from amaranth.sim import Simulator

from systolith_sim.formal.stream_contract import StreamContract

__all__ = [
    "collect",
    "simulate",
    "stream_get",
    "stream_put",
    "trace",
]

CLOCK_PERIOD = 1e-8


def simulate(
    dut: Any,
    *testbenches: Callable[..., Any],
    watch: Sequence[Any] = (),
    background: Sequence[Callable[..., Any]] = (),
    limit: int = 10_000,
) -> None:
    """Run testbenches until all end.

    Parameters
    ----------
    dut : Elaboratable
    testbenches : async functions of a simulator context
        Those that stand first also act first in a cycle.
    watch : sequence of stream or StreamContract
        Handshakes that `dut` offers; each keeps its contract.
    background : sequence of async functions
        Models of the surroundings; they need not end.
    limit : int
        Cycles after which an unfinished run is an error.

    Raises
    ------
    AssertionError
        If the limit is reached or a watched handshake breaks its contract.
    """
    top = Module()
    top.submodules.dut = dut
    for stream in watch:
        contract = stream if isinstance(stream, StreamContract) else StreamContract.of(stream)
        top.submodules += contract.asserting()

    async def expire(ctx: Any) -> None:
        for _ in range(limit):  # `repeat` and `until` complain when left unfinished
            await ctx.tick()
        raise AssertionError(f"testbenches have not ended after {limit} cycles")

    simulator = Simulator(top)
    simulator.add_clock(CLOCK_PERIOD)
    simulator.add_testbench(expire, background=True)
    for bench in background:
        simulator.add_testbench(bench, background=True)
    for bench in testbenches:
        simulator.add_testbench(bench)
    simulator.run()


async def stream_put(
    ctx: Any, stream: Any, payloads: Iterable[Any], *, seed: int = 0, stall: float = 0.0
) -> None:
    """Give payloads in order; before each, wait while a draw falls below `stall`."""
    random = Random(seed)
    for payload in payloads:
        while random.random() < stall:
            await ctx.tick()
        ctx.set(stream.payload, payload)
        ctx.set(stream.valid, 1)
        await sample_when(ctx, stream.ready)
        ctx.set(stream.valid, 0)


async def stream_get(
    ctx: Any, stream: Any, count: int, *, seed: int = 1, stall: float = 0.0
) -> list[Any]:
    """Take `count` payloads; before each, wait while a draw falls below `stall`."""
    random = Random(seed)
    taken = []
    while len(taken) < count:
        while random.random() < stall:
            await ctx.tick()
        ctx.set(stream.ready, 1)
        taken += await sample_when(ctx, stream.valid, stream.payload)
        ctx.set(stream.ready, 0)
    return taken


async def collect(ctx: Any, stream: Any, taken: list[Any], *, seed: int = 1, stall: float = 0.0):
    """Append every arriving payload to `taken`, forever: for the background."""
    while True:
        taken += await stream_get(ctx, stream, 1, seed=seed, stall=stall)
        seed += 1


async def sample_when(ctx: Any, condition: Any, *signals: Any) -> list[Any]:
    """Return the signals' values in the next cycle in which `condition` holds."""
    while True:
        _, _, held, *values = await ctx.tick().sample(condition, *signals)
        if held:
            return values


async def trace(ctx: Any, cycles: int, *signals: Any) -> list[tuple[Any, ...]]:
    """Return the signals' values in each of the next cycles, as tuples."""
    rows = []
    for _ in range(cycles):
        _, _, *values = await ctx.tick().sample(*signals)
        rows.append(tuple(values))
    return rows
