"""The order of a layer's instructions: room in the buffers, and a simulation of the engines."""

import numpy as np

from systolith_host.compiler.schedule.outline import Outline, outline_of
from systolith_host.compiler.schedule.work import Item, Step, Store, Work
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import INSTRUCTION_BYTES, Buffer

__all__ = [
    "LATENCY",
    "MEMORY_LATENCY",
    "RUN",
    "NoRoomError",
    "allocate",
    "order_outline",
    "read_rate",
    "simulate",
    "write_rate",
]

MEMORY_LATENCY = 40
"""Cycles of the memory that the compiler reckons with."""

LATENCY = 60
"""Cycles from the token that a LOAD waited for to its first word, with that memory."""

PIPELINE = 16
"""Cycles through requantiser and buffers, beyond those of the array itself."""

START = 110
"""Cycles from the start to the first LOAD, and from the last write to the end."""

RUN = 2
"""Cycles that a run of words is assumed to cost beside them."""


BURST = 12
"""Cycles that a burst of reads is under way beside the memory's latency and its beats."""


def read_rate(config: AcceleratorConfig, rate: float, latency: int) -> float:
    """Return the bytes per cycle that reads reach: few bursts under way cannot hide the latency."""
    under_way = config.outstanding_reads * config.burst_bytes
    return min(rate, under_way / (latency + config.burst_beats + BURST))


def write_rate(config: AcceleratorConfig, rate: float, turnaround: int) -> float:
    """Return the bytes per cycle that writes reach if reads come before and after each burst."""
    return config.burst_bytes / (config.burst_bytes / rate + 2 * turnaround)


class NoRoomError(Exception):
    """A schedule that needs more of a buffer than there is."""


def allocate(work: Work, config: AcceleratorConfig) -> None:
    """Give every item its address, and the last user that has to be done with what it replaces.

    Each buffer is a ring: items follow each other in the order of their first use.

    Raises
    ------
    NoRoomError
        If an item would replace another that is still used after its own first use.
    """
    from systolith_host.compiler.schedule.clocks import make_room  # numba takes a second to import

    outline = outline_of(work)
    if not make_room(outline.items, outline.bounds, _depths(config)):
        raise NoRoomError
    rows = outline.items[:, -2:].tolist()
    items = [item for buffer in Buffer for item in work.items[buffer]]
    for item, (address, after) in zip(items, rows, strict=True):
        item.address, item.after = address, after


def _depths(config: AcceleratorConfig) -> tuple[int, int, int]:
    return (config.act_depth, config.weight_depth, config.param_depth)


def order_outline(
    outline: Outline,
    config: AcceleratorConfig,
    rate: float,
    latency: int = MEMORY_LATENCY,
    turnaround: int = 0,
) -> int | None:
    """Return the cycles that an outline is expected to take; None if the buffers have no room."""
    from systolith_host.compiler.schedule.clocks import make_room

    if not make_room(outline.items, outline.bounds, _depths(config)):
        return None
    end, _, _ = _run(outline, config, rate, latency, turnaround)
    return None if end < 0 else round(end + START)


def _run(
    outline: Outline, config: AcceleratorConfig, rate: float, latency: int, turnaround: int
) -> tuple[float, np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return when the last write ends (negative if never), the LOADs' order, and all starts."""
    from systolith_host.compiler.schedule.clocks import run_engines

    counts = (len(outline.items), len(outline.steps), len(outline.stores))
    starts = (np.empty(counts[0]), np.empty(counts[1]), np.empty(counts[2]))
    load_order = np.empty(counts[0], np.int64)
    rates = (write_rate(config, rate, turnaround), read_rate(config, rate, latency))
    settings = (*rates, config.row_groups, config.out_depth, INSTRUCTION_BYTES)
    latencies = (LATENCY + latency - MEMORY_LATENCY, PIPELINE, config.rows + config.cols, RUN)
    end = run_engines(
        outline.items, outline.bounds, outline.steps, outline.stores, settings, latencies,
        load_order, starts,
    )  # fmt: skip
    return end, load_order, starts


def simulate(
    work: Work,
    config: AcceleratorConfig,
    rate: float,
    latency: int = MEMORY_LATENCY,
    turnaround: int = 0,
) -> tuple[list[Item | Step | Store], float]:
    """Return loads, CONVs and STOREs in the order of the program, and the cycles that they take.

    The LOADs run in the order in which a memory of `rate` bytes per cycle, whose first data comes
    `latency` cycles after an address, and which takes `turnaround` cycles to change between
    reading and writing, can best bring them:
    earliest deadline first among those that have room. In the program every instruction stands
    about where its engine's queue can take it, and after all that it waits for.
    """
    outline = outline_of(work)
    end, load_order, starts = _run(outline, config, rate, latency, turnaround)
    if end < 0:
        raise NoRoomError
    items = [item for buffer in Buffer for item in work.items[buffer]]
    steps = [entry for entry in work.sequence if isinstance(entry, Step)]
    stores = [entry for entry in work.sequence if isinstance(entry, Store)]
    for entries, times in zip((items, steps, stores), starts, strict=True):
        for entry, start in zip(entries, times.tolist(), strict=True):
            entry.start = start
    loads = [items[row] for row in load_order.tolist()]
    return _merge(steps, stores, loads, config.queue_depth), end + START


def _merge(
    steps: list[Step], stores: list[Store], loads: list[Item], queue_depth: int
) -> list[Item | Step | Store]:
    ahead = max(1, queue_depth - 1)
    load_starts: list[float] = []
    for item in loads:
        load_starts += [item.start] * len(item.loads)
    load_keys = []
    count = 0
    for item in loads:
        load_keys.append(load_starts[count - ahead] if count >= ahead else -1.0)
        count += len(item.loads)
    step_keys = [steps[i - ahead].start if i >= ahead else -1.0 for i in range(len(steps))]
    store_keys = [stores[i - ahead].start if i >= ahead else -1.0 for i in range(len(stores))]
    emitted: set[int] = set()
    result: list[Item | Step | Store] = []
    i = j = k = 0
    while i < len(loads) or j < len(steps) or k < len(stores):
        choices: list[tuple[float, int]] = []
        if i < len(loads):
            item = loads[i]
            done = k if item.buffer == Buffer.PARAM else j
            if item.after < done:
                choices.append((load_keys[i], 0))
        if j < len(steps):
            step = steps[j]
            free = not step.first or k > step.tile - 2
            if free and id(step.act) in emitted and id(step.weight) in emitted:
                choices.append((step_keys[j], 1))
        if k < len(stores) and stores[k].step < j and id(stores[k].param) in emitted:
            choices.append((store_keys[k], 2))
        _, which = min(choices)
        if which == 0:
            emitted.add(id(loads[i]))
            result.append(loads[i])
            i += 1
        elif which == 1:
            result.append(steps[j])
            j += 1
        else:
            result.append(stores[k])
            k += 1
    return result
