"""Inputs of a network, from files, folders, arrays, or lists of these."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.flow.log import Log
from systolith_host.frontend.form import Form, Piece
from systolith_host.frontend.images import check_inputs, find_inputs, load_inputs

__all__ = ["LEAST_SAMPLES", "gather_inputs", "gather_samples", "load_all", "more_pieces"]

LEAST_SAMPLES = 8
"""Inputs to calibrate on; photographs give more pieces if there are fewer."""

_PIECES = (
    Piece(0.0, 0.0, 1.0, True),
    Piece(1.0, 1.0, 1.25, False),
    Piece(0.0, 1.0, 1.25, True),
    Piece(1.0, 0.0, 1.0, False),
    Piece(0.5, 0.5, 1.5, True),
    Piece(0.0, 0.5, 1.5, False),
    Piece(1.0, 0.5, 1.25, True),
)
"""Taken of each photograph in turn, besides its middle."""


_GIVEN = (str, os.PathLike, Mapping)
"""Types of inputs that stand for themselves in a list."""


def gather_inputs(
    given: Any,
    shape: tuple[int, ...],
    log: Log,
    what: str,
    form: Form | None = None,
) -> np.ndarray:
    """Return inputs in the order in which they are given.

    Parameters
    ----------
    given : path, array, or sequence of them
        Files and folders as :func:`load_inputs` takes them; anything that NumPy makes an array of,
        of `shape` or (N, *shape); arrays by name of a network of several inputs.
    shape : tuple of int
        Of the network's input for one image: (channels, height, width) or (features,).
    log : Log
        Gets a line where pixels were transparent.
    what : str
        The name of `given` in errors.
    form : Form, optional
        What the network expects of photographs, and of arrays, which may be (height, width,
        channels) if it says so.

    Returns
    -------
    ndarray of float32, shape (N, *shape)

    Raises
    ------
    SystolithError
        If something cannot be used, or there is nothing.
    """
    if isinstance(given, str | os.PathLike):
        return load_all(find_inputs([Path(given)]), shape, log, form)
    if isinstance(given, Mapping):
        if form is None or form.row is None:
            raise SystolithError(f"{what}: the network has one input: give an array, not names")
        return form.row.pack(given, what)
    if isinstance(given, list | tuple):
        if not given:
            raise SystolithError(f"{what}: is empty; give arrays or files")
        if any(isinstance(one, _GIVEN) or hasattr(one, "__array__") for one in given):
            named = [(one, f"{what}[{index}]") for index, one in enumerate(given)]
            return np.concatenate(
                [gather_inputs(one, shape, log, name, form) for one, name in named]
            )
    try:
        values = np.asarray(given)
    except Exception as error:  # whatever lists of lists, or other libraries' arrays, come to
        reason = " ".join(str(error).split())[:160]
        raise SystolithError(f"{what}: cannot be made an array: {reason}") from None
    return check_inputs(values, shape, what, form)


def load_all(
    paths: Sequence[Path],
    shape: tuple[int, ...],
    log: Log,
    form: Form | None = None,
    piece: Piece | None = None,
) -> np.ndarray:
    """Return the inputs of some files; the log hears where pixels were transparent.

    Parameters
    ----------
    form : Form, optional
        As of :func:`gather_inputs`.
    piece : Piece, optional
        Of every photograph; its middle if not given.

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
        [load_inputs(path, shape, overlaid.append, form=form, piece=piece) for path in paths]
    )
    if overlaid:
        more = f" and {len(overlaid) - 1} more" if overlaid[1:] else ""
        log.message(f"{overlaid[0]}{more}: transparent pixels are laid over white")
    return images


def more_pieces(
    paths: Sequence[Path], shape: tuple[int, ...], found: np.ndarray, form: Form | None = None
) -> np.ndarray:
    """Return inputs with more pieces of the same photographs, up to :data:`LEAST_SAMPLES`.

    Parameters
    ----------
    paths : sequence of Path
        Photographs; NumPy files add nothing.
    shape : tuple of int
        Of the network's input.
    found : ndarray of float32, shape (N, *shape)
        What the middles of them gave.
    """
    photographs = [path for path in paths if path.suffix not in (".npy", ".npz")]
    parts = [found]
    for piece in _PIECES:
        wanted = LEAST_SAMPLES - sum(map(len, parts))
        for path in photographs[: max(wanted, 0)]:
            parts.append(load_inputs(path, shape, form=form, piece=piece))
    return np.concatenate(parts)


def gather_samples(
    given: Any,
    shape: tuple[int, ...],
    log: Log,
    what: str,
    form: Form | None = None,
) -> np.ndarray:
    """Return what a network is calibrated on: as :func:`gather_inputs`, few photographs in pieces.

    Parameters and errors are those of :func:`gather_inputs`.
    """
    found = gather_inputs(given, shape, log, what, form)
    several = given if isinstance(given, list | tuple) else [given]
    if not all(isinstance(one, str | os.PathLike) for one in several):
        return found
    paths = find_inputs([Path(one) for one in several])
    return more_pieces(paths, shape, found, form)
