"""The device on the bench, and a run of a program anywhere in its memory."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from systolith_host.flow.log import Log, SilentLog
from systolith_host.program.program import LayerProgram, Program
from systolith_host.program.relocate import relocate
from systolith_host.runtime.backend import Facts, Observer, run_layers
from systolith_host.runtime.device import Device
from systolith_host.runtime.driver import WATCHDOG, Driver
from systolith_host.runtime.jobs import Job, Outcome
from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["Bench", "Opened"]

MARGIN_CYCLES = 1_000_000


def limit_of(layer: LayerProgram) -> int:
    """Return cycles after which a layer counts as hung, on the slowest of memories."""
    return 100 * layer.predicted_cycles + MARGIN_CYCLES


@dataclass(frozen=True)
class Opened:
    """A device that answers.

    Parameters
    ----------
    device : Device
        Addresses of its memory count from the start of that memory.
    facts : Facts
    memory_bytes : int
        All that it has, or lends.
    memory_base : int
        Where the accelerator sees that memory.
    about : str
        What is known of it beyond its registers: its build, say.
    """

    device: Device
    facts: Facts
    memory_bytes: int
    memory_base: int = 0
    about: str = ""


@dataclass(frozen=True)
class Bench:
    """What all stages but the first one have.

    Parameters
    ----------
    opened : Opened
    config : AcceleratorConfig
    seed : int
    layers : int
        Random layers to run, at least.
    memory_test : int
        Bytes of the memory's random test.
    log : Log
    """

    opened: Opened
    config: AcceleratorConfig
    seed: int = 0
    layers: int = 20
    memory_test: int = 1 << 18
    log: Log = field(default_factory=SilentLog)

    @property
    def memory_bytes(self) -> int:
        """The memory that the accelerator can address."""
        end = 1 << self.config.addr_width
        return min(self.opened.memory_bytes, end - self.opened.memory_base)

    def driver(
        self, size: int | None = None, offset: int = 0, *, watchdog: int = WATCHDOG
    ) -> Driver:
        """Return a driver whose window is `size` bytes (all, if None) from `offset` on.

        Its device's memory begins there, too.
        """
        return Driver(
            _Window(self.opened.device, offset),
            self.config,
            self.memory_bytes - offset if size is None else size,
            memory_base=self.opened.memory_base + offset,
            watchdog=watchdog,
        )

    def load(
        self, program: Program, inputs: Mapping[str, np.ndarray], offset: int = 0
    ) -> Callable[[Driver], list[Outcome]]:
        """Write a program and its inputs; return what runs its layers by a driver of that place.

        Parameters
        ----------
        program : Program
        inputs : mapping of str to ndarray
            Tensors by name.
        offset : int
            Where its memory begins, a multiple of 4096.

        Raises
        ------
        SystolithError
            If the memory or the link fails; what is returned raises it if the accelerator does.
        """
        device = self.opened.device
        for address, data in relocate(program, self.opened.memory_base + offset):
            device.write_memory(offset + address, data)
        for name, values in inputs.items():
            for address, data in program.places[name].pieces(values):
                device.write_memory(offset + address, data)
        job = Job(program.layers, dict(inputs))
        return lambda driver: run_layers(driver, program, job, limit_of, Observer())

    def run(
        self, program: Program, inputs: Mapping[str, np.ndarray], offset: int = 0
    ) -> list[Outcome]:
        """Write a program and its inputs, and run its layers; parameters as of :meth:`load`."""
        return self.load(program, inputs, offset)(self.driver(program.memory_size, offset))


@dataclass(frozen=True)
class _Window:
    """A device whose memory begins elsewhere."""

    device: Device
    offset: int

    def write_memory(self, address: int, data: np.ndarray) -> None:
        self.device.write_memory(self.offset + address, data)

    def read_memory(self, address: int, size: int) -> np.ndarray:
        return self.device.read_memory(self.offset + address, size)

    def write_register(self, offset: int, value: int) -> None:
        self.device.write_register(offset, value)

    def read_register(self, offset: int) -> int:
        return self.device.read_register(offset)

    def wait_interrupt(self, limit: int, progress: Callable[[int], None] | None = None) -> bool:
        return self.device.wait_interrupt(limit, progress)
