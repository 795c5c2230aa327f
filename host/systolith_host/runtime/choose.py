"""The back end that a text like ``rtl`` or ``litex://localhost:1234`` names."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from systolith_host.errors import SystolithError
from systolith_host.extras import is_installed, need
from systolith_host.runtime.backend import Backend
from systolith_host.runtime.local import LocalBackend
from systolith_hw.spec.memory import Memory

__all__ = ["DEVICES", "DeviceOptions", "choose_backend"]

DEVICES = ("rtl", "model", "emulator", "litex://HOST:PORT", "pynq:FILE.bit")
"""Names of devices."""


_WITHOUT = ", or run with --device emulator"


@dataclass(frozen=True)
class DeviceOptions:
    """Options of some devices.

    Parameters
    ----------
    memory : Memory
        The simulated memory, or the one that schedules are chosen for.
    workers : int
        Devices that work in parallel on this machine.
    simulator : "verilator" or "icarus"
        Of the RTL.
    board : Path, optional
        Folder that `systolith build` wrote, for litex.
    scheduler : str, optional
        Address of a dask scheduler, on whose workers layers are to run.
    """

    memory: Memory = field(default_factory=Memory)
    workers: int = 2
    simulator: Literal["verilator", "icarus"] = "verilator"
    board: Path | None = None
    scheduler: str | None = None


def choose_backend(device: str, options: DeviceOptions) -> Backend:
    """Return the back end.

    Each one is imported only where it is asked for: a board needs no simulator.

    Parameters
    ----------
    device : str
        One of DEVICES.

    Raises
    ------
    SystolithError
        If there is none of that name, an option does not go with it, or the scheduler does not
        answer.
    """
    scheme = device.partition(":")[0]
    if options.board is not None and scheme != "litex":
        if scheme == "pynq":
            raise SystolithError("--board is for --device litex; pynq's bitstream is in --device")
        raise SystolithError("--board needs --device litex://HOST:PORT")
    if options.scheduler is not None and scheme in ("litex", "pynq"):
        raise SystolithError("--scheduler spreads layers, a board runs them all: choose one")
    if device.startswith("litex://"):
        from systolith_host.runtime.litex.backend import LitexBackend, find_system

        system = find_system(device, options.board)
        return LitexBackend(device, system, options.memory.latency, options.memory.turnaround)
    if scheme == "pynq":
        from systolith_host.runtime.pynq.backend import PynqBackend, find_overlay

        return PynqBackend(find_overlay(device), options.memory)
    if options.scheduler is None:
        return _local(device, options)
    need("--scheduler", "cluster")
    from systolith_host.runtime.dask import DaskBackend

    backend = DaskBackend(_local(device, options), options.scheduler)
    backend.reach()
    return backend


def _local(device: str, options: DeviceOptions) -> LocalBackend:
    if device == "rtl":
        if options.scheduler is None:
            verilator = ("verilator",) if options.simulator == "verilator" else ()
            modules = ("amaranth", "cocotb", "pyosys", *verilator)
            need("--device rtl", "sim", *modules, otherwise=_WITHOUT)
        from systolith_host.runtime.rtl.backend import RtlBackend

        return RtlBackend(options.memory, options.workers, options.simulator)
    if device == "emulator":
        if is_installed("numba"):  # then it has cycles, too
            from systolith_host.runtime.model import ModelBackend

            return ModelBackend(options.memory, options.workers, "emulator")
        from systolith_host.runtime.emulator import EmulatorBackend

        return EmulatorBackend(options.memory, options.workers)
    if device == "model":
        need("--device model", "explore", "numba", otherwise=_WITHOUT)
        from systolith_host.runtime.model import ModelBackend

        return ModelBackend(options.memory, options.workers)
    raise SystolithError(
        f"--device must be {', '.join(DEVICES[:-1])} or {DEVICES[-1]}, not {device!r}"
    )
