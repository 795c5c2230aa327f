"""What a layer costs: cycles and what they went into, traffic, buffers, distance to the bound."""

from dataclasses import dataclass

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.least import cycle_bound
from systolith_host.program.counters import LayerCounters
from systolith_host.program.instructions import layer_instructions
from systolith_host.program.program import LayerProgram, Program
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.registers import ENGINE_STATES
from systolith_sim.memory.timing import MemoryTiming
from systolith_sim.replay.kernel import PARAMETERS, replay
from systolith_sim.replay.table import (
    COLUMNS,
    InstructionTable,
    make_table,
)

__all__ = [
    "MOST_SAMPLES",
    "SAMPLES",
    "Latencies",
    "LayerPerformance",
    "Replay",
    "replay_layer",
    "replay_program",
    "replay_table",
]


SAMPLES = (
    "cycles",
    "read_beats",
    "write_beats",
    *(f"{engine.name} {state}" for engine, states in ENGINE_STATES.items() for state in states),
)
"""Columns of samples: counts since the start."""

MOST_SAMPLES = 4096


class Latencies:
    """Cycles through the gateware's pipelines; tests hold them against the gateware's own."""

    CORE = 8
    """From a pixel's issue to its sum, beyond the rows and columns that it passes."""

    POST = 15
    """From a sum's read to its word, beyond the lanes behind the first one."""


@dataclass(frozen=True)
class LayerPerformance:
    """What a layer costs on an accelerator and a memory.

    Parameters
    ----------
    name : str
    counters : LayerCounters
        What the accelerator's own counters will say.
    read_bytes : dict of str to int
        Bytes read, whole bus beats, by what they bring: activations, weights, parameters,
        instructions.
    write_bytes : int
    buffer_words : dict of str to int
        High-water mark of each buffer: activations, weights, parameters, accumulators (a bank).
    macs : int
    bound_cycles : int
        Least cycles that array and memory allow.
    utilisation : float
        Share of the multipliers' cycles that do work that the network needs.
    of_bound : float
        `bound_cycles` by the cycles it takes.
    times : ndarray of int64, shape (instructions, 4)
        Cycles in which each instruction passed its gate, began, ended, and (a STORE) was
        acknowledged by the memory; -1 where that does not happen. The first cycle is 1.
    samples : ndarray of int64, shape (samples, len(SAMPLES))
        The counters every so many cycles, if asked for.
    opcodes : ndarray of int64, shape (instructions,)
    """

    name: str
    counters: LayerCounters
    read_bytes: dict[str, int]
    write_bytes: int
    buffer_words: dict[str, int]
    macs: int
    bound_cycles: int
    utilisation: float
    of_bound: float
    times: np.ndarray
    samples: np.ndarray
    opcodes: np.ndarray

    @property
    def cycles(self) -> int:
        """From start to end."""
        return self.counters.cycles


@dataclass(frozen=True, eq=False)
class Replay:
    """What a replay found.

    Parameters
    ----------
    counters : LayerCounters
    times, samples : ndarray
        See :class:`LayerPerformance`.
    read_turn : bool
        Whether the memory would serve a read first after it.
    """

    counters: LayerCounters
    times: np.ndarray
    samples: np.ndarray
    read_turn: bool


def replay_table(
    table: InstructionTable,
    config: AcceleratorConfig,
    memory: Memory | None = None,
    read_turn: bool = False,
    interval: int = 0,
) -> Replay:
    """Replay a table of instructions.

    Parameters
    ----------
    read_turn : bool
        Whether the memory serves a read first when it is short of both; layers before leave it
        so or so.

    Raises
    ------
    SystolithError
        If the instructions do not end, or the memory pauses at random.
    """
    timing = memory or Memory()
    if isinstance(timing, MemoryTiming) and (timing.stalls or timing.dead or timing.errors):
        raise SystolithError("a memory with stalls or errors cannot be replayed, only simulated")
    bus = config.bus_bytes
    rate = bus if timing.bytes_per_cycle is None else timing.bytes_per_cycle
    rate = max(1, round(rate * 256))
    limit = _limit(table, config, timing, rate)
    values = {
        "address": table.address,
        "rows": config.rows,
        "block": config.block,
        "cols": config.cols,
        "bus": bus,
        "burst_beats": config.burst_beats,
        "outstanding_reads": config.outstanding_reads,
        "outstanding_writes": config.outstanding_writes,
        "queue_depth": config.queue_depth,
        "out_beats": config.out_depth * config.block // bus,
        "compute_latency": config.rows + config.cols + Latencies.CORE,
        "drain_latency": config.post_lanes + Latencies.POST,
        "memory_latency": timing.latency,
        "memory_rate": rate,
        "memory_turnaround": timing.turnaround,
        "memory_reads": timing.reads,
        "memory_writes": timing.writes,
        "read_turn": read_turn,
        "limit": limit,
    }
    times = np.full((len(table.rows), 4), -1, np.int64)
    samples = np.zeros((MOST_SAMPLES if interval else 0, len(SAMPLES) + 1), np.int64)
    parameters = tuple(int(values[name]) for name in PARAMETERS)
    out = replay(table.rows, parameters, times, samples, interval)
    if out[0] >= limit:
        raise SystolithError("the instructions do not end: one waits for what never comes")
    states = {
        engine.name: dict(zip(names, map(int, out[3 + 5 * i : 8 + 5 * i]), strict=True))
        for i, (engine, names) in enumerate(ENGINE_STATES.items())
    }
    counters = LayerCounters(int(out[0]), int(out[1]) * bus, int(out[2]) * bus, states)
    taken = min(int(out[0]) // interval, MOST_SAMPLES) if interval else 0
    return Replay(counters, times, samples[:taken, : len(SAMPLES)], bool(out[18]))


def _limit(table: InstructionTable, config: AcceleratorConfig, timing: Memory, rate: int) -> int:
    """Return more cycles than it takes to do all work one after the other."""
    column = {name: table.rows[:, index] for index, name in enumerate(COLUMNS)}
    pixels = np.maximum(np.maximum(column["pixels"], config.rows), 4)
    steps = (pixels * column["passes"]).sum() + (column["words"] * (column["reads"] + 4)).sum()
    steps += (column["planes"] * column["tile_rows"] * column["tile_columns"]).sum()
    beats = sum(table.read_beats.values()) + table.write_beats
    slowest = max(1.0, 256 * config.bus_bytes / rate) + 2 * timing.latency + timing.turnaround + 100
    return int(2 * (steps + beats * slowest + 1000 * len(table.rows))) + 100_000


def replay_layer(
    program: Program,
    layer: LayerProgram,
    memory: Memory | None = None,
    interval: int = 0,
) -> LayerPerformance:
    """Return what a layer of a program costs on its own.

    Parameters
    ----------
    interval : int
        Cycles between two samples of the counters, of which at most MOST_SAMPLES are taken.

    Raises
    ------
    SystolithError
        If the memory pauses at random, which only the simulation knows.
    """
    performance, _ = _replay(program, layer, memory, False, interval)
    return performance


def _replay(
    program: Program,
    layer: LayerProgram,
    memory: Memory | None,
    read_turn: bool,
    interval: int = 0,
) -> tuple[LayerPerformance, bool]:
    config = program.config
    table = make_table(layer_instructions(program, layer), config, layer.instruction_address)
    done = replay_table(table, config, memory, read_turn, interval)
    counters = done.counters
    rate = memory.bytes_per_cycle if memory else None
    bound = cycle_bound(layer.macs, layer.compulsory_bytes, config, rate).cycles
    bus = config.bus_bytes
    performance = LayerPerformance(
        name=layer.name,
        counters=counters,
        read_bytes={name: beats * bus for name, beats in table.read_beats.items()},
        write_bytes=table.write_beats * bus,
        buffer_words=table.buffer_words,
        macs=layer.macs,
        bound_cycles=bound,
        utilisation=layer.macs / (config.multipliers * counters.cycles),
        of_bound=bound / counters.cycles,
        times=done.times,
        samples=done.samples,
        opcodes=table.rows[:, 0],
    )
    return performance, done.read_turn


def replay_program(
    program: Program, memory: MemoryTiming | None = None
) -> tuple[LayerPerformance, ...]:
    """Return what each layer of a program costs, one after the other on one memory."""
    found = []
    turn = False
    for layer in program.layers:
        performance, turn = _replay(program, layer, memory, turn)
        found.append(performance)
    return tuple(found)
