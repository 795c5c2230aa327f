"""What the host computes in floats, from integers to integers."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from systolith_host.network.scales import ActivationScale
from systolith_host.program.part import HostPart

__all__ = ["Scaled", "run_integers"]


class Scaled(Protocol):
    """A tensor of integers that stand for real values."""

    @property
    def unsigned(self) -> bool: ...

    @property
    def scale(self) -> float: ...

    @property
    def zero_point(self) -> int: ...


def run_integers(
    part: HostPart, inputs: Sequence[np.ndarray], sources: Sequence[Scaled], target: Scaled
) -> np.ndarray:
    """Return a part's output as integers, from integers; what is not a number becomes 0.

    Parameters
    ----------
    part : HostPart
    inputs : sequence of ndarray of uint8 or int8, shape (N, ...)
    sources : sequence of Scaled
        Of the inputs.
    target : Scaled
        Of the output.

    Returns
    -------
    ndarray of uint8 or int8, shape (N, ...)
    """
    real = [
        (x.astype(np.float32) - np.float32(source.zero_point)) * np.float32(source.scale)
        for x, source in zip(inputs, sources, strict=True)
    ]
    made = np.nan_to_num(part.run(real), nan=0.0)
    return ActivationScale(target.unsigned, target.scale, target.zero_point).quantize(made)
