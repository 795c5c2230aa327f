"""Layers that gather their weights: when they do, their layout in memory, their instructions."""

import numpy as np

from systolith_host.compiler.lower.operation import Operation
from systolith_host.compiler.lower.pack import pack_nibbles
from systolith_host.compiler.schedule.gather import (
    gather_schedule,
    held,
    param_slots,
    slices_of,
)
from systolith_host.compiler.schedule.order import write_rate
from systolith_host.compiler.schedule.schedule import TRAFFIC_WEIGHT, LayerSchedule
from systolith_host.compiler.schedule.tile import schedule_candidates
from systolith_host.compiler.schedule.work import Addresses
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import PARAM_BYTES, TABLE_ENTRIES, Buffer, Instruction, Opcode
from systolith_hw.spec.memory import Memory

__all__ = ["choose_gathering", "emit_gathered", "pack_gathered"]

SLACK = 1.05
"""Ratio to the dense path up to which a layer gathers: some of its inputs will be zero."""


def choose_gathering(
    operation: Operation,
    config: AcceleratorConfig,
    batch: int,
    memory: Memory,
    density: float = 1.0,
) -> LayerSchedule | None:
    """Return the schedule of an operation that had better gather its weights, else None.

    Parameters
    ----------
    memory : Memory
        That the program will run on.
    density : float
        Share of the inputs that are expected to differ from the zero point, 0 to 1.
    """
    found = gather_schedule(operation, config, memory, density, batch)
    if found is None:
        return None
    dense = schedule_candidates(operation, config, batch, memory)
    moved = found.read_bytes / memory.rate(config.bus_bytes)
    moved += found.write_bytes / write_rate(config, memory)
    score = found.estimate + TRAFFIC_WEIGHT * moved
    return None if dense and score > SLACK * dense[0].estimate else found


def pack_gathered(
    operation: Operation, schedule: LayerSchedule, config: AcceleratorConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights and parameters of an operation that gathers, uint8 of one dimension.

    For each slice, for each byte of the input in the order of memory: the weights of the slice's
    blocks of output channels; if they are nibbles of an odd number of blocks, one of zeros behind
    them. The bias is the network's: no zero point is multiplied.
    """
    rows, cols, block = config.rows, config.cols, config.block
    groups, blocks, *taps, _, _ = operation.weights.shape
    sources = -(-operation.channels // block)
    # (output blocks, blocks of rows, height, width, blocks of a row, block, cols)
    split = operation.weights.reshape(groups, blocks, *taps, rows // block, block, cols)
    by_input = split.transpose(1, 4, 2, 3, 5, 0, 6).reshape(-1, *taps, block, groups, cols)
    by_input = by_input[:sources].reshape(-1, groups, cols)
    parts = []
    for first, count in slices_of(operation, schedule, config):
        part = by_input[:, first : first + count]
        if operation.nibbles:
            part = np.pad(part, ((0, 0), (0, held(operation, count) - count), (0, 0)))
            part = pack_nibbles(part)
        parts.append(part.reshape(-1).view(np.uint8))
    params = operation.params.copy()
    bias = params.reshape(-1, PARAM_BYTES)[:, :4].copy().view("<i4").reshape(-1)
    sums = operation.weights.sum(axis=tuple(range(1, 5)), dtype=np.int64).reshape(-1)
    whole = (bias + operation.pad_value * sums).astype(np.int64) & 0xFFFFFFFF
    params.reshape(-1, PARAM_BYTES)[:, :4] = whole.astype("<u4").view(np.uint8).reshape(-1, 4)
    return np.concatenate(parts), params.reshape(-1)


def emit_gathered(
    operation: Operation,
    schedule: LayerSchedule,
    config: AcceleratorConfig,
    addresses: Addresses,
) -> list[Instruction]:
    """Return the instructions of a layer that gathers: a scan, then four for each slice.

    Images run one after the other: a scan waits until the weights of the one before are through.

    Raises
    ------
    ValueError
        If a number does not fit its field.
    """
    made = []
    if operation.table is not None:
        made.append(_load(Buffer.TABLE, addresses.table, TABLE_ENTRIES // PARAM_BYTES))
    for image in range(schedule.images):
        made += _image(operation, schedule, config, addresses, image, len(made))
    return made


def _image(
    operation: Operation,
    schedule: LayerSchedule,
    config: AcceleratorConfig,
    addresses: Addresses,
    image: int,
    before: int,
) -> list[Instruction]:
    """Return the instructions of an image, which stand behind `before` others."""
    source, target = addresses.sources[0], addresses.target
    slots = param_slots(operation, schedule, config)
    slices = slices_of(operation, schedule, config)
    low, high = operation.differences
    scanned = image * len(slices)
    # Each slice before had a CONV and a STORE.
    loads, weights = before - 2 * scanned + 1, addresses.weights
    made = [
        _load(
            Buffer.ACT,
            source.address + image * source.image_bytes,
            source.data_bytes // config.block,
            scan=1,
            pad_value=operation.pad_value,
            after_computed=scanned,
        )
    ]
    single = dict.fromkeys(("x_count", "y_count", "n_count", "r_count", "c_count"), 1)
    for number, (first, count) in enumerate(slices, start=scanned):
        in_unit = held(operation, count)
        words = in_unit * operation.weight_bits // 8
        blocks = min(count * config.col_groups, target.blocks - first * config.col_groups)
        entries = number % slots * schedule.pixels * config.cols
        conv = {
            **single,
            "s_count": in_unit,
            "c_step": 1,
            "bank": number % 2,
            "clear": 1,
            "gather": 1,
            "unsigned": int(low < -128 or high > 127),
            "units": schedule.units,
            "after_loaded_act": loads,
            "after_loaded_weight": loads,
            "after_drained": max(0, number - 1),
        }
        store = {
            "addr": target.address
            + image * target.image_bytes
            + first * config.col_groups * config.block,
            "run_words": blocks,
            "bank": number % 2,
            "blocks": blocks,
            "stacked": 1,
            "param_base": entries,
            "zero_point": operation.zero_point,
            "low": operation.low,
            "high": operation.high,
            "table": int(operation.table is not None),
            "after_computed": number + 1,
            "after_loaded": loads + 2 * (number - scanned + 1),
        }
        made += [
            _load(
                Buffer.WEIGHT,
                weights,
                words,
                runs=source.data_bytes,
                run_pitch=words * config.cols,
                gather=1,
                nibbles=int(operation.nibbles),
                units=schedule.units,
                after_computed=number,
            ),
            Instruction(Opcode.CONV, conv),
            _load(
                Buffer.PARAM,
                addresses.params + first * config.cols * PARAM_BYTES,
                count * config.cols,
                dest=entries,
                after_drained=max(0, number - slots + 1),
            ),
            Instruction(Opcode.STORE, store),
        ]
        weights += source.data_bytes * words * config.cols
    return made


def _load(buffer: Buffer, address: int, words: int, **fields: int) -> Instruction:
    return Instruction(
        Opcode.LOAD, {"buffer": buffer, "addr": address, "run_words": words, **fields}
    )
