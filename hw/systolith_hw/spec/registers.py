"""The register map of the AXI4-Lite port: offsets, access, meaning, and encodings.

Registers have 32 bits. A 64-bit quantity takes two, the low half first; the two halves of a counter
are consistent once the accelerator is no longer busy.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

__all__ = [
    "ADDR_WIDTH",
    "CONTROL_RESET",
    "CONTROL_START",
    "COUNTER_WIDTH",
    "ENGINE_STATES",
    "IDENTITY",
    "REGISTERS",
    "STATUS_BUSY",
    "STATUS_DONE",
    "STATUS_ERROR",
    "VERSION",
    "Engine",
    "ErrorCode",
    "Register",
    "counter_name",
]

ADDR_WIDTH = 12
"""Bits of a byte address on the AXI4-Lite port."""

IDENTITY = int.from_bytes(b"SYST", "little")
VERSION = 1
"""Incremented when programs or hosts of the previous version no longer work."""

CONTROL_START = 1 << 0
CONTROL_RESET = 1 << 1
STATUS_BUSY = 1 << 0
STATUS_DONE = 1 << 1
STATUS_ERROR = 1 << 2

COUNTER_WIDTH = 40
"""Bits of a performance counter: three hours of one program at 100 MHz."""


class Engine(IntEnum):
    """The engines, as error and state registers number them."""

    FETCH = 0
    LOAD = 1
    COMPUTE = 2
    STORE = 3


class ErrorCode(IntEnum):
    """Why a program ended early (register ERROR_CODE; ERROR_ENGINE says which engine saw it)."""

    NONE = 0
    ILLEGAL = 1
    """ERROR_INFO is the number of an instruction whose opcode is unknown, that has a field with an
    illegal value (see ``spec.legal``), or that waits for an instruction that does not come before
    it; it is also 0 if PROGRAM_ADDR is not a multiple of 64."""
    ADDRESS = 2
    """ERROR_INFO is an address outside of the window that the host set."""
    BUS = 3
    """The memory answered with an error; ERROR_INFO is 0."""
    WATCHDOG = 4
    """No engine made progress for WATCHDOG cycles; ENGINE_STATE says what each waits for."""
    BUFFER = 5
    """ERROR_INFO is the buffer word, entry or bank address beyond its buffer's end."""
    COUNT = 6
    """A region has more or fewer words than its LOAD's tile or its STORE's windows; ERROR_INFO is
    the number of that LOAD among the program's LOADs, or of the STORE among its STOREs, from 0."""
    PROTOCOL = 7
    """The memory broke a rule of AXI4: it answered without a request, or ended a burst at the wrong
    beat; ERROR_INFO is 0. The error stays until a reset, between programs as well: the next one
    fails at its start."""
    LEFTOVER = 8
    """Every instruction is finished, or the program begins, but the engine still holds words, beats
    or instructions; ERROR_INFO is 0."""


ENGINE_STATES: Mapping[Engine, tuple[str, ...]] = {
    Engine.LOAD: ("idle", "busy", "wait_memory", "wait_compute", "wait_store"),
    Engine.COMPUTE: ("idle", "busy", "wait_input", "wait_weights", "wait_output"),
    Engine.STORE: ("idle", "busy", "wait_compute", "wait_params", "wait_memory"),
}
"""The states of each engine. It is in exactly one in each cycle, and each state has a counter.

LOAD: in busy it moves a word (or padding) into a buffer; in wait_memory it has a LOAD but no data;
in wait_compute it waits for the counter computed, in wait_store for drained or stored.
COMPUTE: in busy it issues a pixel (or a patch of a lane) to the array; in wait_input it waits for
activations (with ``winograd`` also for patches to be gathered and transformed); in wait_weights for
a weight block, or for the sums of the pass before; in wait_output for the drain of a bank.
STORE: in busy it drains a sum; in wait_compute it waits for the counter computed, in wait_params
for the counter loaded, in wait_memory for room in the output buffer or for the last writes.
In idle an engine has no instruction.
"""


def counter_name(engine: Engine, state: str) -> str:
    """Return the name of the register that counts the cycles of `engine` in `state`."""
    return f"{engine.name}_{state.upper()}"


@dataclass(frozen=True)
class Register:
    """A register of 32 or 64 bits.

    `access` is "ro", "rw", "w1" (writing a 1 makes a pulse) or "w1c" (writing a 1 clears the bit).
    `bits` names the bits of a register of single bits, from bit 0 on.

    An `external` register holds an address: its addr_width low bits, and one more that is set if
    the address written was 2**addr_width or larger.
    """

    name: str
    offset: int
    access: str
    doc: str
    width: int = 32
    bits: tuple[str, ...] = ()
    external: bool = False

    def held(self, value: int, addr_width: int) -> int:
        """Return the part of a written value that the register holds."""
        if not self.external or value >> addr_width == 0:
            return value
        return value & ((1 << addr_width) - 1) | 1 << addr_width


def _external(name: str, offset: int, doc: str) -> Register:
    return Register(name, offset, "rw", doc, 64, external=True)


def _registers() -> dict[str, Register]:
    table = [
        Register("ID", 0x00, "ro", "IDENTITY"),
        Register("VERSION", 0x04, "ro", "VERSION of the register map and instruction set"),
        Register("FINGERPRINT", 0x08, "ro", "hash of the configuration", 64),
        Register(
            "CONTROL",
            0x10,
            "w1",
            "bit 0 starts a program unless STATUS has an error; bit 1 resets the engines instead",
            bits=("start", "reset"),
        ),
        Register(
            "STATUS",
            0x14,
            "ro",
            "bit 0 busy, bit 1 done, bit 2 error",
            bits=("busy", "done", "error"),
        ),
        Register("IRQ_ENABLE", 0x18, "rw", "bit 0 lets the interrupt out", bits=("end",)),
        Register("IRQ_PENDING", 0x1C, "w1c", "bit 0: the program ended, or failed", bits=("end",)),
        _external(
            "PROGRAM_ADDR", 0x20, "address of the first instruction, a multiple of 64; for a start"
        ),
        Register("PROGRAM_COUNT", 0x28, "rw", "instructions of the program; for a start"),
        Register("WATCHDOG", 0x2C, "rw", "cycles without progress that are an error; 0 for none"),
        _external("WINDOW_BASE", 0x30, "first address that may be accessed"),
        _external(
            "WINDOW_END", 0x38, "address after the last that may be accessed, 2**addr_width at most"
        ),
        Register("ERROR_CODE", 0x40, "ro", "an ErrorCode"),
        Register("ERROR_ENGINE", 0x44, "ro", "the Engine that saw the error"),
        Register("ERROR_INFO", 0x48, "ro", "see ErrorCode", 64),
        Register("FETCHED", 0x50, "ro", "instructions handed to the engines"),
        Register("LOADED", 0x54, "ro", "LOADs finished"),
        Register("COMPUTED", 0x58, "ro", "CONVs finished"),
        Register("DRAINED", 0x5C, "ro", "STOREs whose sums have left the accumulators"),
        Register("STORED", 0x60, "ro", "STOREs whose writes were acknowledged"),
        Register("ENGINE_STATE", 0x64, "ro", "4 bits per Engine: index into ENGINE_STATES"),
    ]
    offset = 0x100
    names = ["CYCLES", "BYTES_READ", "BYTES_WRITTEN"]
    docs = {
        "CYCLES": "cycles from start to end of the program",
        "BYTES_READ": "bytes that crossed the bus towards the accelerator, whole beats",
        "BYTES_WRITTEN": "bytes that crossed the bus towards the memory, whole beats",
    }
    for engine, states in ENGINE_STATES.items():
        names += [counter_name(engine, state) for state in states]
    for name in names:
        doc = docs.get(name, "cycles of that engine in that state")
        table.append(Register(name, offset, "ro", doc, 64))
        offset += 8
    return {register.name: register for register in table}


REGISTERS: Mapping[str, Register] = _registers()
