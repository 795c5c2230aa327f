"""Devices for the self-test: the accelerator itself, with no program on it yet."""

import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

from systolith_host.drivers.client import LinkedDevice
from systolith_host.drivers.simulation import linked_simulation
from systolith_host.errors import SystolithError
from systolith_host.flow.log import Log
from systolith_host.runtime.backend import Backend
from systolith_host.runtime.emulator import EmulatorBackend
from systolith_host.runtime.litex.backend import LINK_SECONDS, LitexBackend
from systolith_host.runtime.litex.link import Link
from systolith_host.runtime.litex.litex import LitexDevice
from systolith_host.runtime.pynq.backend import PynqBackend
from systolith_host.runtime.pynq.device import PynqDevice
from systolith_host.runtime.rtl.backend import RtlBackend
from systolith_host.selftest.bench import Opened
from systolith_hw.spec.config import AcceleratorConfig
from systolith_sim.emulator.device import Emulator

__all__ = ["MEMORY_BYTES", "open_device"]

MEMORY_BYTES = 1 << 24
"""Memory of a simulated accelerator, and what a board with processors is asked to lend."""


def open_device(
    backend: Backend, config: AcceleratorConfig, log: Log
) -> AbstractContextManager[Opened]:
    """Open the device of a back end as long as the context lasts.

    Raises
    ------
    SystolithError
        If it cannot be built, does not answer, or is another one than its description.
    """
    size = min(MEMORY_BYTES, 1 << config.addr_width)
    match backend:
        case LitexBackend():
            return _litex(backend, log)
        case PynqBackend():
            return _pynq(backend, size)
        case RtlBackend():
            return _rtl(backend, config, size, log)
        case EmulatorBackend():
            return _emulator(backend, config, size)
    raise SystolithError(f"no self-test of {backend.facts.device}")


@contextmanager
def _litex(backend: LitexBackend, log: Log) -> Iterator[Opened]:
    system = backend.system
    log.stage("connecting")
    with closing(Link(backend.address, LINK_SECONDS)) as link:
        device = LitexDevice(link, system, log.message)
        about = (
            f"{system.target}, build {system.build:016x}, {system.memory_bytes >> 20} MB of "
            f"{system.memory_type}"
        )
        yield Opened(device, backend.facts, system.memory_bytes, about=about)


@contextmanager
def _pynq(backend: PynqBackend, size: int) -> Iterator[Opened]:
    with closing(PynqDevice(backend.bitstream, size)) as device:
        backend.clock_mhz = device.clock_mhz
        about = f"{backend.bitstream.name}, {size >> 20} MB lent at {device.base:#x}"
        yield Opened(device, backend.facts, size, device.base, about)


@contextmanager
def _rtl(backend: RtlBackend, config: AcceleratorConfig, size: int, log: Log) -> Iterator[Opened]:
    # Amaranth, and only where the RTL is wanted.
    from systolith_sim.rtl.simulator import accelerator_build

    log.stage("building the simulator")
    build = accelerator_build(config, progress=log.message)
    with (
        tempfile.TemporaryDirectory(prefix="systolith-selftest-") as folder,
        linked_simulation(build, config, Path(folder), size, memory=backend.memory) as connection,
    ):
        yield Opened(LinkedDevice(connection), backend.facts, size, about=_simulated(size))


@contextmanager
def _emulator(backend: EmulatorBackend, config: AcceleratorConfig, size: int) -> Iterator[Opened]:
    facts = EmulatorBackend(backend.memory).facts  # no model's: the device itself has no cycles
    yield Opened(Emulator(config, size), facts, size, about=_simulated(size))


def _simulated(size: int) -> str:
    return f"{size >> 20} MB of this machine's memory"
