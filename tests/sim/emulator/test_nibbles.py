"""Words of weights in memory and in the weight buffer of the emulator."""

import numpy as np

from systolith_sim.emulator.nibbles import weight_words


def test_a_word_of_bytes_stays_as_it_is():
    words = np.array([[0, 127, 128, 255]], np.uint8)
    assert weight_words(words, 0).tolist() == [[0, 127, -128, -1]]


def test_low_nibbles_come_first_and_keep_their_sign():
    words = np.array([[0x7F, 0x80], [0x1E, 0xF8]], np.uint8)
    assert weight_words(words, 1).tolist() == [[-1, 0], [7, -8], [-2, -8], [1, -1]]


def test_every_pair_of_weights_has_its_byte():
    words = np.arange(256, dtype=np.uint8)[:, None]
    pairs = weight_words(words, 1).reshape(-1, 2)
    assert len(np.unique(pairs, axis=0)) == 256
    assert (pairs.min(), pairs.max()) == (-8, 7)
    np.testing.assert_array_equal((pairs[:, 0] & 15 | pairs[:, 1] << 4).view(np.uint8), words[:, 0])
