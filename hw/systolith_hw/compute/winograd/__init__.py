"""Winograd's convolution on the same array: transforms, rings, and the passes over lanes."""
