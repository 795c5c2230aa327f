"""Tiling and scheduling: the compiler from an integer network to a program."""

from systolith_host.schedule.compile import compile_network, explain_network

__all__ = ["compile_network", "explain_network"]
