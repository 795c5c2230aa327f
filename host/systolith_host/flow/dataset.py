"""Images with their classes, to evaluate a network on: folders by class, or arrays."""

import os
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.flow.labels import Labels
from systolith_host.flow.log import Log
from systolith_host.frontend.form import Form
from systolith_host.frontend.images import check_inputs, find_inputs, load_inputs

__all__ = ["KEYS", "Dataset", "open_dataset"]

KEYS = ("images", "labels")
"""Arrays of a file (.npz): inputs of shape (N, ...), and their classes, N whole numbers."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Inputs of a network, and the class of each.

    Parameters
    ----------
    source : str
        Where they come from, in words.
    labels : ndarray of int64, shape (N,)
    images : ndarray of float32, shape (N, C, H, W) or (N, C), or sequence of Path
        The inputs; or one file for each, to be read when it is its turn.
    shape : tuple of int
        Of the network's input for one image.
    form : Form
        What the network expects of photographs.
    """

    source: str
    labels: np.ndarray
    images: np.ndarray | Sequence[Path]
    shape: tuple[int, ...]
    form: Form

    def __len__(self) -> int:
        """Return the number of inputs."""
        return len(self.labels)

    def limited(self, count: int | None) -> "Dataset":
        """Return at most `count` inputs, spread evenly, so that every class has its share."""
        if count is None or count >= len(self):
            return self
        chosen = np.linspace(0, len(self) - 1, count).round().astype(int)
        return self._at(chosen)

    def batches(self, size: int, log: Log) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield `size` inputs and their classes, the last time maybe fewer.

        Photographs that cannot be read are left out; the log gets a line of each.

        Yields
        ------
        images : ndarray of float32, shape (n, *shape)
        labels : ndarray of int64, shape (n,)
        """
        images: list[np.ndarray] = []
        labels: list[int] = []
        for index, label in enumerate(self.labels):
            try:
                images.append(self._one(index))
            except SystolithError as error:
                log.message(f"left out: {error}")
                continue
            labels.append(int(label))
            if len(images) == size:
                yield np.stack(images), np.array(labels)
                images, labels = [], []
        if images:
            yield np.stack(images), np.array(labels)

    def samples(self, count: int, log: Log) -> np.ndarray:
        """Return at most `count` inputs, spread evenly, to calibrate on.

        Raises
        ------
        SystolithError
            If none can be read.
        """
        for images, _ in self.limited(count).batches(count, log):
            return images
        raise SystolithError(f"{self.source}: has no image that can be read")

    def _at(self, chosen: np.ndarray) -> "Dataset":
        images = self.images
        picked = images[chosen] if isinstance(images, np.ndarray) else [images[i] for i in chosen]
        return Dataset(self.source, self.labels[chosen], picked, self.shape, self.form)

    def _one(self, index: int) -> np.ndarray:
        image = self.images[index]
        if isinstance(image, np.ndarray):
            return image
        values = load_inputs(image, self.shape, form=self.form)
        if len(values) != 1:
            raise SystolithError(f"{image}: must hold one input, not {len(values)}")
        return values[0]


def open_dataset(
    data: Any, shape: tuple[int, ...], classes: int, labels: Labels | None, form: Form
) -> Dataset:
    """Return images with their classes.

    Parameters
    ----------
    data : path, or (images, labels)
        A folder with one of its own for each class, whose name is the class's, or its index; or,
        as torchvision has it, any names, if there are as many as classes: they count in
        alphabetical order. Or a file (.npz) with the arrays "images" and "labels"; or these.
    shape : tuple of int
        Of the network's input for one image.
    classes : int
        Values of its output.
    labels : Labels, optional
        Names of its classes.
    form : Form
        What it expects of photographs and arrays.

    Raises
    ------
    SystolithError
        If it has another form, or names other classes.
    """
    if isinstance(data, tuple) and len(data) == len(KEYS):
        return _from_arrays("arrays", data[0], data[1], shape, classes, form)
    if not isinstance(data, str | os.PathLike):
        raise SystolithError(
            f"data must be a folder, a file (.npz) or two arrays, not {type(data).__name__}"
        )
    path = Path(data)
    if path.is_dir():
        return _from_folder(path, shape, classes, labels, form)
    if path.suffix != ".npz" or not path.is_file():
        missing = "" if path.exists() else "no such file; "
        raise SystolithError(
            f"{path}: {missing}data is a folder with one for each class, or a file (.npz) with the "
            f"arrays {' and '.join(KEYS)}"
        )
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            absent = [key for key in KEYS if key not in file.files]
            if absent:
                have = ", ".join(file.files) or "none"
                raise SystolithError(f"{path}: has no array {absent[0]!r}; it has {have}")
            images, numbers = (file[key] for key in KEYS)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())
        raise SystolithError(f"{path}: cannot be read: {reason}") from None
    return _from_arrays(str(path), images, numbers, shape, classes, form)


def _from_arrays(
    source: str, images: Any, labels: Any, shape: tuple[int, ...], classes: int, form: Form
) -> Dataset:
    numbers = np.asarray(labels)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
        raise SystolithError(
            f"{source}: labels must be whole numbers, one for each image, not {numbers.dtype} of "
            f"shape {numbers.shape}"
        )
    inputs = check_inputs(np.asarray(images), shape, f"{source}: images", form)
    if len(inputs) != len(numbers):
        raise SystolithError(f"{source}: has {len(inputs)} images, but {len(numbers)} labels")
    for number in numbers[(numbers < 0) | (numbers >= classes)][:1]:
        raise SystolithError(
            f"{source}: labels must be from 0 to {classes - 1}, the network's classes, not {number}"
        )
    return Dataset(source, numbers.astype(np.int64), inputs, shape, form)


def _from_folder(
    path: Path, shape: tuple[int, ...], classes: int, labels: Labels | None, form: Form
) -> Dataset:
    folders = sorted(
        entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith(".")
    )
    if not folders:
        raise SystolithError(f"{path}: must have a folder for each class, with its images")
    found = [_class_of(folder.name, classes, labels) for folder in folders]
    known = [index for index in found if index is not None]
    if not known and len(folders) == classes:
        known = list(range(classes))
    if len(known) < len(folders):
        name = folders[found.index(None)].name
        way = "give --labels with its name" if labels is None else f"{labels.source} has no such"
        raise SystolithError(
            f"{path}: which of the {classes:,} classes is the folder {name!r}? Folders have the "
            f"name of a class, or its index ({way})"
        )
    repeated = [index for index in known if known.count(index) > 1]
    if repeated:
        pairs = zip(folders, known, strict=True)
        several = [folder.name for folder, index in pairs if index == repeated[0]]
        raise SystolithError(f"{path}: {' and '.join(several)} are the same class, {repeated[0]}")
    files: list[Path] = []
    numbers: list[int] = []
    for folder, index in zip(folders, known, strict=True):
        inside = find_inputs([folder])
        files += inside
        numbers += [index] * len(inside)
    return Dataset(str(path), np.array(numbers, np.int64), files, shape, form)


def _class_of(name: str, classes: int, labels: Labels | None) -> int | None:
    found = labels.find(name) if labels is not None else None
    if found is None and name.isdecimal() and len(name) < 10 and int(name) < classes:
        return int(name)
    return found
