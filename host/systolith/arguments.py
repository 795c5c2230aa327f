"""Arguments that several functions take, checked."""

import os
from collections.abc import Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from systolith_host.errors import SystolithError
from systolith_host.flow.labels import Labels, labels_for
from systolith_host.frontend.form import Form
from systolith_host.network.weight_bits import WeightBits, parse_weight_bits
from systolith_host.runtime.choose import DeviceOptions
from systolith_hw.spec.memory import Memory

__all__ = [
    "MOST_BATCH",
    "MOST_WORKERS",
    "choice_of",
    "clock_of",
    "described",
    "device_options",
    "form_of",
    "labels_of",
    "memory_of",
    "size_of",
    "weight_bits_of",
    "whole_of",
]

MOST_BATCH = 256
"""Images of a run, as on the command line."""

MOST_WORKERS = 256
"""Devices or processes side by side on this machine."""


def memory_of(memory: Any) -> Memory:
    """Return a memory; None is one as fast as the bus.

    Raises
    ------
    SystolithError
        If it is something else.
    """
    if memory is not None and not isinstance(memory, Memory):
        raise SystolithError(f"memory must be a systolith.Memory, not {memory!r}")
    return memory or Memory()


def weight_bits_of(given: Any) -> WeightBits:
    """Return the bits of weights; None is 8 for all.

    Raises
    ------
    SystolithError
        If it is something else than 4, 8, or these for layers and kinds of layers.
    """
    if given is None:
        return {}
    return parse_weight_bits(given if isinstance(given, Mapping) else str(given), "weight_bits")


def form_of(form: Any) -> Form:
    """Return the form of inputs; None is the network's own.

    Raises
    ------
    SystolithError
        If it is something else.
    """
    if form is not None and not isinstance(form, Form):
        raise SystolithError(f"form must be a systolith.Form, not {form!r}")
    return form or Form()


def labels_of(labels: Any, classes: int, *, guess: bool) -> Labels | None:
    """Return the names of a network's classes: of a file, of a list, or ImageNet's.

    Raises
    ------
    SystolithError
        If they are something else, cannot be read, or are more or fewer than the classes.
    """
    named = Path(labels) if isinstance(labels, str | os.PathLike) else labels
    return labels_for(named, classes, guess=guess)


def whole_of(name: str, value: Any, low: int, high: int) -> int:
    """Return a whole number from `low` to `high`, NumPy's as Python's.

    Raises
    ------
    SystolithError
        If it is none.
    """
    if isinstance(value, Integral) and not isinstance(value, bool) and low <= int(value) <= high:
        return int(value)
    raise SystolithError(f"{name} must be a whole number from {low:,} to {high:,}, not {value!r}")


def clock_of(value: Any) -> float:
    """Return a clock in MHz, 0.001 to 100,000.

    Raises
    ------
    SystolithError
        If it is none.
    """
    if isinstance(value, Real) and not isinstance(value, bool) and 1e-3 <= float(value) <= 1e5:
        return float(value)
    raise SystolithError(f"clock_mhz must be from 0.001 to 100,000, not {value!r}")


def choice_of(name: str, value: Any, choices: tuple[str, ...]) -> Any:
    """Return a value that is one of a few.

    Raises
    ------
    SystolithError
        If it is another.
    """
    if value not in choices:
        raise SystolithError(f"{name} must be one of {', '.join(choices)}, not {value!r}")
    return value


def size_of(shape: Any) -> tuple[int, ...] | None:
    """Return `input_shape` of a network that is no torch module; refuse what is no shape."""
    if shape is None:
        return None
    sizes = tuple(shape) if isinstance(shape, list | tuple) else ()
    if len(sizes) not in (1, 3) or not all(isinstance(n, int) and n > 0 for n in sizes):
        raise SystolithError(
            "input_shape must be that of one image, e.g. (3, 224, 224), or (features,), not "
            f"{shape!r}"
        )
    return sizes


def device_options(
    memory: Memory, workers: Any, simulator: Any, board: Any, scheduler: str | None = None
) -> DeviceOptions:
    """Return the options of a device, as :meth:`systolith.Compiled.run` explains them.

    Raises
    ------
    SystolithError
        If one has another value.
    """
    return DeviceOptions(
        memory=memory,
        workers=whole_of("workers", workers, 1, MOST_WORKERS),
        simulator=choice_of("simulator", simulator, ("verilator", "icarus")),
        board=None if board is None else Path(board),
        scheduler=scheduler,
    )


def described(x: Any) -> str:
    """Return in words where inputs came from."""
    if isinstance(x, str | os.PathLike):
        return os.fspath(x)
    if isinstance(x, list | tuple) and all(isinstance(one, str | os.PathLike) for one in x):
        return ", ".join(map(os.fspath, x))
    return "arrays"
