"""The C header of the hardware: registers, instruction set, and the layout of program images."""

from collections.abc import Iterator, Mapping

from systolith_host.drivers import layout
from systolith_host.drivers.link import LARGEST_TRANSFER, REQUESTS
from systolith_host.escape import comment
from systolith_hw.spec import registers
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import (
    FIELDS,
    INSTRUCTION_BYTES,
    OPCODE_WIDTH,
    PARAM_BYTES,
    Opcode,
    buffers_of,
    fields_of,
)
from systolith_hw.spec.registers import ENGINE_STATES, REGISTERS, Engine, ErrorCode

__all__ = ["HEADER_NAME", "c_header"]

HEADER_NAME = "systolith_spec.h"

_FIRST_COUNTER = "CYCLES"
"""The counters are the registers from this one on."""


def c_header(config: AcceleratorConfig | None = None) -> str:
    """Return the header, in C99 that C++ takes too.

    Parameters
    ----------
    config : AcceleratorConfig, optional
        One whose fingerprint, sizes and name the header is to have as well; the rest is the same
        for all configurations.
    """
    guard = "SYSTOLITH_SPEC_H"
    lines = [
        "/* Systolith: registers, instruction set and program images, as numbers.",
        " *",
        " * Made by `systolith header`; make it again for other gateware instead of changing it.",
        " */",
        "",
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        *_registers(),
        *_codes(),
        *_instructions(config),
        *_images(),
        *_link(),
    ]
    if config is not None:
        lines += _configuration(config)
    lines += [f"#endif /* {guard} */"]
    return "\n".join(lines) + "\n"


def _title(text: str) -> str:
    return f"/* {text} */"


def _define(name: str, value: int | str, doc: str = "") -> str:
    if isinstance(value, int):
        # Offsets and counts in decimal, what is seen in a debugger in hexadecimal.
        value = f"0x{value:x}ull" if value >> 32 else f"0x{value:x}u" if value > 9 else f"{value}u"
    note = f"  /* {comment(doc).replace('*/', '* /')} */" if doc else ""
    return f"#define SYSTOLITH_{name.upper()} {value}{note}"


def _names(what: str, names: Mapping[int, str], doc: str = "") -> Iterator[str]:
    """Yield the lines of a macro that calls X(number, text) for each name."""
    note = f"; {doc}" if doc else ""
    yield _title(f"X(number, text) for the name of each {what.lower()}{note}.")
    yield f"#define SYSTOLITH_{what}_NAMES(X) \\"
    *first, last = [f'    X({number}, "{name}")' for number, name in names.items()]
    yield from (f"{line} \\" for line in first)
    yield last


def _registers() -> Iterator[str]:
    yield _title("Registers: byte offsets on the AXI4-Lite port, 32 bits wide. Of a 64-bit one,")
    yield _title("this is the offset of the lower half; the upper one follows.")
    for register in REGISTERS.values():
        yield _define(f"REG_{register.name}", register.offset, f"{register.access}: {register.doc}")
    yield _define("REGISTER_BYTES", 1 << registers.ADDR_WIDTH, "bytes of the port's addresses")
    yield ""
    yield _define("IDENTITY", registers.IDENTITY)
    yield _define("REGISTER_VERSION", registers.VERSION)
    for register in REGISTERS.values():
        for bit, name in enumerate(register.bits):
            yield _define(f"{register.name}_{name}", 1 << bit)
    yield ""
    yield _title("The 64-bit counters, one after the other from the first offset on.")
    names = list(REGISTERS)
    counters = names[names.index(_FIRST_COUNTER) :]
    yield _define("FIRST_COUNTER", REGISTERS[counters[0]].offset)
    yield _define("COUNTERS", len(counters))
    for number, name in enumerate(counters):
        yield _define(f"COUNTER_{name}", number)
    yield from _names("COUNTER", {n: name.lower() for n, name in enumerate(counters)})
    yield ""


def _codes() -> Iterator[str]:
    yield _title("Engines, as ERROR_ENGINE and ENGINE_STATE (4 bits each) number them.")
    for engine in Engine:
        yield _define(f"ENGINE_{engine.name}", int(engine))
    for engine, states in ENGINE_STATES.items():
        for number, state in enumerate(states):
            yield _define(f"STATE_{engine.name}_{state}", number)
    yield from _names("ENGINE", {int(engine): engine.name for engine in Engine})
    states = {
        int(engine) << 4 | number: state
        for engine, names in ENGINE_STATES.items()
        for number, state in enumerate(names)
    }
    yield from _names("STATE", states, "the engine in the upper 4 bits")
    yield ""
    yield _title("Values of ERROR_CODE.")
    for code in ErrorCode:
        yield _define(f"ERROR_{code.name}", int(code))
    yield from _names("ERROR", {int(code): code.name for code in ErrorCode})
    yield ""


def _instructions(config: AcceleratorConfig | None) -> Iterator[str]:
    yield _title("Instructions: little-endian numbers of 512 bits; the lowest bit of each field,")
    yield _title("and its width.")
    yield _define("INSTRUCTION_BYTES", INSTRUCTION_BYTES)
    yield _define("OPCODE_LOW", 0)
    yield _define("OPCODE_WIDTH", OPCODE_WIDTH)
    yield _define("PARAM_BYTES", PARAM_BYTES, "of a parameter entry")
    for buffer in buffers_of(config):
        yield _define(f"BUFFER_{buffer.name}", int(buffer))
    for opcode in Opcode:
        yield ""
        yield _define(f"OPCODE_{opcode.name}", int(opcode))
        present = {field.name for field in fields_of(opcode, config)}
        position = OPCODE_WIDTH
        for field in FIELDS[opcode]:
            if field.name in present:
                name = f"{opcode.name}_{field.name}"
                kind = ", signed" if field.signed else ""
                yield _define(f"{name}_LOW", position, f"{field.doc}{kind}")
                yield _define(f"{name}_WIDTH", field.width)
            position += field.width
    yield ""


def _images() -> Iterator[str]:
    yield _title("Program images: offsets of the numbers of each record, all little-endian.")
    yield _define("IMAGE_MAGIC", layout.MAGIC)
    yield _define("IMAGE_VERSION", layout.VERSION)
    yield _define("IMAGE_DATA_ALIGNMENT", layout.DATA_ALIGNMENT)
    yield _define("IMAGE_INDEX_BYTES", layout.INDEX_BYTES)
    yield _define("IMAGE_TENSOR_UNSIGNED", layout.TENSOR_UNSIGNED)
    yield _define("IMAGE_NO_TENSOR", layout.NO_TENSOR)
    for record in layout.RECORDS:
        yield ""
        yield _title(f"{record.name.capitalize()}: {record.doc}.")
        for number, offset in record.offsets():
            yield _define(
                f"IMAGE_{record.name}_{number.name}", offset, f"{number.size} bytes: {number.doc}"
            )
        yield _define(f"SIZEOF_{record.name}", record.size)
    yield ""


def _link() -> Iterator[str]:
    yield _title("Requests to a simulated device, for the back end over a socket.")
    for name, letter in REQUESTS.items():
        yield _define(f"LINK_{name}", f"'{letter.decode()}'")
    yield _define("LINK_LARGEST_TRANSFER", LARGEST_TRANSFER)
    yield ""


def _configuration(config: AcceleratorConfig) -> Iterator[str]:
    yield _title("One configuration.")
    yield _define("CONFIG_NAME", f'"{config.name}"')
    yield _define("CONFIG_FINGERPRINT", config.fingerprint)
    for name in ("rows", "cols", "block", "bus_bytes", "addr_width"):
        yield _define(f"CONFIG_{name}", getattr(config, name))
    for name in ("act", "weight", "param", "acc"):
        yield _define(f"CONFIG_{name}_DEPTH", getattr(config, f"{name}_depth"))
    yield ""
