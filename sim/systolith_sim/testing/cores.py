"""A convolution core with its buffers: hand-made CONVs, and what came of them."""

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import connect

from systolith_hw.interface.buffers import buffer_shape
from systolith_hw.interface.core import DrainRead
from systolith_hw.memory.skewed import SkewedMemory
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import Buffer, Instruction, Opcode, fields_of, walk_steps
from systolith_hw.spec.registers import ENGINE_STATES, Engine
from systolith_sim.testing.streams import simulate, stream_put

__all__ = [
    "STATES",
    "CoreBench",
    "contents",
    "conv",
    "dones_after_resets",
    "only_busy",
    "payload",
    "run_core",
]

STATES = ENGINE_STATES[Engine.COMPUTE]
"""Names of the states, by their numbers."""

LEVELS = ("x", "y", "n", "s", "r", "c")


class CoreBench(wiring.Component):
    """A core with an activation and a weight buffer that have contents.

    Parameters
    ----------
    core : component with :class:`ConvCoreSignature`
    act, weight : ndarray of shape (act_depth, rows), (weight_depth, cols)
    """

    def __init__(self, core: Any, act: np.ndarray, weight: np.ndarray) -> None:
        self.core = core
        self.act = SkewedMemory(buffer_shape(Buffer.ACT, core.config))
        self.weight = SkewedMemory(buffer_shape(Buffer.WEIGHT, core.config))
        for memory, values in ((self.act, act), (self.weight, weight)):
            for lane, bank in enumerate(memory.banks):
                bank.init = [int(value) & 255 for value in values[:, lane]]
        super().__init__({})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.core = core = self.core
        m.submodules.act = self.act
        m.submodules.weight = self.weight
        connect(m, core.act, self.act.read)
        connect(m, core.weight, self.weight.read)
        return m


def conv(counts: Sequence[int], strides: Sequence[int], **fields: int) -> dict[str, Any]:
    """Return a CONV; counts and strides are those of x, y, n, s, r, c."""
    steps = walk_steps(counts, strides)
    for level, count, step in zip(LEVELS, counts, steps, strict=True):
        fields |= {f"{level}_count": count, f"{level}_step": step}
    return {"counts": counts, "strides": strides, "fields": fields}


def payload(job: dict[str, Any], config: AcceleratorConfig) -> dict[str, int]:
    """Return the fields of a CONV as the core takes them."""
    instruction = Instruction(Opcode.CONV, job["fields"])
    return {field.name: instruction[field.name] for field in fields_of(Opcode.CONV, config)}


def contents(config: AcceleratorConfig, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return random contents of both buffers."""
    rng = np.random.default_rng(seed)
    act = rng.integers(-128, 128, (config.act_depth, config.rows))
    weight = rng.integers(-128, 128, (config.weight_depth, config.cols))
    return act, weight


def only_busy(states: Sequence[str]) -> Sequence[str]:
    """Return the states from the first pixel to the last."""
    busy = [cycle for cycle, state in enumerate(states) if state == "busy"]
    return states[busy[0] : busy[-1] + 1]


def dones_after_resets(core: Any, job: dict[str, Any], cycles: int) -> list[tuple[int, int]]:
    """Return how often `done` comes of a CONV that is reset for one cycle, and of the next one.

    Parameters
    ----------
    core : component with :class:`ConvCoreSignature`
    job : of :func:`conv`
    cycles : int
        Each of so many before its `done` is that of the reset in one case.
    """
    config = core.config
    bench = CoreBench(core, *contents(config, 0))
    reset = Signal()
    found = []

    async def dones(ctx: Any, wait: int) -> int:
        await stream_put(ctx, core.conv, [payload(job, config)])
        seen = 0
        for _ in range(wait):
            _, _, done = await ctx.tick().sample(core.status.done)
            seen += done
        return seen

    async def test(ctx: Any) -> None:
        whole = 0
        await stream_put(ctx, core.conv, [payload(job, config)])
        while not ctx.get(core.status.done):
            whole += 1
            await ctx.tick()
        for early in range(1, cycles + 1):
            before = await dones(ctx, whole - early)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            after = 0
            for _ in range(cycles):
                after += ctx.get(core.status.done)
                await ctx.tick()
            found.append((before + after, await dones(ctx, whole + 10)))

    simulate(ResetInserter(reset)(bench), test, limit=100_000)
    return found


def run_core(
    core: Any,
    jobs: Sequence[dict[str, Any]],
    data: tuple[np.ndarray, np.ndarray],
    *,
    seed: int = 0,
    stall: float = 0.0,
    progress: Callable[[int], dict[str, int]] | None = None,
    read_back: bool = True,
    limit: int = 6000,
) -> tuple[np.ndarray, list[str], list[int]]:
    """Run CONVs; return both banks, the state of every cycle, and the cycles of `done`.

    Parameters
    ----------
    core : component with :class:`ConvCoreSignature`
    jobs : of :func:`conv`
    data : contents of both buffers
    seed, stall
        Of the pauses between instructions.
    progress : function
        From the cycle to the values of the counters.
    read_back : bool
        Whether the banks, of shape (2, acc_depth, cols), are read; otherwise they are zeros.
    limit : int
        Cycles.
    """
    config = core.config
    bench = CoreBench(core, *data)
    states: list[str] = []
    dones: list[int] = []
    faults: list[int] = []
    banks = np.zeros((2, config.acc_depth, config.cols), np.int64)
    lanes = config.post_lanes

    async def feed(ctx: Any) -> None:
        payloads = [payload(job, config) for job in jobs]
        await stream_put(ctx, core.conv, payloads, seed=seed, stall=stall)

    async def watch(ctx: Any) -> None:
        cycle = 0
        quiet = 0
        while quiet < 30:
            if progress is not None:
                ctx.set(core.progress, progress(cycle))
            _, _, state, done, fault = await ctx.tick().sample(
                core.status.state, core.status.done, core.status.fault
            )
            states.append(STATES[state])
            if done:
                dones.append(cycle)
            if fault:
                faults.append(cycle)
            cycle += 1
            quiet = quiet + 1 if len(dones) == len(jobs) else 0
        assert ctx.get(core.status.rest)

    async def read(ctx: Any) -> None:
        while len(dones) < len(jobs):
            await ctx.tick()
        places = list(product(range(2), range(config.acc_depth), range(config.cols // lanes)))
        sums = []
        for bank, addr, group in places + [(0, 0, 0)] * (lanes + 4):
            ctx.set(core.drain.place, {"bank": bank, "addr": addr})
            ctx.set(core.drain.group, group)
            _, _, lane_sums = await ctx.tick().sample(core.drain.sum)
            sums.append([lane_sums[lane] for lane in range(lanes)])
        for cycle, (bank, addr, group) in enumerate(places):
            for lane in range(lanes):
                banks[bank, addr, group * lanes + lane] = sums[cycle + DrainRead.LATENCY + lane][
                    lane
                ]

    simulate(bench, feed, watch, *([read] if read_back else []), limit=limit)
    assert not faults
    return banks, states, dones
