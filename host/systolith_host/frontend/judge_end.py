"""The judge of a network's end: what the host makes of the last tensors, against onnxruntime."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.frontend.differences import FAULT, share
from systolith_host.program.part import HostEnd

__all__ = ["check_end"]


def check_end(
    path: Path,
    end: HostEnd,
    given: Mapping[str, np.ndarray],
    wanted: Mapping[str, np.ndarray],
    rounding: float,
) -> None:
    """Compare an end with onnxruntime on the whole file, from the same tensors of the array.

    Parameters
    ----------
    path : Path
        The ONNX file.
    end : HostEnd
    given : mapping of str to ndarray of float32, shape (1, ...)
        onnxruntime's tensors that it starts from, as real values.
    wanted : mapping of str to ndarray
        onnxruntime's outputs by name, as the file has them.
    rounding : float
        Largest :func:`share` that an output of floats may have; others must be equal.

    Raises
    ------
    SystolithError
        If an output differs; it names the first.
    """
    for name, found in end.run([given[tensor] for tensor in end.inputs]).items():
        theirs = wanted[name]
        if found.shape == theirs.shape and found.dtype == theirs.dtype:
            if np.array_equal(found, theirs, equal_nan=found.dtype.kind == "f"):
                continue
            floats = found.dtype.kind == "f" and np.isfinite(theirs).all()
            if floats and share(found.astype(np.float32), theirs.astype(np.float32)) <= rounding:
                continue
        raise SystolithError(
            f"{path}: output {name} of the host's end is another than onnxruntime's, from the same "
            f"tensors; {FAULT}"
        )
