"""All inputs of a network's file in one row of numbers, as the network has one input."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.frontend.whole import Whole

__all__ = ["Entry", "Row"]


@dataclass(frozen=True)
class Entry:
    """An input of a file.

    Parameters
    ----------
    name : str
    shape : tuple of int
        For one image, the side for the images included, where it has one.
    type : str
        NumPy's name of the file's type.
    whole : Whole, optional
        What its integers stand for.
    """

    name: str
    shape: tuple[int, ...]
    type: str
    whole: Whole | None = None

    @property
    def size(self) -> int:
        """Its numbers."""
        return math.prod(self.shape)

    def __str__(self) -> str:
        """Name it with its type and shape."""
        return f"{self.name} ({self.type}, {'x'.join(map(str, self.shape)) or 'a number'})"

    def rows(self, values: np.ndarray, what: str) -> np.ndarray:
        """Return an array of users as real numbers: ndarray of float32, shape (N, size).

        It holds one image's, with or without the side for the images, or several.

        Raises
        ------
        SystolithError
            If shape or numbers are others.
        """
        one = self.shape[1:] if self.shape[:1] == (1,) else self.shape
        several = values.reshape(-1, *one) if values.shape in (one, self.shape) else values
        if several.shape[1:] != one or not len(several) or values.dtype.kind not in "bfiu":
            raise SystolithError(
                f"{what}: must hold numbers of shape {one}, or several of them, not {values.dtype} "
                f"of shape {values.shape}"
            )
        if self.whole is not None:
            several = self.whole.check(several, what)
        with np.errstate(over="ignore"):
            made = several.reshape(len(several), -1).astype(np.float32)
        if not np.isfinite(made).all():
            raise SystolithError(f"{what}: has values that are not finite")
        return made


@dataclass(frozen=True, eq=False)
class Row:
    """The inputs of a file, one behind the other.

    Parameters
    ----------
    entries : tuple of Entry
    main : int
        Which of them photographs and single arrays are for.
    image : tuple of int
        Shape of the main one for one image, in this network's order of axes.
    channels_last : bool
        Whether the file has the main one's channels last.
    given : mapping of str to ndarray of float32, shape (N, size)
        Values of the others, where users gave them; image i takes row i modulo N.
    """

    entries: tuple[Entry, ...]
    main: int
    image: tuple[int, ...]
    channels_last: bool
    given: Mapping[str, np.ndarray] = field(default_factory=dict)

    @cached_property
    def size(self) -> int:
        """Numbers of all inputs."""
        return sum(entry.size for entry in self.entries)

    def __str__(self) -> str:
        """Name the inputs."""
        return ", ".join(map(str, self.entries))

    def with_given(self, arrays: Mapping[str, np.ndarray]) -> "Row":
        """Return it with values of some inputs.

        Raises
        ------
        SystolithError
            If there is no such input, it is the main one, or an array does not fit.
        """
        known = {entry.name: entry for entry in self.entries}
        for name in arrays:
            if name not in known:
                raise SystolithError(f"--input {name}: the network's inputs are {self}")
            if name == self.entries[self.main].name:
                raise SystolithError(f"--input {name}: give this one with --image")
        made = {
            name: known[name].rows(np.asarray(values), f"--input {name}")
            for name, values in arrays.items()
        }
        return dataclasses.replace(self, given={**self.given, **made})

    def pack(self, arrays: Mapping[str, np.ndarray], what: str) -> np.ndarray:
        """Return rows from arrays of users by the inputs' names; those given stand in for others.

        Returns
        -------
        ndarray of float32, shape (N, size)

        Raises
        ------
        SystolithError
            If one is missing or unknown, or does not fit, or they are of different numbers of
            images.
        """
        unknown = [name for name in arrays if name not in {e.name for e in self.entries}]
        if unknown:
            raise SystolithError(f"{what}: the network has no input {unknown[0]!r}; it has {self}")
        rows = {
            entry.name: entry.rows(np.asarray(arrays[entry.name]), f"{what}: {entry.name}")
            for entry in self.entries
            if entry.name in arrays
        }
        return self._joined(rows, what)

    def around(self, images: np.ndarray, what: str) -> np.ndarray:
        """Return rows from the main input alone, with what was given of the others.

        Parameters
        ----------
        images : ndarray of float32, shape (N, *image)
            Real numbers, in this network's order of axes.

        Raises
        ------
        SystolithError
            If another is missing.
        """
        values = np.moveaxis(images, 1, -1) if self.channels_last else images
        name = self.entries[self.main].name
        return self._joined({name: values.reshape(len(values), -1)}, what)

    def _joined(self, rows: Mapping[str, np.ndarray], what: str) -> np.ndarray:
        missing = [e for e in self.entries if e.name not in rows and e.name not in self.given]
        if missing:
            raise SystolithError(
                f"{what}: the network has {len(self.entries)} inputs: give {missing[0]} with "
                f"--input {missing[0].name}=FILE.npy, or all of them by name in one .npz (in "
                "Python a mapping)"
            )
        counts = {name: len(values) for name, values in rows.items()}
        count = max(counts.values())
        for name, found in counts.items():
            if found not in (1, count):
                raise SystolithError(f"{what}: {name} is of {found} images, not of {count}")
        both = {**self.given, **rows}
        parts = [both[entry.name] for entry in self.entries]
        return np.concatenate([part[np.arange(count) % len(part)] for part in parts], axis=1)

    def feed(self, row: np.ndarray) -> dict[str, np.ndarray]:
        """Return the file's own inputs from a row of one image, shape (1, size)."""
        feed, first = {}, 0
        for entry in self.entries:
            values = row[0, first : first + entry.size].reshape(entry.shape)
            whole = entry.whole
            made = values.astype(entry.type) if whole is None else whole.integers(values)
            feed[entry.name] = np.asarray(made)  # a number alone would be none
            first += entry.size
        return feed

    def random(self, rng: np.random.Generator) -> np.ndarray:
        """Return a random row, shape (1, size), whose sizes and indices are 1."""
        parts = []
        for number, entry in enumerate(self.entries):
            if entry.whole is None:
                parts.append(rng.standard_normal(entry.size, np.float32))
            elif number == self.main and len(self.image) == 3:
                steps = rng.integers(*entry.whole.likely, entry.size, endpoint=True)
                parts.append(entry.whole.real(steps))
            else:
                parts.append(entry.whole.real(np.ones(entry.size)))
        return np.concatenate(parts)[None]
