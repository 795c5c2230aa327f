"""What runs a program: one protocol for models, simulators and boards, one loop over layers."""

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

__all__ = ["Backend", "Facts", "Observer", "refuse_waves", "run_layers"]


@dataclass(frozen=True)
class Observer:
    """Whom a back end tells how far it is; threads may call side by side.

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
        Called with what is under way, how much of it is done, and how much there is.
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
    """What a report says of the back end.

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
        What the memory is, beyond its numbers ("simulated", a board's chip).
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
        """What it does, for people: "simulating", ..."""
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
        """What a report says of it; a board's clock is known after a run."""
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
            Names what does not fit.
        """
        ...

    def prepare(self, program: Program, observer: Observer) -> None:
        """Build what a run needs, so that the run's time is its own.

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
            If the device, its memory or the way to it fails.
        """
        ...


def refuse_waves() -> SystolithError:
    """Return the error of a back end without signals."""
    return SystolithError("--waves needs --device rtl: no other device shows its signals")


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
