"""Layouts that follow the specification: instructions, progress counters, parameters."""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data

from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import (
    COUNTERS,
    FIELDS,
    INSTRUCTION_BYTES,
    OPCODE_WIDTH,
    Opcode,
    Role,
    fields_of,
)

__all__ = [
    "COUNTER_BITS",
    "OUTPUT_LAYOUT",
    "PARAM_LAYOUT",
    "PROGRESS_LAYOUT",
    "address_bits",
    "instruction_layout",
    "packed_instruction_layout",
]

COUNTER_BITS = next(field.width for field in FIELDS[Opcode.LOAD] if field.role is Role.TOKEN)

PROGRESS_LAYOUT = data.StructLayout(dict.fromkeys(COUNTERS, COUNTER_BITS))
"""The counters of finished instructions, which are the dependency tokens."""

PARAM_LAYOUT = data.StructLayout(
    {"bias": signed(32), "multiplier": unsigned(24), "shift": unsigned(8)}
)
"""A parameter entry, as it stands in memory."""

OUTPUT_LAYOUT = data.StructLayout({"zero_point": signed(8), "low": signed(8), "high": signed(8)})
"""Values that all channels of a tensor share; constant while results are in the pipeline."""


def address_bits(config: AcceleratorConfig) -> int:
    """Return the bits of an external address within the accelerator.

    One more than the bus has, so that addresses beyond the end of memory are seen and refused.
    """
    return config.addr_width + 1


def instruction_layout(
    opcode: Opcode, config: AcceleratorConfig | None = None
) -> data.StructLayout:
    """Layout of the fields of an instruction, without its opcode.

    Without a configuration they are as in memory; with one, external fields have the bits that
    their legal values need, and fields of options that it leaves out are missing.
    """
    members = {}
    for field in fields_of(opcode, config):
        width = field.width if config is None else field.bits(config.addr_width)
        members[field.name] = signed(width) if field.signed else unsigned(width)
    return data.StructLayout(members)


def packed_instruction_layout() -> data.StructLayout:
    """Layout of an instruction as it is fetched."""
    return data.StructLayout(
        {"opcode": OPCODE_WIDTH, "fields": INSTRUCTION_BYTES * 8 - OPCODE_WIDTH}
    )
