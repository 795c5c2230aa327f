"""Strips of patches on their way from the accumulators to the drain's words.

A strip takes half of the staging memory from the read of its first sum to that of its last word.
"""

from systolith_hw.spec.timing import STRIPS as HALVES
from systolith_sim.replay.parts import MASK, compiled, registers
from systolith_sim.replay.table import COLUMNS

__all__ = ["STRIPS", "clear", "offer", "step", "take"]

_ACROSS, _DOWN, _STRIP_WORDS, _LAST_STRIP_WORDS = (
    COLUMNS.index(name) for name in ("across", "down", "strip_words", "last_strip_words")
)

STRIPS = registers(
    numbers=(
        *("begun", "ended", "freed"),  # strips: sums read in part, and all; words read
        *("row", "across_left", "down_left"),  # the STORE, patches of the strip, strips of an image
        *("words_left", "clear_at"),  # the reader's; when its words have left, if no strip is held
    ),
    flags=(
        *("strip_start", "free", "busy"),
        # Within a cycle: what it offers.
        *("may_begin", "reads_word", "frees"),
    ),
)


@compiled
def clear(s, now):
    """Return whether no strip and no word is held."""
    return s.begun == s.freed and now >= s.clear_at


@compiled
def offer(s, room):
    """Find whether a patch may begin, and whether a word is read: if the drain has `room`."""
    s.may_begin = s.free or not s.strip_start
    s.reads_word = s.busy and room != 0
    s.frees = s.reads_word and s.words_left == 1


@compiled
def take(s, table, row):
    """Begin with STORE `row`."""
    s.row = row
    s.strip_start = True
    s.across_left = table[row, _ACROSS]
    s.down_left = table[row, _DOWN]


@compiled
def step(s, f, table, items, patch_first, patch_last, now):
    """Move one cycle on; the first or the last sum of a patch is read, or none of them."""
    s.free = s.begun - s.freed < HALVES
    _read_words(s, f, items, now)
    if patch_first:
        s.begun += s.strip_start
        s.strip_start = False
    if patch_last:
        s.across_left -= 1
        if s.across_left == 0:
            s.strip_start = True
            s.across_left = table[s.row, _ACROSS]
            s.down_left -= 1
            column = _STRIP_WORDS
            if s.down_left == 0:
                column = _LAST_STRIP_WORDS
                s.down_left = table[s.row, _DOWN]
            strip = items.strips[s.ended & MASK]
            strip[0] = now + f.strip_latency
            strip[1] = table[s.row, column]
            s.ended += 1


@compiled
def _read_words(s, f, items, now):
    """Read the words of the strips whose sums have arrived, one after the other."""
    if not s.busy:
        strip = items.strips[s.freed & MASK]
        s.busy = s.freed != s.ended and strip[0] <= now + 1
        s.words_left = strip[1]
    elif s.reads_word:
        s.words_left -= 1
        if s.frees:
            s.busy = False
            s.freed += 1
            s.clear_at = now + f.staged_clear - 1
