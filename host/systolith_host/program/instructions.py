"""The instructions of a program's layer, decoded, and changed."""

from systolith_host.errors import SystolithError
from systolith_host.program.program import LayerProgram, Program
from systolith_hw.spec.isa import (
    FIELDS,
    INSTRUCTION_BYTES,
    NIBBLE_BITS,
    OPCODE_WIDTH,
    Field,
    Instruction,
    Opcode,
    decode,
)

__all__ = ["kind_of_convs", "layer_instructions", "weight_bits", "with_field"]


def layer_instructions(program: Program, layer: LayerProgram) -> list[Instruction]:
    """Return the instructions of a layer of a program.

    Raises
    ------
    SystolithError
        If the program does not hold them.
    """
    size = layer.instruction_count * INSTRUCTION_BYTES
    for address, data in program.segments:
        start = layer.instruction_address - address
        if 0 <= start and start + size <= data.size:
            code = data[start : start + size].tobytes()
            return [
                decode(code[first : first + INSTRUCTION_BYTES], program.config)
                for first in range(0, size, INSTRUCTION_BYTES)
            ]
    raise SystolithError(f"{layer.name}: the program does not hold its instructions")


def kind_of_convs(program: Program, layer: LayerProgram) -> str:
    """Return how a layer of a program convolves: "direct", "winograd" or "gather"."""
    for one in layer_instructions(program, layer):
        for kind in ("winograd", "gather"):
            if one.opcode == Opcode.CONV and one[kind]:
                return kind
    return "direct"


def weight_bits(program: Program, layer: LayerProgram) -> int:
    """Return the bits of a weight of a layer in memory: 8 or 4."""
    if program.config.nibbles and any(
        one.opcode == Opcode.LOAD and one["nibbles"] for one in layer_instructions(program, layer)
    ):
        return NIBBLE_BITS
    return 8


def with_field(instruction: Instruction, field: Field, value: int) -> bytes:
    """Return the instruction with a field's value cut to its width, legal or not."""
    mask = (1 << field.width) - 1
    position = OPCODE_WIDTH
    for other in FIELDS[instruction.opcode]:
        if other is field:
            break
        position += other.width
    code = int.from_bytes(instruction.encode(), "little")
    code = code & ~(mask << position) | (value & mask) << position
    return code.to_bytes(INSTRUCTION_BYTES, "little")
