"""A program's layers on a board, one after the other: upload, run, read back."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from systolith_host.errors import SystolithError
from systolith_host.program.program import LayerProgram, Program
from systolith_host.runtime.backend import BoardBackend, Facts, Observer, run_layers
from systolith_host.runtime.driver import Driver
from systolith_host.runtime.jobs import Job, Outcome
from systolith_host.runtime.litex.link import Link, parse_address
from systolith_host.runtime.litex.litex import LitexDevice
from systolith_host.runtime.litex.system import System
from systolith_hw.spec.memory import Memory

__all__ = ["LitexBackend", "find_system"]

LINK_SECONDS = 20.0
"""Limit of an access to the board."""

SLOWEST = 20
"""A layer may take this many times the predicted cycles, and those of a slow memory."""

MARGIN_CYCLES = 1_000_000


@dataclass(frozen=True)
class LitexBackend(BoardBackend):
    """A board behind litex_server, or a whole system simulated behind one.

    Parameters
    ----------
    address : str
        ``litex://HOST:PORT``
    system : System
    latency, turnaround : int
        Of its memory, as far as the choice of schedules takes them, in cycles.
    """

    address: str
    system: System
    latency: int = Memory.latency
    turnaround: int = Memory.turnaround

    @property
    def memory(self) -> Memory:
        """The board's memory, at the rate of its pins."""
        return Memory(
            bytes_per_cycle=self.system.memory_rate,
            latency=self.latency,
            turnaround=self.turnaround,
        )

    @property
    def facts(self) -> Facts:
        """Facts for a report."""
        return Facts(
            self.address,
            counts_cycles=True,
            measured=True,
            memory=self.memory,
            memory_name=self.system.memory_type,
            clock_mhz=self.system.accelerator_hz / 1e6,
        )

    def check(self, program: Program) -> None:
        """Refuse a program that cannot run on the system.

        Raises
        ------
        SystolithError
            If it is of another configuration, or needs more memory.
        """
        config, system = program.config, self.system
        if system.fingerprint != config.fingerprint:
            raise SystolithError(
                f"--board: {system.path} is of an accelerator with fingerprint "
                f"{system.fingerprint:#018x}, the program needs {config.fingerprint:#018x} "
                f"({config.name})"
            )
        if program.memory_size > system.memory_bytes:
            raise SystolithError(
                f"{program.network} needs {program.memory_size:,} bytes of memory, {system.target} "
                f"has {system.memory_bytes:,}; take a smaller network or another board"
            )

    def run(self, program: Program, jobs: Sequence[Job], observer: Observer) -> list[Outcome]:
        """Run a job's layers on the board and return the outcome of each.

        Raises
        ------
        SystolithError
            If the link, the memory or the accelerator fails.
        """
        (job,) = jobs
        link = Link(self.address, LINK_SECONDS)
        try:
            device = LitexDevice(link, self.system, observer.message)
            driver = Driver(device, program.config, program.memory_size)
            observer.stage("uploading")
            start = time.monotonic()
            total = sum(data.size for _, data in program.segments)

            def uploaded(count: int, total: int) -> None:
                observer.update(f"{count / 1e6:.1f} of {total / 1e6:.1f} MB", count, total)

            sent = device.upload(program.segments, uploaded)
            inputs = [
                piece
                for name, values in job.inputs.items()
                for piece in program.places[name].pieces(values)
            ]
            device.upload(inputs, uploaded)
            seconds = time.monotonic() - start
            observer.message(
                f"program: {total:,} bytes, {sent:,} of them sent, checksums right; {seconds:.1f} s"
            )
            observer.stage("running")
            return run_layers(driver, program, job, self._limit, observer)
        finally:
            link.close()

    def _limit(self, layer: LayerProgram) -> int:
        """Return many times the cycles that a layer takes where the memory is the limit."""
        moved = round(layer.compulsory_bytes / self.system.memory_rate)
        return SLOWEST * (layer.predicted_cycles + moved + MARGIN_CYCLES)


def find_system(device: str, path: Path | None) -> System:
    """Return the system behind a device's name.

    Parameters
    ----------
    device : str
        ``litex://HOST:PORT``
    path : Path, optional
        Of what `systolith build` wrote.

    Raises
    ------
    SystolithError
        If the address is none, or its build is not named or cannot be read.
    """
    parse_address(device)
    if path is None:
        raise SystolithError(
            "--device litex needs --board DIR, the folder that `systolith build` wrote"
        )
    return System.load(path)
