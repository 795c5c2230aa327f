"""The order of a layer's instructions: room in the buffers, and a simulation of the engines."""

import numpy as np

from systolith_host.compiler.schedule.tables import (
    ACT,
    AFTER,
    AFTER_STEP,
    LOADS,
    OPENS,
    PARAM,
    RUN,
    WEIGHT,
    Tables,
)
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import INSTRUCTION_BYTES, Buffer, Opcode
from systolith_hw.spec.memory import Memory

__all__ = [
    "LATENCY",
    "PATCH_LEAD",
    "RUN",
    "Entry",
    "NoRoomError",
    "allocate",
    "count_cycles",
    "read_rate",
    "simulate",
    "store_rate",
    "write_rate",
]

Entry = tuple[Opcode, int]
"""An item that is loaded, a CONV or a STORE: its opcode and its row in the table."""

LATENCY = 20
"""Cycles from the token that a LOAD waited for to its first word, beyond the memory's latency."""

PIPELINE = 16
"""Cycles through requantiser and buffers, beyond those of the array itself."""

START = 110
"""Cycles from the start to the first LOAD, and from the last write to the end."""

PATCH_LEAD = 57
"""Cycles from a CONV's first patches, all read, to its first pass with their transforms."""

ANSWER = 4
"""Cycles that a burst of writes is under way beyond the memory's latency and its beats."""

BURST = 12
"""Cycles that a burst of reads is under way beyond the memory's latency and its beats."""


def read_rate(config: AcceleratorConfig, memory: Memory) -> float:
    """Return the bytes per cycle that reads reach: few bursts under way cannot hide the latency."""
    under_way = config.outstanding_reads * config.burst_bytes
    rate = memory.rate(config.bus_bytes)
    return min(rate, under_way / (memory.latency + config.burst_beats + BURST))


def write_rate(config: AcceleratorConfig, memory: Memory) -> float:
    """Return the bytes per cycle that writes reach if reads come before and after each burst."""
    cycles = config.burst_bytes / memory.rate(config.bus_bytes)
    return config.burst_bytes / (cycles + 2 * memory.turnaround)


def store_rate(config: AcceleratorConfig, memory: Memory, run_bytes: int) -> float:
    """Return the bytes per cycle that leave the store engine.

    Parameters
    ----------
    run_bytes : int
        Of runs shorter than a burst, each a burst of its own: few under way cannot hide the time
        to the memory's answer, though the bus is free meanwhile. 0 for whole bursts.
    """
    rate = write_rate(config, memory)
    if not run_bytes:
        return rate
    beats = -(-run_bytes // config.bus_bytes)
    return min(rate, config.outstanding_writes * run_bytes / (memory.latency + beats + ANSWER))


class NoRoomError(Exception):
    """A schedule that needs more of a buffer than there is."""


def allocate(tables: Tables, config: AcceleratorConfig) -> None:
    """Give every item its address, and the last user of the contents that it replaces.

    Each buffer is a ring: items follow each other in the order of their first use.

    Raises
    ------
    NoRoomError
        If an item would replace another that is still used after its own first use.
    """
    # numba takes a second to import.
    from systolith_host.compiler.schedule.clocks import make_room

    depths = (config.act_depth, config.weight_depth, config.param_depth)
    if not make_room(tables.items, tables.bounds, depths):
        raise NoRoomError


def count_cycles(
    tables: Tables,
    config: AcceleratorConfig,
    memory: Memory,
) -> int:
    """Return the cycles of a layer whose items have room; parameters as of :func:`simulate`.

    Raises
    ------
    NoRoomError
        If something waits for ever.
    """
    cycles, _, _ = _run(tables, config, memory)
    return cycles


def _run(
    tables: Tables, config: AcceleratorConfig, memory: Memory
) -> tuple[int, np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return the cycles, the rows of the items in the order of LOADs, and when all start."""
    from systolith_host.compiler.schedule.clocks import run_engines

    counts = (len(tables.items), len(tables.steps), len(tables.stores))
    starts = (np.empty(counts[0]), np.empty(counts[1]), np.empty(counts[2]))
    loads = np.empty(int((tables.bounds[:, 1] - tables.bounds[:, 0]).sum()), np.int64)
    lead = tables.gathered + PATCH_LEAD if tables.gathered else 0
    stores = store_rate(config, memory, tables.run_bytes)
    rates = (write_rate(config, memory), stores, read_rate(config, memory))
    settings = (*rates, config.row_groups, config.out_depth, INSTRUCTION_BYTES)
    latencies = (LATENCY + memory.latency, PIPELINE, config.rows + config.cols, RUN, lead)
    end = run_engines(
        tables.items, tables.bounds, tables.steps, tables.stores, settings, latencies, loads, starts
    )
    if end < 0:
        raise NoRoomError
    return round(end + START), loads, starts


def simulate(
    tables: Tables,
    config: AcceleratorConfig,
    memory: Memory,
) -> tuple[list[Entry], int]:
    """Return a layer whose items have room in the order of the program, and its cycles.

    The LOADs run earliest deadline first among those that have room, at the memory's speed. In
    the program every instruction stands about where its engine's queue can take it, and after all
    that it waits for.

    Raises
    ------
    NoRoomError
        If something waits for ever.
    """
    cycles, loads, starts = _run(tables, config, memory)
    return _merge(tables, loads, starts, max(1, config.queue_depth - 1)), cycles


def _merge(
    tables: Tables, loads: np.ndarray, starts: tuple[np.ndarray, np.ndarray, np.ndarray], ahead: int
) -> list[Entry]:
    """Return the order in which each engine's instructions stand `ahead` of their start."""
    item_starts, step_starts, store_starts = starts
    items = loads.tolist()
    counts = tables.items[loads, LOADS]
    keys = np.repeat(item_starts[loads], counts)
    load_keys = _ahead(keys, ahead, np.cumsum(counts) - counts)
    step_keys = _ahead(step_starts, ahead, np.arange(len(step_starts)))
    store_keys = _ahead(store_starts, ahead, np.arange(len(store_starts)))
    first_param = tables.bounds[Buffer.PARAM, 0]
    afters = tables.items[loads, AFTER].tolist()
    steps = tables.steps[:, [ACT, WEIGHT, OPENS]].tolist()
    stores = tables.stores[:, [AFTER_STEP, PARAM]].tolist()
    loaded: set[int] = set()
    order: list[Entry] = []
    i = j = k = 0
    while i < len(items) or j < len(steps) or k < len(stores):
        choices: list[tuple[float, int]] = []
        if i < len(items) and afters[i] < (k if items[i] >= first_param else j):
            choices.append((load_keys[i], 0))
        if j < len(steps):
            act, weight, opens = steps[j]
            if k >= opens - 1 and act in loaded and weight in loaded:
                choices.append((step_keys[j], 1))
        if k < len(stores) and stores[k][0] < j and stores[k][1] in loaded:
            choices.append((store_keys[k], 2))
        _, which = min(choices)
        if which == 0:
            loaded.add(items[i])
            order.append((Opcode.LOAD, items[i]))
            i += 1
        elif which == 1:
            order.append((Opcode.CONV, j))
            j += 1
        else:
            order.append((Opcode.STORE, k))
            k += 1
    return order


def _ahead(starts: np.ndarray, ahead: int, numbers: np.ndarray) -> list[float]:
    """Return the start of the instruction that stands `ahead` of each number; -1 if none does."""
    found = np.full(len(numbers), -1.0)
    behind = numbers >= ahead
    found[behind] = starts[numbers[behind] - ahead]
    return found.tolist()
