"""Boards that run PYNQ."""
