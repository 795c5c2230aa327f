"""Jobs side by side on this machine."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path

from systolith_host.program.program import Program
from systolith_host.runtime.backend import Facts, Observer, refuse_waves
from systolith_host.runtime.jobs import Job, Outcome
from systolith_hw.spec.memory import Memory

__all__ = ["LocalBackend"]


class _Stopped(Exception):
    """Another job has failed."""


@dataclass(frozen=True)
class LocalBackend(ABC):
    """A back end that this machine can run several times at once.

    Parameters
    ----------
    memory : Memory
        The simulated memory.
    workers : int
        Devices at work at a time.
    """

    memory: Memory = field(default_factory=Memory)
    workers: int = 1

    @property
    @abstractmethod
    def stage(self) -> str:
        """Name of its work, for people."""

    @property
    @abstractmethod
    def facts(self) -> Facts:
        """Facts for a report."""

    @property
    def sequential(self) -> bool:
        """Never: each job has a device of its own."""
        return False

    def with_waves(self, layer: str, path: Path) -> "LocalBackend":
        """Refuse: only the RTL has signals."""
        raise refuse_waves()

    def check(self, program: Program) -> None:
        """Refuse nothing: a device is made for the program."""
        return

    def prepare(self, program: Program, observer: Observer) -> None:
        """Build nothing."""
        return

    @abstractmethod
    def run_job(self, program: Program, job: Job, observer: Observer) -> list[Outcome]:
        """Run a job on a device of its own; its outcomes are told by the caller.

        Raises
        ------
        SystolithError
            If the accelerator fails.
        """

    def run(self, program: Program, jobs: Sequence[Job], observer: Observer) -> list[Outcome]:
        """Run jobs in parallel, in the given order; return all outcomes."""
        stop = threading.Event()

        def at(layer: str, cycles: int) -> None:
            if stop.is_set():
                raise _Stopped
            observer.at(layer, cycles)

        inner = replace(observer, at=at, done=Observer.done)

        def run(job: Job) -> list[Outcome]:
            if stop.is_set():
                raise _Stopped
            return self.run_job(program, job, inner)

        with ThreadPoolExecutor(self.workers) as pool:
            futures = [pool.submit(run, job) for job in jobs]
            pending: set[Future[list[Outcome]]] = set(futures)
            try:
                while pending:
                    ended, pending = wait(pending, return_when=FIRST_COMPLETED)
                    for outcome in [outcome for future in ended for outcome in future.result()]:
                        observer.done(outcome)
            except BaseException:
                stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return [outcome for future in futures for outcome in future.result()]
