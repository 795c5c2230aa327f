"""numba's compiler where numba is installed; otherwise the functions stay plain Python.

The results are the same. Only what plain Python does in reasonable time may import it.
"""

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

__all__ = ["hash_of", "njit"]

try:
    from numba import njit  # pyright: ignore[reportAssignmentType]  # it can do more
except ImportError:

    def njit(**options: object) -> Callable[[Any], Any]:
        """Return a decorator that leaves a function as it is."""
        return lambda function: function


@cache
def hash_of(*files: str) -> str:
    """Return a hash that changes with any of the files, for functions that numba keeps on disk.

    Numba looks whether a function's own file has changed, not whether the files of the functions
    that it calls have. It does look at the values that a function takes from its surroundings:
    one that calls others from other files takes this hash.
    """
    return sha256(b"".join(Path(file).read_bytes() for file in files)).hexdigest()
