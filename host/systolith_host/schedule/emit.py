"""Emission: the instructions of a layer with the counts that they wait for."""

from systolith_host.errors import SystolithError
from systolith_host.schedule.lower import Operation
from systolith_host.schedule.order import allocate, simulate
from systolith_host.schedule.schedule import LayerSchedule
from systolith_host.schedule.work import Addresses, Item, Step, Store, make_work
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import Buffer, Instruction, Opcode

__all__ = ["emit_layer"]


def emit_layer(
    operation: Operation,
    schedule: LayerSchedule,
    config: AcceleratorConfig,
    addresses: Addresses,
    rate: float,
) -> tuple[list[Instruction], int]:
    """Return the instructions of a layer and the cycles that they are expected to take.

    Parameters
    ----------
    rate : float
        Bytes per cycle that the memory can move.

    Raises
    ------
    SystolithError
        If a number does not fit its field.
    NoRoomError
        If the schedule needs more of a buffer than there is.
    """
    work = make_work(operation, schedule, config, addresses)
    allocate(work, config)
    order, cycles = simulate(work, config, rate)
    try:
        return list(_instructions(order)), round(cycles)
    except ValueError as error:
        raise SystolithError(
            f"{operation.name}: does not fit the instruction set ({error}); use smaller tensors"
        ) from None


def _instructions(order: list[Item | Step | Store]):
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
                "act_base": entry.act.address + entry.act_offset,
                "weight_base": entry.weight.address + entry.weight_offset,
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
