"""The facts of accelerator and memory that the replay needs: a record of numbers."""

import numpy as np

from systolith_hw.spec import timing
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import INSTRUCTION_BYTES
from systolith_hw.spec.memory import RATE_UNIT, TRANSACTIONS, WRITE_BEATS, Memory
from systolith_sim.replay.parts import RING, registers

__all__ = ["FACTS", "make_facts"]

FACTS = registers(
    (
        *("address", "count"),  # of the program: its first instruction, and how many
        *("rows", "block", "cols", "bus", "burst_beats", "outstanding_reads", "outstanding_writes"),
        *("queue_depth", "out_beats", "instruction_beats", "fetch_beats"),
        *("accumulator_update", "compute_latency", "drain_latency", "settle", "tile_prepare"),
        *("load_runs", "load_jobs", "read_beats", "drain_words", "store_runs"),
        *("memory_latency", "memory_rate", "memory_turnaround", "memory_reads", "memory_writes"),
        *("memory_write_beats", "memory_answers", "beat_cost"),
        *("winograd", "patch_latency", "kernel_latency", "patch_release", "kernel_release"),
        *("strip_latency", "staged", "staged_clear"),
        *("gather", "mask_start"),
        "limit",  # cycles
    )
)


def make_facts(
    config: AcceleratorConfig, memory: Memory, address: int, count: int, limit: int
) -> np.ndarray:
    """Return the facts for a program of `count` instructions at `address`: an array of one record.

    Raises
    ------
    ValueError
        If a queue is deeper than the replay can keep.
    """
    bus = config.bus_bytes
    instruction_beats = INSTRUCTION_BYTES // bus
    values = {
        "address": address,
        "count": count,
        **{
            name: getattr(config, name)
            for name in ("rows", "block", "cols", "burst_beats", "queue_depth")
        },
        "bus": bus,
        "outstanding_reads": config.outstanding_reads,
        "outstanding_writes": config.outstanding_writes,
        "out_beats": config.out_bytes // bus,
        "instruction_beats": instruction_beats,
        "fetch_beats": timing.fetch_beats(config),
        "accumulator_update": timing.ACCUMULATOR_UPDATE,
        "compute_latency": timing.compute_latency(config),
        "drain_latency": timing.drain_latency(config),
        "settle": timing.SETTLE,
        "tile_prepare": timing.TILE_PREPARE,
        "load_runs": timing.LOAD_RUNS,
        "load_jobs": timing.LOAD_JOBS,
        "read_beats": timing.READ_BEATS,
        "drain_words": timing.DRAIN_WORDS,
        "store_runs": timing.STORE_RUNS,
        "memory_latency": memory.latency,
        "memory_rate": memory.rate_units(bus),
        "memory_turnaround": memory.turnaround,
        "memory_reads": memory.reads,
        "memory_writes": memory.writes,
        "memory_write_beats": WRITE_BEATS,
        "memory_answers": TRANSACTIONS,  # that wait
        "beat_cost": RATE_UNIT * bus,
        "winograd": config.winograd,
        "gather": config.gather,
        "mask_start": timing.MASK_START,
        "limit": limit,
    }
    if config.winograd:
        values |= {
            "patch_latency": timing.WINOGRAD_PATCH,
            "kernel_latency": timing.WINOGRAD_KERNEL,
            "patch_release": timing.patch_release(config),
            "kernel_release": timing.kernel_release(config),
            "strip_latency": timing.strip_latency(config),
            "staged": timing.STAGED,
            "staged_clear": timing.STAGED_CLEAR,
        }
    for name in ("load_runs", "load_jobs", "read_beats", "drain_words", "store_runs"):
        if values[name] > RING:
            raise ValueError(f"{name} must be at most {RING} in the replay, not {values[name]}")
    facts = np.zeros(1, FACTS).view(np.recarray)
    for name, value in values.items():
        facts[name] = value
    return facts
