"""Tiles of activations with their padding, and pixels that share a word."""

import numpy as np
import pytest

from systolith_hw.spec.isa import FIELDS, Instruction, Opcode
from systolith_hw.spec.registers import ErrorCode
from systolith_sim.emulator.access import Fault
from systolith_sim.emulator.tiles import tile_words


def load(**fields):
    lowest = {field.name: field.low for field in FIELDS[Opcode.LOAD]}
    return Instruction(Opcode.LOAD, {**lowest, **fields})


def test_padding_stands_around_each_plane():
    one = load(planes=2, rows=1, pixels=2, pad_top=1, pad_right=1, pad_value=7)
    words = tile_words(one, np.arange(1, 9, dtype=np.uint8), 2, 0)
    assert words.tolist() == [
        *([[7, 7]] * 3),
        *([1, 2], [3, 4], [7, 7]),
        *([[7, 7]] * 3),
        *([5, 6], [7, 8], [7, 7]),
    ]


def test_pixels_of_few_bytes_share_a_word_with_those_beside_them():
    one = load(rows=1, pixels=3, pixel_bytes=1, pad_value=-128)
    words = tile_words(one, np.array([1, 2, 3, 99], np.uint8), 2, 0)
    assert words.tolist() == [[1, 2], [2, 3], [3, -128]]


def test_a_region_of_another_size_is_a_fault_with_the_loads_number():
    with pytest.raises(
        Fault, match="LOAD moves 3 words, but its 1 planes of 1x2 pixels have 2"
    ) as e:
        tile_words(load(planes=1, rows=1, pixels=2), np.zeros(6, np.uint8), 2, 5)
    assert (e.value.code, e.value.info) == (ErrorCode.COUNT, 5)
