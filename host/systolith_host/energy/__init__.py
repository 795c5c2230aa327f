"""Energy by accesses: published figures of each, times their counts."""
