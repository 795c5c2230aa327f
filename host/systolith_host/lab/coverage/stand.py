"""A stand for directed tests: runs programs written by hand, and judges them by the emulator."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from systolith_host.lab.coverage.draft import SIZE, Draft
from systolith_host.lab.faults.judge import FaultError
from systolith_host.lab.faults.programs import Layer, emulate, is_defined
from systolith_host.lab.faults.stand import Seen, Stand
from systolith_hw.spec.registers import ErrorCode
from systolith_sim.faults.bench import BusTiming, Injection

__all__ = ["FAST", "LONG_WAIT", "USUAL", "Director", "with_params"]

LONG_WAIT = 1 << 16
"""Cycles of the longest waits."""

FAST, USUAL = BusTiming((1, 1)), BusTiming((1, 4))

_PATIENT = 1 << 22
"""Cycles after which the longest program counts as hung."""


@dataclass(frozen=True)
class Director:
    """A stand with a memory of SIZE bytes, and what directed tests draw from.

    Parameters
    ----------
    stand : Stand
        Its layers are programs that are correct, their memory of SIZE bytes.
    rng : Random
    """

    stand: Stand
    rng: random.Random

    def run(
        self,
        draft: Draft,
        memory: np.ndarray,
        what: str,
        timing: BusTiming = USUAL,
        faults: Sequence[Injection] = (),
        count: int = 0,
    ) -> Seen:
        """Run a program to its end, and demand what the emulator says; `count` may be too large."""
        stand = self.stand
        bench = stand.bench
        count = count or draft.count
        layer = Layer(memory, memory, 0, count)
        window = (0, SIZE)
        wanted = emulate(stand.config, layer, memory, window=window)
        good = wanted.code == ErrorCode.NONE
        if good and not is_defined(stand.config, layer, memory, window=window):
            raise FaultError("report", f"{what}: the program reads what a buffer held before")
        stand.set_window(*window)
        bench.write("WATCHDOG", 0)
        bench.behave(timing)
        stand.prepare(memory, 0, count, self.rng.getrandbits(30))
        for fault in faults:
            bench.inject(fault)
        stand.start()
        seen = stand.end(_PATIENT)
        if good:
            stand.check_exact(seen, wanted.memory, what)
        elif (seen.outcome.code, seen.outcome.engine) != (wanted.code, wanted.engine):
            raise FaultError("report", f"{what}: {seen.outcome}, not {wanted.code.name}")
        else:
            stand.cure(what)
        stand.set_up()
        return seen


def with_params(draft: Draft, address: int, columns: int = 0) -> np.ndarray:
    """Return the memory of a draft, with parameters that are legal for so many columns.

    Most biases are small, so that outputs lie between their ends and depend on every sum.
    """
    memory = draft.memory()
    params = memory[address:][: 8 * (columns or draft.config.cols)].view("<i4")
    params[1::2] = 1 << 12 | 20 << 24
    biases = params[0::2]
    biases >>= np.where(np.arange(biases.size) % 8 == 7, 0, 16)
    return memory
