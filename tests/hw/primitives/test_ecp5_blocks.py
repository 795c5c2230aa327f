"""How many block RAMs a memory takes of an ECP5; test_ecp5 and the synthesised grid agree."""

import pytest

from systolith_hw.primitives.ecp5_blocks import DEEPEST, bits_per_word, block_rams


@pytest.mark.parametrize(
    ("depth", "bits"), [(1, 36), (512, 36), (513, 18), (2048, 9), (4096, 4), (16384, 1)]
)
def test_words_are_as_wide_as_their_number_allows(depth, bits):
    assert bits_per_word(depth) == bits
    assert block_rams(depth, bits) == 1
    assert block_rams(depth, bits + 1) == 2


def test_a_memory_deeper_than_a_block_is_left_to_the_tools_and_takes_several():
    assert bits_per_word(DEEPEST + 1) is None
    assert block_rams(DEEPEST + 1, 8) == 16
