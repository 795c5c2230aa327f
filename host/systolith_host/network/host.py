"""What the host computes in floats, from integers to integers."""

from collections.abc import Sequence

import numpy as np

from systolith_host.network.scales import Held, as_held
from systolith_host.program.part import HostPart

__all__ = ["run_integers"]


def run_integers(
    part: HostPart, inputs: Sequence[np.ndarray], sources: Sequence[Held], target: Held
) -> np.ndarray:
    """Return a part's output as integers, from integers; what is not a number becomes 0.

    Parameters
    ----------
    part : HostPart
    inputs : sequence of ndarray of uint8 or int8, or float32 if real, shape (N, ...)
    sources : sequence of Held
        Of the inputs.
    target : Held
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
    return as_held(target, made)
