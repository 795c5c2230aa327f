"""numba's compiler where numba is installed; otherwise the functions stay plain Python.

The results are the same. Only what plain Python does in reasonable time may import it.
"""

from collections.abc import Callable
from typing import Any

__all__ = ["njit"]

try:
    from numba import njit  # pyright: ignore[reportAssignmentType]  # it can do more
except ImportError:

    def njit(**options: object) -> Callable[[Any], Any]:
        """Return a decorator that leaves a function as it is."""
        return lambda function: function
