"""A table of instructions on the replay: its counters, without a device."""

from dataclasses import dataclass

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.program.counters import LayerCounters
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.registers import ENGINE_STATES
from systolith_hw.spec.winograd import LANES
from systolith_sim.memory.timing import MemoryTiming
from systolith_sim.replay.facts import make_facts
from systolith_sim.replay.kernel import COUNTS, replay
from systolith_sim.replay.table import COLUMNS, InstructionTable

__all__ = ["MOST_SAMPLES", "SAMPLES", "Replay", "replay_table"]

SAMPLES = COUNTS
"""Columns of samples: counts since the start."""

MOST_SAMPLES = 4096


@dataclass(frozen=True, eq=False)
class Replay:
    """The result of a replay.

    Parameters
    ----------
    counters : LayerCounters
    times, samples : ndarray
        See :class:`systolith_host.cost.replay.LayerPerformance`.
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
    limit = _limit(table, config, timing)
    facts = make_facts(config, timing, table.address, len(table.rows), limit)
    done = replay(table, facts, read_turn, interval, MOST_SAMPLES)
    if done.counts[0] >= limit:
        raise SystolithError("the instructions do not end: one waits for an event that never comes")
    counts = dict(zip(COUNTS, map(int, done.counts), strict=True))
    states = {
        engine.name: {state: counts[f"{engine.name} {state}"] for state in names}
        for engine, names in ENGINE_STATES.items()
    }
    bus = config.bus_bytes
    counters = LayerCounters(
        counts["cycles"], counts["read_beats"] * bus, counts["write_beats"] * bus, states
    )
    return Replay(counters, done.times, done.samples, done.read_turn)


def _limit(table: InstructionTable, config: AcceleratorConfig, timing: Memory) -> int:
    """Return more cycles than it takes to do all work one after the other."""
    column = {name: table.rows[:, index] for index, name in enumerate(COLUMNS)}
    pixels = np.maximum(column["pixels"], config.least_pass)
    # Passes on patches take as long as the walk that gathers them, or as many shortest passes.
    steps = LANES * config.least_pass * column["chunks"][column["patches"] != 0].sum()
    steps += (pixels * column["passes"]).sum() + (column["words"] * (column["reads"] + 4)).sum()
    steps += (column["planes"] * column["tile_rows"] * column["tile_columns"]).sum()
    # A scan takes a cycle for each byte at most, a gathering LOAD two for each run.
    steps += config.block * column["words"][column["scan"] != 0].sum()
    steps += 2 * column["runs"][column["unit_blocks"] != 0].sum()
    beats = sum(table.read_beats.values()) + table.write_beats
    rate = config.bus_bytes if timing.bytes_per_cycle is None else timing.bytes_per_cycle
    slowest = max(1.0, config.bus_bytes / rate) + 2 * timing.latency + timing.turnaround + 100
    return int(2 * (steps + beats * slowest + 1000 * len(table.rows))) + 100_000
