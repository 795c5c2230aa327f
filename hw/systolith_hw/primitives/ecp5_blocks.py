"""The block RAM of Lattice's ECP5, in plain Python: estimates count it without the gateware."""

__all__ = ["DEEPEST", "bits_per_word", "block_rams"]

_MODES = {512: 36, 1024: 18, 2048: 9, 4096: 4, 8192: 2, 16384: 1}
"""Words of a DP16KD to bits of a word."""

DEEPEST = max(_MODES)
"""Words of a DP16KD whose words are bits."""


def bits_per_word(depth: int) -> int | None:
    """Return the bits of the widest words of which one DP16KD holds `depth`; None if it cannot."""
    return next((bits for words, bits in _MODES.items() if depth <= words), None)


def block_rams(depth: int, width: int) -> int:
    """Return the number of DP16KD for `depth` words of `width` bits: side by side, then stacked."""
    return -(-width // (bits_per_word(depth) or 1)) * -(-depth // DEEPEST)
