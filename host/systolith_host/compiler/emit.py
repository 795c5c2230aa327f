"""Emission: the instructions of a layer with the counts that they wait for."""

from collections.abc import Iterable, Iterator

from systolith_host.compiler.gathered import emit_gathered
from systolith_host.compiler.lower.operation import Operation
from systolith_host.compiler.schedule.fields import conv_fields, store_fields
from systolith_host.compiler.schedule.loads import load_fields
from systolith_host.compiler.schedule.order import Entry, allocate, simulate
from systolith_host.compiler.schedule.schedule import LayerSchedule
from systolith_host.compiler.schedule.work import Addresses, Work, make_work
from systolith_host.errors import SystolithError
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import Buffer, Instruction, Opcode
from systolith_hw.spec.memory import Memory

__all__ = ["emit_layer"]


def emit_layer(
    operation: Operation,
    schedule: LayerSchedule,
    config: AcceleratorConfig,
    addresses: Addresses,
    memory: Memory,
) -> tuple[list[Instruction], int]:
    """Return the instructions of a layer, and the cycles that they are expected to take.

    Parameters
    ----------
    memory : Memory
        That the program will run on.

    Raises
    ------
    NoRoomError
        If the schedule needs more of a buffer than there is.
    SystolithError
        If a number does not fit its field.
    """
    try:
        if schedule.units:
            return emit_gathered(operation, schedule, config, addresses), round(schedule.estimate)
        work = make_work(operation, schedule, config, addresses)
        allocate(work.tables, config)
        order, cycles = simulate(work.tables, config, memory)
        return list(_instructions(work, order)), cycles
    except ValueError as error:
        raise SystolithError(
            f"{operation.name}: does not fit the instruction set ({error}); use smaller tensors"
        ) from None


def _instructions(work: Work, order: Iterable[Entry]) -> Iterator[Instruction]:
    tables = work.tables
    loaded: dict[int, int] = {}  # LOADs up to the last of each item
    loads = 0
    # A patch's results are scaled after its last sum is read, until they are stored.
    released = "after_stored" if work.winograd else "after_drained"
    for opcode, row in order:
        if opcode == Opcode.LOAD:
            *_, address, after = tables.items[row].tolist()
            param = row >= tables.bounds[Buffer.PARAM, 0]
            waits = {released if param else "after_computed": after + 1}
            found = load_fields(work, row)
            for fields in found:
                room = 0 if fields["buffer"] == Buffer.TABLE else address
                place = {"dest": fields["dest"] + room}
                yield Instruction(opcode, {**fields, **place, **waits})
            loads += len(found)
            loaded[row] = loads
        elif opcode == Opcode.CONV:
            _, act, weight, _, opens, _ = tables.steps[row].tolist()
            waits = {
                "after_loaded_act": loaded[act],
                "after_loaded_weight": loaded[weight],
                "after_drained": max(opens - 1, 0),
            }
            yield Instruction(opcode, {**conv_fields(work, row), **waits})
        else:
            after, param, *_ = tables.stores[row].tolist()
            waits = {"after_computed": after + 1, "after_loaded": loaded[param]}
            yield Instruction(opcode, {**store_fields(work, row), **waits})
