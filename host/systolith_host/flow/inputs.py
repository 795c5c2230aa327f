"""Inputs of a network, from files, folders, arrays, or lists of these."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.flow.log import Log
from systolith_host.frontend.images import check_inputs, find_inputs, load_inputs

__all__ = ["gather_inputs", "load_all"]


def gather_inputs(
    given: Any, shape: tuple[int, ...], log: Log, what: str, *, channels_last: bool = False
) -> np.ndarray:
    """Return inputs in the order in which they are given.

    Parameters
    ----------
    given : path, array, or sequence of them
        Files and folders as :func:`load_inputs` takes them; anything that NumPy makes an array of,
        of `shape` or (N, *shape).
    shape : tuple of int
        Of the network's input for one image: (channels, height, width) or (features,).
    log : Log
        Gets a line where pixels were transparent.
    what : str
        The name of `given` in errors.
    channels_last : bool
        Whether arrays may be (height, width, channels), as the network's file has them.

    Returns
    -------
    ndarray of float32, shape (N, *shape)

    Raises
    ------
    SystolithError
        If something cannot be used, or there is nothing.
    """
    if isinstance(given, str | os.PathLike):
        return load_all(find_inputs([Path(given)]), shape, log, channels_last=channels_last)
    if isinstance(given, list | tuple):
        if not given:
            raise SystolithError(f"{what}: is empty; give arrays or files")
        if any(isinstance(one, str | os.PathLike) or hasattr(one, "__array__") for one in given):
            named = [(one, f"{what}[{index}]") for index, one in enumerate(given)]
            parts = [
                gather_inputs(one, shape, log, name, channels_last=channels_last)
                for one, name in named
            ]
            return np.concatenate(parts)
    try:
        values = np.asarray(given)
    except Exception as error:  # whatever lists of lists, or other libraries' arrays, come to
        reason = " ".join(str(error).split())[:160]
        raise SystolithError(f"{what}: cannot be made an array: {reason}") from None
    return check_inputs(values, shape, what, channels_last=channels_last)


def load_all(
    paths: Sequence[Path], shape: tuple[int, ...], log: Log, *, channels_last: bool = False
) -> np.ndarray:
    """Return the inputs of some files; the log hears where pixels were transparent.

    Returns
    -------
    ndarray of float32, shape (N, *shape)

    Raises
    ------
    SystolithError
        If a file cannot be used.
    """
    overlaid: list[Path] = []
    images = np.concatenate(
        [load_inputs(path, shape, overlaid.append, channels_last=channels_last) for path in paths]
    )
    if overlaid:
        more = f" and {len(overlaid) - 1} more" if overlaid[1:] else ""
        log.message(f"{overlaid[0]}{more}: transparent pixels are laid over white")
    return images
