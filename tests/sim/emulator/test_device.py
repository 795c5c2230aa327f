"""The emulator as a device: registers, order of programs, errors and missing dependencies."""

import numpy as np
import pytest

from systolith_hw.spec.isa import INSTRUCTION_BYTES, Buffer, Instruction, Opcode
from systolith_hw.spec.presets import PRESETS
from systolith_hw.spec.registers import (
    CONTROL_RESET,
    CONTROL_START,
    IDENTITY,
    REGISTERS,
    STATUS_DONE,
    STATUS_ERROR,
    VERSION,
    Engine,
    ErrorCode,
)
from systolith_sim.emulator.device import Emulator, EmulatorError

CONFIG = PRESETS["tiny"]
SIZE = 8192
WEIGHTS, PARAMS, INPUT, OUTPUT = 4096, 4608, 5120, 6144


def read(device, name):
    register = REGISTERS[name]
    value = device.read_register(register.offset)
    if register.width == 64:
        value |= device.read_register(register.offset + 4) << 32
    return value


def write(device, name, value):
    register = REGISTERS[name]
    device.write_register(register.offset, value & 0xFFFFFFFF)
    if register.width == 64:
        device.write_register(register.offset + 4, value >> 32)


def load(buffer, address, words, dest=0, **fields):
    shape = {"rows": 1, "pixels": words} if buffer == Buffer.ACT else {}
    region = {"addr": address, "run_words": words, "runs": 1, "planes": 1}
    return Instruction(Opcode.LOAD, {"buffer": buffer, "dest": dest, **region, **shape, **fields})


def conv(bank, *, act=0, weight=0, pixels=4, **fields):
    levels = dict.fromkeys([f"{level}_count" for level in "xynsrc"], 1)
    levels |= {"x_count": pixels, "x_step": 1}
    bases = {"act_base": act, "weight_base": weight, "bank": bank, "clear": 1}
    return Instruction(Opcode.CONV, {**levels, **bases, **fields})


def store(bank, address, words=4, **fields):
    levels = {f"{level}_count": 1 for level in ("dx", "dy", "x", "y", "n")}
    levels |= {"x_count": words, "x_step": 1}
    region = {"addr": address, "run_words": words, "runs": 1, "planes": 1, "blocks": 1}
    limits = {"low": -128, "high": 127, "bank": bank}
    return Instruction(Opcode.STORE, {**levels, **region, **limits, **fields})


def program(**changes):
    """Two tiles of four pixels; `changes` replaces fields of single instructions."""
    made = {
        "params": load(Buffer.PARAM, PARAMS, 4),
        "weights": load(Buffer.WEIGHT, WEIGHTS, 4),
        "input0": load(Buffer.ACT, INPUT, 4),
        "conv0": conv(0, after_loaded_act=3, after_loaded_weight=2),
        "store0": store(0, OUTPUT, after_computed=1, after_loaded=1),
        "input1": load(Buffer.ACT, INPUT + 16, 4, after_computed=1),
        "conv1": conv(0, after_loaded_act=4, after_drained=1),
        "store1": store(0, OUTPUT + 16, after_computed=2),
    }
    for name, fields in changes.items():
        made[name] = Instruction(made[name].opcode, {**made[name].fields, **fields})
    return list(made.values())


def prepare(instructions, *, strict=True):
    memory = np.zeros(SIZE, np.uint8)
    memory[INPUT : INPUT + 32] = np.arange(32)
    memory[WEIGHTS : WEIGHTS + 16] = np.eye(4, dtype=np.uint8).reshape(-1)
    # Multiplier 2 and shift 1 leave a sum as it is.
    memory[PARAMS : PARAMS + 32] = np.tile(np.array([0, 0, 0, 0, 2, 0, 0, 1], np.uint8), 4)
    device = Emulator(CONFIG, memory, strict=strict)
    code = b"".join(instruction.encode() for instruction in instructions)
    device.write_memory(0, np.frombuffer(code, np.uint8))
    write(device, "WINDOW_END", SIZE)
    write(device, "IRQ_ENABLE", 1)
    write(device, "PROGRAM_COUNT", len(instructions))
    return device


def run(device):
    write(device, "CONTROL", CONTROL_START)
    assert device.wait_interrupt(0)
    return read(device, "STATUS")


def test_registers_tell_what_the_accelerator_is():
    device = Emulator(CONFIG, 64)
    assert read(device, "ID") == IDENTITY
    assert read(device, "VERSION") == VERSION
    assert read(device, "FINGERPRINT") == CONFIG.fingerprint
    write(device, "ID", 1)
    assert read(device, "ID") == IDENTITY
    with pytest.raises(EmulatorError, match=r"^there is no register at offset 0xf00$"):
        device.read_register(0xF00)


def test_64_bit_registers_are_written_in_halves():
    device = Emulator(CONFIG, 64)
    write(device, "WINDOW_BASE", 0x1_5678_9ABC)
    assert read(device, "WINDOW_BASE") == 0x1_5678_9ABC


def test_a_program_runs_and_counts():
    device = prepare(program())
    assert run(device) == STATUS_DONE
    assert device.read_memory(OUTPUT, 32).tolist() == list(range(32))
    assert [read(device, name) for name in ("FETCHED", "LOADED", "COMPUTED", "STORED")] == [
        8,
        4,
        2,
        2,
    ]
    assert read(device, "BYTES_WRITTEN") == 32
    assert read(device, "BYTES_READ") == 8 * INSTRUCTION_BYTES + 32 + 16 + 16 + 16


def test_each_program_counts_from_zero():
    device = prepare(program())
    counts = []
    for _ in range(2):
        assert run(device) == STATUS_DONE
        counts.append([read(device, name) for name in ("LOADED", "BYTES_READ", "BYTES_WRITTEN")])
        write(device, "IRQ_PENDING", 1)
    assert counts[0] == counts[1]


def test_the_interrupt_is_raised_only_where_it_is_enabled():
    device = prepare(program())
    write(device, "IRQ_ENABLE", 0)
    write(device, "CONTROL", CONTROL_START)
    assert not device.wait_interrupt(0)
    assert read(device, "STATUS") == STATUS_DONE
    write(device, "IRQ_ENABLE", 1)
    assert device.wait_interrupt(0)
    write(device, "IRQ_PENDING", 1)
    assert not device.wait_interrupt(0)


def test_memory_may_be_a_mapped_file(tmp_path):
    path = tmp_path / "image"
    path.write_bytes(bytes(128))
    memory = np.memmap(path, np.uint8, "r+")
    Emulator(CONFIG, memory).write_memory(3, np.array([7], np.uint8))
    memory.flush()
    assert path.read_bytes()[3] == 7


def test_memory_beyond_its_end_is_refused():
    device = Emulator(CONFIG, 64)
    with pytest.raises(EmulatorError, match=r"^memory has 64 bytes, not 2 from address 0x3f$"):
        device.read_memory(63, 2)
    with pytest.raises(ValueError, match=r"^memory must be a row of bytes, not int8"):
        Emulator(CONFIG, np.zeros(4, np.int8))


def test_errors_are_reported_in_registers_until_the_start_after_a_reset():
    device = prepare(program())
    good = device.read_memory(3 * INSTRUCTION_BYTES, 1)
    device.write_memory(3 * INSTRUCTION_BYTES, np.array([0xF], np.uint8))
    assert run(device) == STATUS_ERROR
    assert read(device, "ERROR_CODE") == ErrorCode.ILLEGAL
    assert read(device, "ERROR_ENGINE") == Engine.FETCH
    assert read(device, "ERROR_INFO") == 3
    device.write_memory(3 * INSTRUCTION_BYTES, good)
    assert run(device) == STATUS_ERROR  # a start does not cure it
    write(device, "CONTROL", CONTROL_RESET)
    assert read(device, "STATUS") == 0
    assert read(device, "ERROR_CODE") == ErrorCode.ILLEGAL
    assert run(device) == STATUS_DONE
    assert read(device, "ERROR_CODE") == ErrorCode.NONE


def test_a_reset_outranks_a_start():
    device = prepare(program())
    write(device, "CONTROL", CONTROL_START | CONTROL_RESET)
    assert read(device, "STATUS") == 0
    assert run(device) == STATUS_DONE
    write(device, "CONTROL", CONTROL_START | CONTROL_RESET)
    assert read(device, "STATUS") == 0


@pytest.mark.parametrize("end", [SIZE, 1 << 32, 1 << 32 | 0x1000, (1 << 64) - 1])
def test_a_window_beyond_the_memory_ends_with_it(end):
    device = prepare(program(input0={"addr": (1 << 32) - 4}))
    write(device, "WINDOW_END", end)
    assert run(device) == STATUS_ERROR
    assert read(device, "ERROR_CODE") == ErrorCode.ADDRESS
    assert read(device, "ERROR_INFO") == (1 << 32 if end > SIZE else (1 << 32) - 4)


def test_each_engine_reports_its_errors():
    device = prepare(program(input0={"addr": SIZE}))
    assert run(device) == STATUS_ERROR
    assert (read(device, "ERROR_CODE"), read(device, "ERROR_ENGINE")) == (
        ErrorCode.ADDRESS,
        Engine.LOAD,
    )
    assert read(device, "ERROR_INFO") == SIZE
    device = prepare(program(conv0={"acc_base": 62}))
    assert run(device) == STATUS_ERROR
    assert (read(device, "ERROR_CODE"), read(device, "ERROR_ENGINE")) == (
        ErrorCode.BUFFER,
        Engine.COMPUTE,
    )
    assert read(device, "ERROR_INFO") == 64


@pytest.mark.parametrize(
    ("name", "fields", "message", "code", "engine", "info"),
    [
        (
            "conv0",
            {"after_loaded_act": 4},
            r"instruction 3 \(CONV\): it must come after .* is 4 where 3 are loaded",
            ErrorCode.ILLEGAL,
            Engine.FETCH,
            3,
        ),
        (
            "input0",
            {"lane": 1},
            r"instruction 2 \(LOAD\): lane must be below 1",
            ErrorCode.ILLEGAL,
            Engine.FETCH,
            2,
        ),
        (
            "input1",
            {"addr": INPUT + 1},
            r"instruction 5 \(LOAD\): addr and pitches must be multiples of 4 for ACT",
            ErrorCode.ILLEGAL,
            Engine.FETCH,
            5,
        ),
        (
            "input1",
            {"rows": 2},
            r"instruction 5 \(LOAD\): LOAD moves 4 words, .* have 8",
            ErrorCode.COUNT,
            Engine.LOAD,
            3,
        ),
        (
            "store1",
            {"run_words": 3},
            r"instruction 7 \(STORE\): STORE makes 4 words, but its region has 3",
            ErrorCode.COUNT,
            Engine.STORE,
            1,
        ),
    ],
)
def test_what_no_accelerator_does_is_refused(name, fields, message, code, engine, info):
    changes = {name: fields}
    write(device := prepare(program(**changes)), "CONTROL", CONTROL_START)
    with pytest.raises(EmulatorError, match=f"^{message}$"):
        device.wait_interrupt(0)
    device = prepare(program(**changes), strict=False)
    assert run(device) == STATUS_ERROR
    found = [read(device, f"ERROR_{what}") for what in ("CODE", "ENGINE", "INFO")]
    assert found == [code, engine, info]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conv0": {"after_loaded_act": 2}}, r"^instruction 3 .*reads act words that LOAD 2 may"),
        (
            {"conv0": {"after_loaded_act": 0, "after_loaded_weight": 1}},
            r"^instruction 3 .*reads act words that LOAD 2 may",
        ),
        ({"conv0": {"weight_base": 8}}, r"reads weight words that this program never loaded"),
        ({"store0": {"after_computed": 0}}, r"drains bank 0, which CONV 0 may fill"),
        ({"input1": {"after_computed": 0}}, r"overwrites act words that CONV 0 may still read"),
        ({"conv1": {"after_drained": 0}}, r"uses bank 0, which STORE 0 may drain"),
        ({"store1": {"after_computed": 1}}, r"drains bank 0, which CONV 1 may fill"),
        (
            {"input1": {"addr": OUTPUT}},
            r"^instruction 5 .*reads memory that STORE 0 may still write",
        ),
        (
            {"input1": {"buffer": Buffer.PARAM, "rows": 1, "pixels": 1, "run_words": 2}},
            r"overwrites param words that STORE 0 may still read",
        ),
    ],
)
def test_a_missing_dependency_is_found_in_strict_mode_only(changes, message):
    write(device := prepare(program(**changes)), "CONTROL", CONTROL_START)
    with pytest.raises(EmulatorError, match=message):
        device.wait_interrupt(0)
    write(device := prepare(program(**changes), strict=False), "CONTROL", CONTROL_START)
    assert device.wait_interrupt(0)


def test_what_others_waited_for_counts():
    # store0 waits for conv0 and that one for all loads: the parameters are there, too.
    assert run(prepare(program(store0={"after_loaded": 0}))) == STATUS_DONE
    assert run(prepare(program(input1={"after_computed": 0, "after_drained": 1}))) == STATUS_DONE
