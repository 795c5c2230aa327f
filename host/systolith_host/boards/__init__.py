"""Boards: the system around the accelerator, its simulation, and bitstreams."""
