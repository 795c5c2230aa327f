"""The program in NumPy, instruction by instruction: tensors and bytes, no cycles."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from systolith_host.errors import SystolithError
from systolith_host.program.program import Program
from systolith_host.runtime.backend import Facts, Observer, run_layers
from systolith_host.runtime.driver import Driver
from systolith_host.runtime.jobs import Job, Outcome
from systolith_host.runtime.local import LocalBackend
from systolith_sim.emulator.device import Emulator, EmulatorError

__all__ = ["EmulatorBackend"]


@dataclass(frozen=True)
class EmulatorBackend(LocalBackend):
    """The emulator; parameters as of :class:`LocalBackend`."""

    @property
    def stage(self) -> str:
        """Name of its work, for people."""
        return "emulating"

    @property
    def facts(self) -> Facts:
        """Facts for a report."""
        return Facts("emulator", counts_cycles=False, measured=False)

    def run_job(self, program: Program, job: Job, observer: Observer) -> list[Outcome]:
        """Run a job; see :meth:`LocalBackend.run_job`."""
        return self.emulate(program, job, observer, lambda device: None)

    def emulate(
        self, program: Program, job: Job, observer: Observer, ended: Callable[[Emulator], None]
    ) -> list[Outcome]:
        """Run a job; `ended` gets the device behind each layer."""
        try:
            return self._emulate(program, job, observer, ended)
        except EmulatorError as error:
            raise SystolithError(f"{program.network}: the program is damaged: {error}") from None

    def _emulate(
        self, program: Program, job: Job, observer: Observer, ended: Callable[[Emulator], None]
    ) -> list[Outcome]:
        device = Emulator(program.config, program.memory_image(job.inputs))
        driver = Driver(device, program.config, program.memory_size)

        def done(outcome: Outcome) -> None:
            ended(device)
            observer.done(outcome)

        return run_layers(driver, program, job, lambda layer: 0, replace(observer, done=done))
