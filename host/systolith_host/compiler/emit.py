"""Emission: the instructions of a layer with the counts that they wait for."""

from collections.abc import Iterator

from systolith_host.compiler.lower.operation import Operation
from systolith_host.compiler.schedule.order import MEMORY_LATENCY, allocate, simulate
from systolith_host.compiler.schedule.schedule import LayerSchedule
from systolith_host.compiler.schedule.work import Addresses, Item, Step, Store, make_work
from systolith_host.errors import SystolithError
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import Buffer, Instruction, Opcode

__all__ = ["Order", "emit_layer", "order_layer"]

Order = list[Item | Step | Store]
"""LOADs (an item is one or more), CONVs and STOREs in the order of the program."""


def order_layer(
    operation: Operation,
    schedule: LayerSchedule,
    config: AcceleratorConfig,
    addresses: Addresses,
    rate: float,
    latency: int = MEMORY_LATENCY,
    turnaround: int = 0,
) -> tuple[Order, int]:
    """Return what a layer does, in order, and the cycles that it is expected to take.

    Parameters
    ----------
    rate : float
        Bytes per cycle that the memory can move.
    latency : int
        Cycles from the address of a read to its first data.
    turnaround : int
        Cycles in which no data moves between reading and writing.

    Raises
    ------
    NoRoomError
        If the schedule needs more of a buffer than there is.
    """
    work = make_work(operation, schedule, config, addresses)
    allocate(work, config)
    order, cycles = simulate(work, config, rate, latency, turnaround)
    return order, round(cycles)


def emit_layer(operation: Operation, order: Order) -> list[Instruction]:
    """Return the instructions of a layer.

    Raises
    ------
    SystolithError
        If a number does not fit its field.
    """
    try:
        return list(_instructions(order))
    except ValueError as error:
        raise SystolithError(
            f"{operation.name}: does not fit the instruction set ({error}); use smaller tensors"
        ) from None


def _instructions(order: Order) -> Iterator[Instruction]:
    loads = 0
    last_step: dict[int, int] = {}
    steps = 0
    for entry in order:
        if isinstance(entry, Item):
            waits = "after_drained" if entry.buffer == Buffer.PARAM else "after_computed"
            for load in entry.loads:
                fields = {**load, "dest": load["dest"] + entry.address, waits: entry.after + 1}
                yield Instruction(Opcode.LOAD, fields)
            loads += len(entry.loads)
            entry.position = loads
        elif isinstance(entry, Step):
            fields = {
                **entry.fields,
                "after_loaded_act": entry.act.position,
                "after_loaded_weight": entry.weight.position,
                "after_drained": max(entry.tile - 1, 0) if entry.first else 0,
                "act_base": entry.act.address + entry.offset,
                "weight_base": entry.weight.address,
                "bank": entry.tile % 2,
                "clear": int(entry.first),
                "shift": int(entry.shift),
            }
            steps += 1
            last_step[entry.tile] = steps
            yield Instruction(Opcode.CONV, fields)
        else:
            fields = {
                **entry.fields,
                "after_computed": last_step.pop(entry.tile),
                "after_loaded": entry.param.position,
                "param_base": entry.param.address + entry.param_offset,
            }
            yield Instruction(Opcode.STORE, fields)
