"""The instructions of a program's layer, decoded."""

from systolith_host.errors import SystolithError
from systolith_host.program.program import LayerProgram, Program
from systolith_hw.spec.isa import INSTRUCTION_BYTES, Instruction, Opcode, decode

__all__ = ["layer_instructions", "uses_winograd"]


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


def uses_winograd(program: Program, layer: LayerProgram) -> bool:
    """Return whether a layer of a program has Winograd CONVs."""
    instructions = layer_instructions(program, layer)
    return any(one.opcode == Opcode.CONV and one["winograd"] for one in instructions)
