"""The compiler: from an integer network to a program."""

from systolith_host.compiler.compile import compile_network, explain_network

__all__ = ["compile_network", "explain_network"]
