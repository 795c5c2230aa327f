"""The C header: a C compiler reads the same numbers from it as the specification has."""

import random
import shutil
import subprocess

import pytest

from systolith_host.drivers.header import HEADER_NAME, c_header
from systolith_host.drivers.layout import RECORDS
from systolith_hw.spec import registers
from systolith_hw.spec.isa import FIELDS, INSTRUCTION_BYTES, Instruction, Opcode
from systolith_hw.spec.presets import PRESETS
from systolith_hw.spec.registers import ENGINE_STATES, REGISTERS, Engine, ErrorCode, counter_name
from systolith_sim.testing.c_programs import STRICT, compile_c

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is missing")


def values(folder, text, names):
    """Return what a C program finds in macros of a header."""
    (folder / HEADER_NAME).write_text(text)
    prints = "".join(
        f'    printf("%llu\\n", (unsigned long long)SYSTOLITH_{name});\n' for name in names
    )
    source = folder / "values.c"
    source.write_text(
        f'#include <stdio.h>\n#include "{HEADER_NAME}"\nint main(void)\n{{\n{prints}'
        "    return 0;\n}\n"
    )
    program = compile_c(folder / "values", [source], [folder])
    done = subprocess.run([program], capture_output=True, text=True, check=True)
    return dict(zip(names, map(int, done.stdout.split()), strict=True))


def test_registers_bits_codes_and_counters_are_those_of_the_specification(tmp_path):
    wanted = {f"REG_{name}": register.offset for name, register in REGISTERS.items()}
    for name in ("CONTROL_START", "CONTROL_RESET", "STATUS_BUSY", "STATUS_DONE", "STATUS_ERROR"):
        wanted[name] = getattr(registers, name)
    wanted |= {"IDENTITY": registers.IDENTITY, "REGISTER_VERSION": registers.VERSION}
    wanted |= {f"ENGINE_{engine.name}": int(engine) for engine in Engine}
    wanted |= {f"ERROR_{code.name}": int(code) for code in ErrorCode}
    for engine, states in ENGINE_STATES.items():
        for number, state in enumerate(states):
            wanted[f"STATE_{engine.name}_{state.upper()}"] = number
    assert values(tmp_path, c_header(), list(wanted)) == wanted


def test_counters_follow_each_other_from_the_first(tmp_path):
    names = ["CYCLES", "BYTES_READ", "BYTES_WRITTEN"]
    names += [
        counter_name(engine, state) for engine, all_ in ENGINE_STATES.items() for state in all_
    ]
    found = values(
        tmp_path,
        c_header(),
        ["FIRST_COUNTER", "COUNTERS", *(f"COUNTER_{name}" for name in names)],
    )
    assert found["COUNTERS"] == len(names)
    for name in names:
        place = found["FIRST_COUNTER"] + 8 * found[f"COUNTER_{name}"]
        assert place == REGISTERS[name].offset


@pytest.mark.parametrize("opcode", list(Opcode), ids=lambda opcode: opcode.name)
def test_fields_stand_where_an_encoded_instruction_has_them(opcode, tmp_path):
    rng = random.Random(1)
    fields = FIELDS[opcode]
    chosen = {field.name: rng.randint(field.low, field.high) for field in fields}
    instruction = Instruction(opcode, chosen)
    code = int.from_bytes(instruction.encode(), "little")
    names = [
        f"{opcode.name}_{field.name.upper()}_{part}"
        for field in fields
        for part in ("LOW", "WIDTH")
    ]
    found = values(tmp_path, c_header(), [f"OPCODE_{opcode.name}", "INSTRUCTION_BYTES", *names])
    assert code & 0xF == found[f"OPCODE_{opcode.name}"]
    assert found["INSTRUCTION_BYTES"] == INSTRUCTION_BYTES
    for field in fields:
        name = f"{opcode.name}_{field.name.upper()}"
        bits = code >> found[f"{name}_LOW"] & ((1 << found[f"{name}_WIDTH"]) - 1)
        assert bits == instruction[field.name] % (1 << field.width), name


def test_records_of_images_have_their_offsets(tmp_path):
    wanted = {f"SIZEOF_{record.name.upper()}": record.size for record in RECORDS}
    for record in RECORDS:
        for number, offset in record.offsets():
            wanted[f"IMAGE_{record.name.upper()}_{number.name.upper()}"] = offset
    assert values(tmp_path, c_header(), list(wanted)) == wanted


def test_a_configuration_adds_its_numbers_and_leaves_out_what_it_does_not_have(tmp_path):
    config = PRESETS["tiny"]
    text = c_header(config)
    assert "SYSTOLITH_CONV_PATCHES_LOW" in c_header()
    assert "SYSTOLITH_CONV_PATCHES_LOW" not in text
    wanted = {"CONFIG_FINGERPRINT": config.fingerprint, "CONFIG_ROWS": 4, "CONFIG_ACT_DEPTH": 2048}
    assert values(tmp_path, text, list(wanted)) == wanted


def test_a_cpp_compiler_takes_it(tmp_path):
    (tmp_path / HEADER_NAME).write_text(c_header())
    (tmp_path / "a.cpp").write_text(f'#include "{HEADER_NAME}"\nint main() {{ return 0; }}\n')
    strict = [option for option in STRICT if not option.startswith("-std")]
    command = ["g++", "-std=c++11", *strict, "-c", "a.cpp"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
