"""Hooks of the platform by which a technology replaces a component by its own cells.

Amaranth calls ``get_memory`` of a platform; these hooks work in the same manner. A platform defines
any of them, and each may return None, which leaves the component to the tools.

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
    """Return the result of the platform's hook, or None if the platform has no such hook.

    Parameters
    ----------
    platform : object
        The platform that ``elaborate`` got, possibly None.
    hook : str
        Its name, one of those above.
    """
    answer = getattr(platform, hook, None)
    return None if answer is None else answer(*arguments)
