"""Payload layouts of instructions and progress counters, made from the specification's tables."""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data

from systolith_hw.spec.isa import COUNTERS, FIELDS, INSTRUCTION_BYTES, OPCODE_WIDTH, Opcode

__all__ = [
    "ADDRESS_BITS",
    "COUNTER_BITS",
    "PROGRESS_LAYOUT",
    "instruction_layout",
    "packed_instruction_layout",
]

COUNTER_BITS = next(field.width for field in FIELDS[Opcode.LOAD] if field.name.startswith("after_"))

ADDRESS_BITS = next(field.width for field in FIELDS[Opcode.LOAD] if field.name == "addr")
"""Of an external address in instructions, whatever the bus has: too large ones are refused."""

PROGRESS_LAYOUT = data.StructLayout(dict.fromkeys(COUNTERS, COUNTER_BITS))
"""The counters of finished instructions, which are the dependency tokens."""


def instruction_layout(opcode: Opcode) -> data.StructLayout:
    """Layout of the fields of an instruction, without its opcode."""
    return data.StructLayout(
        {
            field.name: signed(field.width) if field.signed else unsigned(field.width)
            for field in FIELDS[opcode]
        }
    )


def packed_instruction_layout() -> data.StructLayout:
    """Layout of an instruction as it is fetched."""
    return data.StructLayout(
        {"opcode": OPCODE_WIDTH, "fields": INSTRUCTION_BYTES * 8 - OPCODE_WIDTH}
    )
