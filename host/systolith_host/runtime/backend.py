"""Back ends: one protocol for models, simulators and boards, and one loop over layers."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from systolith_host.errors import SystolithError
from systolith_host.program.program import LayerProgram, Program
from systolith_host.runtime.driver import Driver
from systolith_host.runtime.jobs import Job, Outcome
from systolith_hw.spec.memory import Memory

__all__ = ["Backend", "BoardBackend", "Facts", "Observer", "refuse_waves", "run_layers"]


@dataclass(frozen=True)
class Observer:
    """Receives the progress of a back end; several threads may call at once.

    Parameters
    ----------
    at : callable
        Called now and then with a layer's name and the cycles that it has taken so far. What it
        raises ends the run.
    done : callable
        Called with each outcome.
    stage : callable
        Called with the name of what begins.
    update : callable
        Called with the name of the current work, the amount done, and the total.
    message : callable
        Called with a line for people.
    """

    at: Callable[[str, int], None] = lambda layer, cycles: None
    done: Callable[[Outcome], None] = lambda outcome: None
    stage: Callable[[str], None] = lambda name: None
    update: Callable[[str, float, float], None] = lambda what, done, total: None
    message: Callable[[str], None] = lambda text: None


@dataclass(frozen=True)
class Facts:
    """Facts about the back end, for reports.

    Parameters
    ----------
    device : str
        "rtl (verilator)", "model", "litex://localhost:1234", ...
    counts_cycles : bool
        Whether its cycles are those of the accelerator.
    measured : bool
        Whether cycles and bytes were counted by the RTL or a board, and not modelled.
    memory : Memory, optional
        The external memory behind it, where it is known.
    memory_name : str
        The kind of memory, beyond its numbers ("simulated", a board's chip).
    clock_mhz : float, optional
        Of the accelerator, where it has one of its own.
    """

    device: str
    counts_cycles: bool
    measured: bool
    memory: Memory | None = None
    memory_name: str = ""
    clock_mhz: float | None = None


class Backend(Protocol):
    """Something that runs programs."""

    @property
    def stage(self) -> str:
        """Name of its work, for people: "simulating", ..."""
        ...

    @property
    def sequential(self) -> bool:
        """Whether it holds one program, whose layers follow each other."""
        ...

    @property
    def memory(self) -> Memory:
        """The memory that schedules are to be chosen for."""
        ...

    @property
    def facts(self) -> Facts:
        """Facts for a report; a board's clock is known after a run."""
        ...

    def with_waves(self, layer: str, path: Path) -> "Backend":
        """Return one that writes a layer's waveforms to a file.

        Raises
        ------
        SystolithError
            If it has no signals to show.
        """
        ...

    def check(self, program: Program) -> None:
        """Refuse a program that cannot run here.

        Raises
        ------
        SystolithError
            The error names the mismatch.
        """
        ...

    def prepare(self, program: Program, observer: Observer) -> None:
        """Build everything that a run needs, so that the run's time excludes it.

        Raises
        ------
        SystolithError
            If a tool is missing or fails.
        """
        ...

    def run(self, program: Program, jobs: Sequence[Job], observer: Observer) -> list[Outcome]:
        """Run jobs and return the outcome of every layer.

        Raises
        ------
        SystolithError
            If the device, its memory or the connection fails.
        """
        ...


def refuse_waves() -> SystolithError:
    """Return the error of a back end without signals."""
    return SystolithError("--waves needs --device rtl: no other device shows its signals")


class BoardBackend:
    """The part of a back end that all boards share: one program at a time, and no signals."""

    stage = "connecting"
    sequential = True

    def with_waves(self, layer: str, path: Path) -> Backend:
        """Refuse: only the RTL has signals."""
        raise refuse_waves()

    def prepare(self, program: Program, observer: Observer) -> None:
        """Build nothing."""


def run_layers(
    driver: Driver,
    program: Program,
    job: Job,
    limit: Callable[[LayerProgram], int],
    observer: Observer,
) -> list[Outcome]:
    """Run a job's layers on a device that holds the program and the job's inputs.

    Parameters
    ----------
    limit : callable
        Returns the cycles after which a layer counts as hung.
    """
    outcomes = []
    for layer in job.layers:
        start = time.monotonic()
        observer.at(layer.name, 0)
        counters = driver.run_layer(
            layer, limit(layer), lambda cycles, name=layer.name: observer.at(name, cycles)
        )
        place = program.places[layer.output]
        output = place.unpack(driver.device.read_memory(place.address, place.size))
        outcome = Outcome(layer.name, counters, output, time.monotonic() - start)
        observer.done(outcome)
        outcomes.append(outcome)
    return outcomes
