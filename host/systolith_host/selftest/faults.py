"""Stage 4: what is wrong is reported as documented, and cured as documented.

Each fault is a run of a copying program with something wrong. Only one engine can see it, so the
registers are known beforehand. The cure is the driver's reset; then the right program runs.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.program.instructions import layer_instructions, with_field
from systolith_host.program.program import LayerProgram, Program
from systolith_host.runtime.driver import WATCHDOG, AcceleratorError
from systolith_host.selftest.bench import Bench
from systolith_host.selftest.copying import Copying
from systolith_host.selftest.result import Finding
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import FIELDS, INSTRUCTION_BYTES, Buffer, Opcode
from systolith_hw.spec.registers import Engine, ErrorCode

__all__ = ["Fault", "check_faults", "faults_of"]

NO_OPCODE = 0xF


@dataclass(frozen=True)
class Fault:
    """Something wrong, and what the accelerator must say of it.

    Parameters
    ----------
    name : str
    program : Program
    code : ErrorCode
    engine : Engine
    info : int
        ERROR_INFO; of an address, counted from where the program's memory begins.
    window : int, optional
        Bytes that the program may touch, where they are not those of the program.
    watchdog : int
        Cycles.
    cycles : bool
        Whether only a device that has cycles can see it.
    """

    name: str
    program: Program
    code: ErrorCode
    engine: Engine
    info: int
    window: int | None = None
    watchdog: int = WATCHDOG
    cycles: bool = False


def faults_of(config: AcceleratorConfig, program: Program) -> Iterator[Fault]:
    """Yield the faults of a program of one layer."""
    (layer,) = program.layers
    instructions = layer_instructions(program, layer)
    first = {
        opcode: next(n for n, one in enumerate(instructions) if one.opcode is opcode)
        for opcode in Opcode
    }
    act = next(
        n
        for n, one in enumerate(instructions)
        if one.opcode is Opcode.LOAD and one["buffer"] == Buffer.ACT
    )
    loads_before = sum(one.opcode is Opcode.LOAD for one in instructions[:act])

    def changed(number: int, name: str, value: int) -> Program:
        one = instructions[number]
        field = next(field for field in FIELDS[one.opcode] if field.name == name)
        return _with_code(program, layer, number, with_field(one, field, value))

    last = len(instructions) - 1
    yield Fault(
        "no such opcode",
        _with_code(program, layer, last, bytes([NO_OPCODE]) + bytes(INSTRUCTION_BYTES - 1)),
        ErrorCode.ILLEGAL,
        Engine.FETCH,
        last,
    )
    yield Fault(
        "a program between two instructions",
        replace(program, layers=(_moved(layer, 4),)),
        ErrorCode.ILLEGAL,
        Engine.FETCH,
        0,
    )
    yield Fault(
        "a window too small for the program",
        program,
        ErrorCode.ADDRESS,
        Engine.FETCH,
        layer.instruction_address,
        window=layer.instruction_address,
    )
    beyond = program.memory_size
    yield Fault(
        "a LOAD beyond the window",
        changed(act, "addr", beyond),
        ErrorCode.ADDRESS,
        Engine.LOAD,
        beyond,
    )
    yield Fault(
        "a STORE beyond the window",
        changed(first[Opcode.STORE], "addr", beyond),
        ErrorCode.ADDRESS,
        Engine.STORE,
        beyond,
    )
    yield Fault(
        "a LOAD beyond its buffer",
        changed(act, "dest", config.act_depth),
        ErrorCode.BUFFER,
        Engine.LOAD,
        config.act_depth,
    )
    words = instructions[act]["run_words"]
    yield Fault(
        "a LOAD of another size than its tile",
        changed(act, "run_words", words + 1),
        ErrorCode.COUNT,
        Engine.LOAD,
        loads_before,
    )
    yield Fault(
        "no progress",
        program,
        ErrorCode.WATCHDOG,
        Engine.FETCH,
        0,
        watchdog=1,
        cycles=True,
    )


def check_faults(bench: Bench) -> Finding:
    """Run every fault, and the right program after each.

    Raises
    ------
    SystolithError
        If a fault is not reported as documented, or the accelerator does not work after it.
    """
    copying = Copying(bench.config)
    program = copying.program
    bench.log.stage("faults")
    faults = list(faults_of(bench.config, program))
    seen = [fault for fault in faults if bench.opened.facts.counts_cycles or not fault.cycles]
    for number, fault in enumerate(seen):
        bench.log.update(fault.name, number, len(seen))
        values = copying.values(bench.seed + number)
        _expect(bench, fault, {"input": values})
        try:
            (outcome,) = bench.run(program, {"input": values})
        except SystolithError as error:
            raise SystolithError(
                f"{fault.name}: the accelerator does not work after the reset: {error}"
            ) from None
        wrong = int((outcome.output != values).sum())
        if wrong:
            raise SystolithError(
                f"{fault.name}: after the reset {wrong} of {values.size:,} values differ; "
                "something is left over from the fault"
            )
    kinds = ", ".join(dict.fromkeys(fault.code.name for fault in seen))
    text = f"{len(seen)} faults ({kinds}) reported as documented, each cured by a reset"
    left = [fault.name for fault in faults if fault not in seen]
    if left:
        text += f"; not on this device, which has no cycles: {', '.join(left)}"
    return Finding(text, {"faults": [fault.name for fault in seen], "absent": left})


def _expect(bench: Bench, fault: Fault, inputs: Mapping[str, np.ndarray]) -> None:
    """Run a fault and check what the registers say."""
    run = bench.load(fault.program, inputs)
    size = fault.program.memory_size if fault.window is None else fault.window
    info = fault.info
    if fault.code is ErrorCode.ADDRESS:
        info += bench.opened.memory_base
    wanted = (fault.code, fault.engine, info)
    try:
        run(bench.driver(size, watchdog=fault.watchdog))
    except AcceleratorError as error:
        found = (error.code, error.engine, error.info)
        if found != wanted:
            raise SystolithError(
                f"{fault.name}: expected {_text(*wanted)}, got {_text(*found)}; the bitstream is "
                "of other sources, or its clock is missed"
            ) from None
    else:
        raise SystolithError(
            f"{fault.name}: expected {_text(*wanted)}, but the program ended well; the bitstream "
            "is of other sources, or its clock is missed"
        )


def _text(code: int, engine: int, info: int) -> str:
    codes, engines = map(_names, (ErrorCode, Engine))
    return f"{codes(code)} by {engines(engine)}, information {info:#x}"


def _names(kind: type[ErrorCode] | type[Engine]) -> Callable[[int], str]:
    names = {int(each): each.name for each in kind}
    return lambda number: names.get(number, str(number))


def _moved(layer: LayerProgram, distance: int) -> LayerProgram:
    return replace(layer, instruction_address=layer.instruction_address + distance)


def _with_code(program: Program, layer: LayerProgram, number: int, code: bytes) -> Program:
    """Return the program with another instruction in one place."""
    place = layer.instruction_address + number * INSTRUCTION_BYTES
    segments = []
    for address, data in program.segments:
        if address <= place < address + data.size:
            data = np.array(data)
            data[place - address :][:INSTRUCTION_BYTES] = np.frombuffer(code, np.uint8)
        segments.append((address, data))
    return replace(program, segments=tuple(segments))
