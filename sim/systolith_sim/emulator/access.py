"""What an instruction touches, how it walks, and the faults that it may have."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from systolith_hw.spec.registers import Engine, ErrorCode

__all__ = ["Access", "Fault", "TooManyStepsError", "Written", "check_end", "check_steps", "walk"]

MOST_STEPS = 1 << 26
"""Steps of an instruction's walk: no buffer has room for more, but a damaged one may ask."""


class TooManyStepsError(Exception):
    """An instruction is larger than the emulator follows; hardware may take minutes for it."""


class Fault(Exception):
    """An error as the accelerator's error registers would report it.

    `wrong` describes the fault of the program in words, where no hardware could run it correctly.
    """

    def __init__(self, code: ErrorCode, engine: Engine, info: int, wrong: str = "") -> None:
        super().__init__(wrong or f"{code.name} error of {engine.name}: {info:#x}")
        self.wrong = wrong
        self.code = code
        self.engine = engine
        self.info = info


@dataclass(frozen=True)
class Written:
    """The words that an instruction has written, and how hardware does it.

    Parameters
    ----------
    store : str
        "act", "weight", "param", "table", "acc0" and "acc1" for the banks of sums, or "memory".
    places : ndarray of int
        The words, each once; of the memory the addresses of bytes.
    first, count : int
        First and number of the elements of each word.
    writes : int
        Words that hardware writes, some of them several times; of the sums those of a column, of
        the activations those of a group of rows.
    """

    store: str
    places: np.ndarray
    first: int
    count: int
    writes: int


@dataclass
class Access:
    """The data that an instruction touched.

    `reads` and `writes` hold the words of each buffer that it may touch, whatever its inputs are,
    and `regions` the byte ranges of external memory, shape (count, 2): for the check of
    dependencies. `written` is what a LOAD or CONV has written with these inputs.
    """

    reads: dict[str, np.ndarray] = field(default_factory=dict)
    writes: dict[str, np.ndarray] = field(default_factory=dict)
    regions: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    written: Written | None = None

    @property
    def wrote(self) -> Written:
        """What it has written: a STORE the bytes of its regions."""
        if self.written is not None:
            return self.written
        places = np.concatenate([np.arange(*region) for region in self.regions.tolist()])
        return Written("memory", places, 0, 1, places.size)


def walk(base: int, levels: Sequence[tuple[int, int]], width: int) -> np.ndarray:
    """Return the addresses of a walk, one axis per level, outermost level first.

    Parameters
    ----------
    base : int
        Address at which the walk starts.
    levels : sequence of (count, step)
        Innermost level first; a step is added when its level advances and those inside restart.
    width : int
        Bits of an address.
    """
    check_steps([count for count, _ in levels])
    addresses = np.array(base, np.int64)
    inner = 0
    for count, step in levels:
        # Going back to the start of the inner levels is part of the step.
        stride = step + inner
        axis = np.arange(count, dtype=np.int64) * stride
        addresses = axis.reshape(-1, *[1] * addresses.ndim) + addresses
        inner += (count - 1) * stride
    return addresses & ((1 << width) - 1)


def check_steps(counts: Sequence[int]) -> None:
    """Raise a TooManyStepsError for sizes that no program needs, before memory is allocated."""
    steps = math.prod(counts)
    if steps > MOST_STEPS:
        raise TooManyStepsError(f"takes {steps} steps, more than {MOST_STEPS}")


def check_end(places: np.ndarray, depth: int, engine: Engine) -> None:
    """Raise a Fault for the first of the places, in their order, beyond a memory's end."""
    beyond = places >= depth
    if beyond.any():
        info = int(places.reshape(-1)[beyond.reshape(-1).argmax()])
        raise Fault(ErrorCode.BUFFER, engine, info)
