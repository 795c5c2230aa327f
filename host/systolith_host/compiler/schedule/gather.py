"""Layers that gather their weights: how they are cut, and the cycles that they take."""

from dataclasses import replace
from math import ceil

from systolith_host.compiler.lower.operation import Operation
from systolith_host.compiler.schedule.geometry import Shape, split
from systolith_host.compiler.schedule.order import (
    BURST,
    LATENCY,
    PIPELINE,
    START,
    read_rate,
    write_rate,
)
from systolith_host.compiler.schedule.schedule import LayerSchedule
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import PARAM_BYTES, TABLE_ENTRIES
from systolith_hw.spec.memory import Memory

__all__ = ["gather_schedule", "held", "instructions_of", "param_slots", "slices_of"]

MOST_UNITS = 15
"""Units of a ring: the field has four bits."""

MOST_BLOCKS = 255
"""Blocks of a slice: CONV's ``s_count`` and STORE's ``blocks`` have eight bits."""

NEAR = 1.01
"""Ratio to the least cycles up to which longer runs are preferred."""

WALK_CYCLES = 2
"""Cycles from one run to the next in the walk over a region, active or not."""


def gather_schedule(
    operation: Operation,
    config: AcceleratorConfig,
    memory: Memory,
    density: float = 1.0,
    batch: int = 1,
) -> LayerSchedule | None:
    """Return the best schedule of a layer that gathers its weights, image by image, or None.

    There is none if the accelerator does not gather, if the layer is not fully connected, or if
    mask or buffers are too small for it.

    Parameters
    ----------
    memory : Memory
        That the program will run on.
    density : float
        Share of the inputs that are expected to differ from the zero point, 0 to 1.
    batch : int
        Images.
    """
    low, high = operation.differences
    inputs = _inputs(operation, config)
    if (
        not (config.gather and operation.linear)
        or inputs > config.gather
        or -(-inputs // config.rows) > config.act_depth
        or (low < 0 and (low < -128 or high > 127))
    ):
        return None
    blocks = Shape.of(operation, config).out_blocks
    room = config.weight_depth // config.rows
    most = min(room, config.acc_depth, config.param_depth // config.cols)
    most = held(operation, min(most, MOST_BLOCKS // config.col_groups) - operation.nibbles)
    if most < 1:
        return None
    sizes = {-(-blocks // count) for count in range(-(-blocks // most), blocks + 1)}
    sizes = {held(operation, size) for size in sizes}
    found = [_rate(operation, config, memory, density, size, room // size) for size in sizes]
    best = min(one.estimate for one in found)
    # Long runs suit a memory with open rows, and few slices need few instructions.
    one = max((one for one in found if one.estimate <= NEAR * best), key=lambda one: one.pixels)
    return replace(
        one,
        images=batch,
        compute_cycles=batch * one.compute_cycles,
        read_bytes=batch * one.read_bytes,
        write_bytes=batch * one.write_bytes,
        estimate=START + batch * (one.estimate - START),
    )


def held(operation: Operation, blocks: int) -> int:
    """Return the blocks of a unit of a slice of `blocks` blocks: nibbles come two by two."""
    return blocks + blocks % 2 if operation.nibbles else blocks


def slices_of(
    operation: Operation, schedule: LayerSchedule, config: AcceleratorConfig
) -> list[tuple[int, int]]:
    """Return first block and number of blocks of columns of each slice of the outputs."""
    return split(Shape.of(operation, config).out_blocks, schedule.pixels)


def param_slots(operation: Operation, schedule: LayerSchedule, config: AcceleratorConfig) -> int:
    """Return the slices whose parameters the buffer holds at once."""
    return config.param_depth // (schedule.pixels * config.cols)


def instructions_of(
    operation: Operation, schedule: LayerSchedule, config: AcceleratorConfig
) -> int:
    """Return the number of instructions of a layer: for each image a scan, and four a slice."""
    table = operation.table is not None
    return table + schedule.images * (1 + 4 * len(slices_of(operation, schedule, config)))


def _inputs(operation: Operation, config: AcceleratorConfig) -> int:
    """Return the bytes of the input in memory."""
    shape = Shape.of(operation, config)
    return shape.source_blocks * config.block * operation.height * operation.width


def _rate(
    operation: Operation,
    config: AcceleratorConfig,
    memory: Memory,
    density: float,
    size: int,
    units: int,
) -> LayerSchedule:
    """Return the schedule of slices of `size` blocks, with `units` units in the weight buffer."""
    units = min(units, MOST_UNITS)
    shape = Shape.of(operation, config)
    inputs = _inputs(operation, config)
    active = max(1, ceil(density * inputs))
    groups = -(-active // config.rows)
    rate, latency = memory.rate(config.bus_bytes), LATENCY + memory.latency
    params, table = operation.params.size, TABLE_ENTRIES * (operation.table is not None)
    read = inputs + params + table
    write = shape.target_blocks * config.block
    # A scan takes a cycle for each active byte, and one for a word without any.
    scan = max(inputs / read_rate(config, memory), active + (1 - density) * inputs / config.block)
    cycles, compute = START + latency + scan, 0
    for _, drained in split(shape.out_blocks, size):
        blocks = held(operation, drained)
        run_bytes = blocks * config.cols * operation.weight_bits // 8
        beats = -(-run_bytes // config.bus_bytes)
        burst = min(run_bytes, config.burst_bytes)
        waits = memory.latency + min(beats, config.burst_beats) + BURST
        flow = min(rate, config.outstanding_reads * burst / waits)
        run = max(blocks, beats * config.bus_bytes / flow, WALK_CYCLES * inputs / active)
        load, work = min(config.rows, active) * run, blocks * config.least_pass
        each = max(load, work, (load + work + latency) / units)
        cycles += latency + load + (groups - 1) * each + work
        compute += groups * work
        read += active * beats * config.bus_bytes
        cycles += drained * config.cols * PARAM_BYTES / rate / 2
    # The last slice alone is drained when nothing else is left to do.
    drain = size * config.cols / config.post_lanes + PIPELINE + config.rows + config.cols
    cycles += drain + write / write_rate(config, memory) / max(1, shape.out_blocks // size)
    return LayerSchedule(
        name=operation.name,
        linear=True,
        images=1,
        rows=1,
        columns=1,
        stack=1,
        chunk_blocks=0,
        chunk_taps=0,
        resident=True,
        weights="stream",
        pixels=size,
        compute_cycles=compute,
        read_bytes=read,
        write_bytes=write,
        estimate=cycles,
        units=units,
    )
