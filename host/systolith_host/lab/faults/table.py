"""The faults that one instruction can have, each with the error that the accelerator reports."""

from collections.abc import Sequence

from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import Buffer, Instruction, Opcode
from systolith_hw.spec.registers import Engine, ErrorCode

__all__ = ["faulty_instructions"]


def _changed(instruction: Instruction, **fields: int) -> bytes:
    return Instruction(instruction.opcode, {**instruction.fields, **fields}).encode()


def faulty_instructions(
    config: AcceleratorConfig, program: Sequence[Instruction], end: int
) -> list[tuple[int, bytes, ErrorCode, Engine, int]]:
    """Return one fault after the other that an instruction of a convolution can have.

    Parameters
    ----------
    config : AcceleratorConfig
    program : sequence of Instruction
        It has a LOAD, a CONV and a STORE.
    end : int
        Of the memory; the window reaches to twice as far.

    Returns
    -------
    list of (number, code in its place, error, engine, information)
    """
    first = {opcode: [i.opcode for i in program].index(opcode) for opcode in Opcode}
    depths = {
        Buffer.ACT: config.act_depth,
        Buffer.WEIGHT: config.weight_depth,
        Buffer.PARAM: config.param_depth,
    }
    table = [
        (first[opcode], b"\xff" + bytes(63), ErrorCode.ILLEGAL, Engine.FETCH, first[opcode])
        for opcode in Opcode
    ]
    loads = [number for number, i in enumerate(program) if i.opcode is Opcode.LOAD]
    for number in loads:
        i = program[number]
        depth = depths[Buffer(i["buffer"])]
        table.append(
            (number, _changed(i, dest=depth + 2), ErrorCode.BUFFER, Engine.LOAD, depth + 2)
        )
        table.append((number, _changed(i, addr=2 * end), ErrorCode.ADDRESS, Engine.LOAD, 2 * end))
        table.append((number, _changed(i, addr=end), ErrorCode.BUS, Engine.LOAD, 0))
    act = next(number for number in loads if program[number]["buffer"] == Buffer.ACT)
    more_rows = _changed(program[act], rows=program[act]["rows"] + 1)
    table.append((act, more_rows, ErrorCode.COUNT, Engine.LOAD, loads.index(act)))
    conv, store = program[first[Opcode.CONV]], program[first[Opcode.STORE]]
    for field, value in (
        ("act_base", config.act_depth + 5),
        ("weight_base", config.weight_depth + 3),
        ("acc_base", config.acc_depth + 1),
    ):
        bad = _changed(conv, **{field: value})
        table.append((first[Opcode.CONV], bad, ErrorCode.BUFFER, Engine.COMPUTE, value))
    for fields, error, info in (
        ({"acc_base": config.acc_depth + 1}, ErrorCode.BUFFER, config.acc_depth + 1),
        ({"param_base": config.param_depth + 4}, ErrorCode.BUFFER, config.param_depth + 4),
        ({"addr": 2 * end}, ErrorCode.ADDRESS, 2 * end),
        ({"addr": end}, ErrorCode.BUS, 0),
        ({"run_words": store["run_words"] + 1}, ErrorCode.COUNT, 0),
    ):
        table.append((first[Opcode.STORE], _changed(store, **fields), error, Engine.STORE, info))
    return table
