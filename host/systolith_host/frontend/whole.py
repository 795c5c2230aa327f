"""Integers that a network's file takes in place of real numbers."""

from dataclasses import dataclass

import numpy as np

from systolith_host.errors import SystolithError

__all__ = ["Whole"]

_LARGEST = 1 << 24
"""Size up to which every integer is a number of float32."""


@dataclass(frozen=True)
class Whole:
    """An input of integers: real = (integer - zero_point) * scale.

    Parameters
    ----------
    type : str
        NumPy's name of the integers' type.
    scale : float
        1 where the file converts the integers to floats as they are.
    zero_point : int
    """

    type: str
    scale: float = 1.0
    zero_point: int = 0

    @property
    def limits(self) -> tuple[int, int]:
        """Least and largest integer."""
        if self.type == "bool":
            return 0, 1
        info = np.iinfo(self.type)
        return max(int(info.min), -_LARGEST), min(int(info.max), _LARGEST)

    @property
    def likely(self) -> tuple[int, int]:
        """Least and largest integer of images, or, of a smaller type, at all."""
        low, high = self.limits
        return max(low, -128 if low == -128 else 0), min(high, 255)

    def integers(self, real: np.ndarray) -> np.ndarray:
        """Return the file's integers for real numbers, of the same shape: rounded and clipped."""
        steps = np.rint(real.astype(np.float64) / self.scale) + self.zero_point
        return np.clip(steps, *self.limits).astype(self.type)

    def real(self, integers: np.ndarray) -> np.ndarray:
        """Return the real numbers of integers: ndarray of float32 of the same shape."""
        return ((integers.astype(np.float64) - self.zero_point) * self.scale).astype(np.float32)

    def check(self, values: np.ndarray, what: str) -> np.ndarray:
        """Return the real numbers of an array that users give, with the file's integers in it.

        Raises
        ------
        SystolithError
            If they are not integers of its type; `what` is the array's name there.
        """
        low, high = self.limits
        wrong = (values != np.rint(values)) | (values < low) | (values > high)
        if wrong.any():
            raise SystolithError(
                f"{what}: must hold whole numbers from {low:,} to {high:,}, as the network's file "
                f"takes {self.type}, not {values[wrong][0]:g}"
            )
        return self.real(values)
