"""A program's layers on the Zynq board that this process runs on."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from systolith_host.errors import SystolithError
from systolith_host.program.program import LayerProgram, Program
from systolith_host.program.relocate import relocate
from systolith_host.runtime.backend import BoardBackend, Facts, Observer, run_layers
from systolith_host.runtime.driver import Driver
from systolith_host.runtime.jobs import Job, Outcome
from systolith_host.runtime.pynq.device import PynqDevice
from systolith_hw.spec.memory import Memory

__all__ = ["SCHEME", "PynqBackend", "find_overlay"]

SCHEME = "pynq:"

SLOWEST = 100
"""A layer may take this many times the predicted cycles: the processors share the memory."""

MARGIN_CYCLES = 1_000_000


@dataclass
class PynqBackend(BoardBackend):
    """The Zynq board that this runs on.

    Parameters
    ----------
    bitstream : Path
    memory : Memory
        The memory that schedules are chosen for; its real rate is shared with the processors.
    """

    bitstream: Path
    memory: Memory = field(default_factory=Memory)
    clock_mhz: float | None = None

    @property
    def facts(self) -> Facts:
        """Facts for a report; the clock is known after a run."""
        return Facts(
            f"{SCHEME}{self.bitstream}", counts_cycles=True, measured=True, clock_mhz=self.clock_mhz
        )

    def check(self, program: Program) -> None:
        """Refuse nothing: the overlay identifies itself when it is loaded."""

    def run(self, program: Program, jobs: Sequence[Job], observer: Observer) -> list[Outcome]:
        """Run a job's layers and return the outcome of each.

        Raises
        ------
        SystolithError
            If the board, the memory or the accelerator fails.
        """
        (job,) = jobs
        device = PynqDevice(self.bitstream, program.memory_size)
        try:
            driver = Driver(device, program.config, program.memory_size, memory_base=device.base)
            start = time.monotonic()
            for address, data in relocate(program, device.base):
                device.write_memory(address, data)
            for name, values in job.inputs.items():
                for address, data in program.places[name].pieces(values):
                    device.write_memory(address, data)
            size = sum(data.size for _, data in program.segments)
            observer.message(
                f"program: {size:,} bytes to {device.base:#x}, {time.monotonic() - start:.1f} s; "
                f"clock {device.clock_mhz:g} MHz"
            )
            self.clock_mhz = device.clock_mhz
            return run_layers(driver, program, job, _limit, observer)
        finally:
            device.close()


def _limit(layer: LayerProgram) -> int:
    return SLOWEST * layer.predicted_cycles + MARGIN_CYCLES


def find_overlay(device: str) -> Path:
    """Return the bitstream in ``pynq:PATH``.

    Raises
    ------
    SystolithError
        If it names no bitstream.
    """
    path = Path(device.removeprefix(SCHEME))
    if path.suffix != ".bit":
        raise SystolithError(f"--device must be {SCHEME}PATH.bit, not {device!r}")
    return path
