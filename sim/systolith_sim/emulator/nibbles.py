"""Words of weights as they stand in memory, as words of the weight buffer."""

import numpy as np

__all__ = ["weight_words"]


def weight_words(words: np.ndarray, nibbles: int) -> np.ndarray:
    """Return the words (int8) that words of memory make in the weight buffer.

    Parameters
    ----------
    words : ndarray of uint8, shape (..., words, cols)
    nibbles : int
        1 if each holds two words: one in its low nibbles, and then one in its high nibbles.
    """
    values = words.view(np.int8)
    if not nibbles:
        return values
    # Shifts to the right keep the sign.
    pairs = np.stack([(values << 4) >> 4, values >> 4], axis=-2)
    return pairs.reshape(*words.shape[:-2], -1, words.shape[-1])
