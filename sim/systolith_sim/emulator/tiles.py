"""Tiles of activations as LOAD writes them: pixels of memory with their padding."""

import numpy as np

from systolith_hw.spec.isa import Instruction
from systolith_hw.spec.registers import Engine, ErrorCode
from systolith_sim.emulator.access import Fault, check_steps

__all__ = ["tile_words"]


def tile_words(instruction: Instruction, data: np.ndarray, block: int, number: int) -> np.ndarray:
    """Return the words of a tile with its padding, int8 of shape (words, block).

    Parameters
    ----------
    instruction : Instruction
        A LOAD of activations.
    data : ndarray of uint8
        The bytes of its region.
    block : int
        Bytes of a word of memory.
    number : int
        Of the LOAD among those of its program, for the fault.

    Raises
    ------
    Fault
        If the region has not as many words as the planes of the tile.
    """
    planes, rows, pixels = (instruction[name] for name in ("planes", "rows", "pixels"))
    pixel_bytes = instruction["pixel_bytes"]
    per_pixel = pixel_bytes or block
    row_words = -(-pixels * per_pixel // block)
    if data.size != planes * rows * row_words * block:
        raise Fault(
            ErrorCode.COUNT,
            Engine.LOAD,
            number,
            f"LOAD moves {data.size // block} words, but its {planes} planes of "
            f"{rows}x{pixels} pixels have {planes * rows * row_words}",
        )
    tile = data.view(np.int8).reshape(planes, rows, row_words * block)
    tile = tile[:, :, : pixels * per_pixel].reshape(planes, rows, pixels, per_pixel)
    per_word = block // per_pixel
    top, left = instruction["pad_top"], instruction["pad_left"]
    height = top + rows + instruction["pad_bottom"]
    width = left + pixels + instruction["pad_right"]
    check_steps([planes, height, width])
    padded = np.full(
        (planes, height, width + per_word - 1, per_pixel), instruction["pad_value"], np.int8
    )
    padded[:, top : top + rows, left : left + pixels] = tile
    if per_word > 1:
        padded = np.concatenate(
            [padded[:, :, shift : shift + width] for shift in range(per_word)], axis=3
        )
    return padded.reshape(-1, block)
