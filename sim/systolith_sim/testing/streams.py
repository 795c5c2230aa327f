"""Driving, taking and watching streams in the Amaranth simulator, with random stalls."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from random import Random
from typing import Any

from amaranth.sim import Simulator

__all__ = [
    "check_handshake",
    "check_stream",
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
    watch : sequence of stream
        Streams that `dut` gives; each obeys :func:`check_stream`.
    background : sequence of async functions
        Models of the surroundings; they need not end.
    limit : int
        Cycles after which an unfinished run is an error.

    Raises
    ------
    AssertionError
        If the limit is reached or a watched stream breaks a rule.
    """

    async def expire(ctx: Any) -> None:
        for _ in range(limit):  # `repeat` and `until` complain when left unfinished
            await ctx.tick()
        raise AssertionError(f"testbenches have not ended after {limit} cycles")

    simulator = Simulator(dut)
    simulator.add_clock(CLOCK_PERIOD)
    simulator.add_testbench(expire, background=True)
    for stream in watch:
        simulator.add_testbench(partial(check_stream, stream=stream), background=True)
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
    """Append every payload that comes to `taken`, for ever: for the background."""
    while True:
        taken += await stream_get(ctx, stream, 1, seed=seed, stall=stall)
        seed += 1


async def check_stream(ctx: Any, stream: Any) -> None:
    """Assert that an offered payload stays, unchanged, until it is taken."""
    await check_handshake(ctx, stream.valid, stream.ready, stream.payload)


async def check_handshake(ctx: Any, valid: Any, ready: Any, *payload: Any) -> None:
    """Assert that `valid` and the payload signals stay as they are until `ready`."""
    waiting = None
    while True:
        _, _, is_valid, is_ready, *now = await ctx.tick().sample(valid, ready, *payload)
        if waiting is not None:
            assert is_valid, "valid was withdrawn before the payload was taken"
            assert now == waiting, f"payload changed from {waiting!r} to {now!r}"
        waiting = now if is_valid and not is_ready else None


async def sample_when(ctx: Any, condition: Any, *signals: Any) -> list[Any]:
    """Return what the signals are in the next cycle in which `condition` holds."""
    while True:
        _, _, held, *values = await ctx.tick().sample(condition, *signals)
        if held:
            return values


async def trace(ctx: Any, cycles: int, *signals: Any) -> list[tuple[Any, ...]]:
    """Return what the signals are in each of the next cycles, as tuples."""
    rows = []
    for _ in range(cycles):
        _, _, *values = await ctx.tick().sample(*signals)
        rows.append(tuple(values))
    return rows
