"""Simulated accelerators behind a Unix socket, one for each connection."""

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from systolith_host.drivers.link import serve
from systolith_host.drivers.simulation import start_simulation
from systolith_host.errors import SystolithError
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.memory import Memory
from systolith_sim.emulator.device import Emulator
from systolith_sim.rtl.build import Build

__all__ = ["Server", "emulated", "listener", "simulated"]

Server = Callable[[socket.socket], str]
"""Serves a connection to its end, and returns what is to be said about it, or ""."""

_LONGEST_PATH = 107
"""Bytes of a Unix socket's path (sockaddr_un)."""


@contextmanager
def listener(path: Path) -> Iterator[socket.socket]:
    """Yield a socket that listens at a path; the path is removed afterwards.

    Raises
    ------
    SystolithError
        If something is at the path, or no socket can be.
    """
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise SystolithError(f"{path}: a socket's path may have {_LONGEST_PATH} bytes")
    if os.path.lexists(path):
        raise SystolithError(f"{path}: exists; remove it or choose another path")
    with socket.socket(socket.AF_UNIX) as listening:
        try:
            listening.bind(str(path))
        except OSError as error:
            raise SystolithError(f"{path}: no socket can be there: {error.strerror}") from None
        try:
            listening.listen()
            yield listening
        finally:
            path.unlink(missing_ok=True)


def emulated(config: AcceleratorConfig, memory_size: int, memory_base: int = 0) -> Server:
    """Return a server of emulators; parameters as of :func:`simulated`."""

    def serve_one(connection: socket.socket) -> str:
        memory = np.zeros(memory_base + memory_size, np.uint8)
        serve(Emulator(config, memory), connection, memory_base)
        return ""

    return serve_one


def simulated(
    build: Build,
    config: AcceleratorConfig,
    memory_size: int,
    memory: Memory,
    memory_base: int = 0,
) -> Server:
    """Return a server of simulations of the RTL.

    Parameters
    ----------
    build : Build
        For Verilator.
    config : AcceleratorConfig
    memory_size : int
        Bytes of memory that the link reaches.
    memory : Memory
        Its timing.
    memory_base : int
        Where the accelerator sees it.
    """

    def serve_one(connection: socket.socket) -> str:
        with tempfile.TemporaryDirectory(prefix="systolith-link-") as name:
            folder = Path(name)
            process = start_simulation(
                build,
                config,
                folder,
                connection,
                memory_base + memory_size,
                memory=memory,
                memory_base=memory_base,
            )
            connection.close()
            try:
                status = process.wait()
            finally:
                process.kill()
                process.wait()
            if status == 0:
                return ""
            lines = (folder / "simulator.log").read_text(errors="replace").strip().splitlines()
            return f"the simulator ended with status {status}: {lines[-1] if lines else 'no log'}"

    return serve_one
