"""The replay: the cycles of a layer's instructions, without data."""
