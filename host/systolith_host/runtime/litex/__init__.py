"""Boards behind LiteX."""
