"""Moves a program's memory to another address, for memory shared with processors."""

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.program.program import Program
from systolith_hw.spec.isa import FIELDS, INSTRUCTION_BYTES, OPCODE_WIDTH, Opcode

__all__ = ["PAGE_BYTES", "move_instructions", "relocate"]

PAGE_BYTES = 4096
"""Alignment of a base: AXI4 bursts must not cross such a border, and the compiler's addresses
keep to it."""


def _address_places() -> dict[int, tuple[int, int]]:
    """Return the lowest bit and the width of the address of each opcode that has one."""
    places = {}
    for opcode in Opcode:
        position = OPCODE_WIDTH
        for field in FIELDS[opcode]:
            if field.name == "addr":
                places[int(opcode)] = (position, field.width)
            position += field.width
    return places


_PLACES = _address_places()


def relocate(program: Program, base: int) -> list[tuple[int, np.ndarray]]:
    """Return the program's segments with `base` added to every address in their instructions.

    The segments' own addresses stay relative to the base.

    Parameters
    ----------
    program : Program
    base : int
        Address of the program's memory, a multiple of :data:`PAGE_BYTES`.

    Raises
    ------
    SystolithError
        If the memory would not lie within the accelerator's addresses.
    """
    if base < 0 or base % PAGE_BYTES:
        raise SystolithError(f"a program's memory must start at a page of 4096, not {base:#x}")
    end = base + program.memory_size
    if end > 1 << program.config.addr_width:
        raise SystolithError(
            f"{program.config.name}: the memory ends at {end:#x}, but addresses have "
            f"{program.config.addr_width} bits; build with a larger addr_width"
        )
    spans = [
        (layer.instruction_address, layer.instruction_count * INSTRUCTION_BYTES)
        for layer in program.layers
    ]
    segments = []
    for address, data in program.segments:
        inside = [
            (start - address, size)
            for start, size in spans
            if address <= start and start + size <= address + data.size
        ]
        if inside and base:
            data = np.array(data)
            for start, size in inside:
                move_instructions(data[start : start + size], base)
        segments.append((address, data))
    return segments


def move_instructions(instructions: np.ndarray, base: int) -> None:
    """Add `base` to the address in each of some instructions, in place (uint8)."""
    for start in range(0, instructions.size, INSTRUCTION_BYTES):
        part = instructions[start : start + INSTRUCTION_BYTES]
        word = int.from_bytes(part.tobytes(), "little")
        place = _PLACES.get(word & ((1 << OPCODE_WIDTH) - 1))
        if place is None:
            continue
        low, width = place
        mask = ((1 << width) - 1) << low
        moved = (word & mask) + (base << low)
        word = word & ~mask | moved & mask
        part[:] = np.frombuffer(word.to_bytes(INSTRUCTION_BYTES, "little"), np.uint8)
