"""How a technology puts its own cells in a component's place: hooks of the platform.

Amaranth asks a platform for ``get_memory``; these are asked for in the same manner. A platform has
the hooks that it wants to have, and each may return None, which leaves that one to the tools.

``get_multiplier(multiplier)``
    The Module that a :class:`~systolith_hw.primitives.multiplier.Multiplier` is elaborated to.
``get_registered_memory(memory)``
    The Module of a :class:`~systolith_hw.primitives.memory.RegisteredMemory`.
``get_multiplier_site(row, col, rows, cols)``
    The place of the multiplier of a processing element of a mesh, as text.
"""

from typing import Any

__all__ = ["ask"]


def ask(platform: object, hook: str, *arguments: Any) -> Any:
    """Return what the platform's hook answers, or None if the platform has no such hook.

    Parameters
    ----------
    platform : object
        What ``elaborate`` was given, None included.
    hook : str
        Its name, one of those above.
    """
    answer = getattr(platform, hook, None)
    return None if answer is None else answer(*arguments)
