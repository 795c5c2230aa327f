"""The simulated RTL behind a link: what the C driver runs against where there is no board."""

import json
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from systolith_host.errors import SystolithError
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.memory import Memory
from systolith_sim.memory.timing import MemoryTiming
from systolith_sim.rtl.build import Build
from systolith_sim.rtl.process import start_simulator

__all__ = ["ENTRY", "LINK_VARIABLE", "linked_simulation", "start_simulation"]

LINK_VARIABLE = "SYSTOLITH_LINK"
"""Environment variable of the simulator: the link, as JSON."""

ENTRY = "systolith_host.drivers.entry"
"""The cocotb module that serves the link."""

END_SECONDS = 60
"""Wall-clock limit for a simulation to end after its link."""


def start_simulation(
    build: Build,
    config: AcceleratorConfig,
    folder: Path,
    connection: socket.socket,
    memory_size: int,
    *,
    memory: Memory | None = None,
    memory_base: int = 0,
    breaches: Sequence[tuple[int, int, int]] = (),
) -> "subprocess.Popen[bytes]":
    """Start a simulation that serves a connection, and ends when the other side closes it.

    Parameters
    ----------
    build : Build
        Of the accelerator, for Verilator.
    config : AcceleratorConfig
    folder : Path
        For the memory (``memory``) and the log.
    connection : socket
        One end of a connected pair; the caller may close its own copy.
    memory_size : int
        Bytes of external memory, from address 0 on, zero at first.
    memory : Memory, optional
        Its timing.
    memory_base : int
        Where the accelerator sees the address 0 of the link.
    breaches : sequence of (int, int, int)
        Have the memory break its protocol (see axi_memory.v): the number of a program's start
        (from 0), the breach, and the cycles from that start on.

    Raises
    ------
    SimulatorError
        If the simulator cannot be started.
    """
    image = folder / "memory"
    with image.open("wb") as file:
        file.truncate(memory_size)
    link = {
        "file": connection.fileno(),
        "image": str(image),
        "memory_base": memory_base,
        "breaches": list(breaches),
    }
    timing = MemoryTiming.of(memory or Memory())
    return start_simulator(
        build,
        ENTRY,
        [f"+image={image}", *timing.plusargs(config.bus_bytes)],
        folder,
        environment={LINK_VARIABLE: json.dumps(link)},
        pass_fds=(connection.fileno(),),
    )


@contextmanager
def linked_simulation(
    built: Build, config: AcceleratorConfig, folder: Path, memory_size: int, **options: Any
) -> Iterator[socket.socket]:
    """Yield a connection to a simulation, which ends by itself after it.

    Parameters
    ----------
    built, config, folder, memory_size, options
        As of :func:`start_simulation`.

    Raises
    ------
    SystolithError
        If the simulation ends in an error; the text is its last line.
    """
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            process = start_simulation(built, config, folder, theirs, memory_size, **options)
        try:
            yield ours
            ours.shutdown(socket.SHUT_RDWR)
            if (status := process.wait(END_SECONDS)) != 0:
                lines = (folder / "simulator.log").read_text(errors="replace").strip().splitlines()
                last = lines[-1] if lines else "no log"
                raise SystolithError(f"the simulator ended with status {status}: {last}")
        finally:
            process.kill()
            process.wait()
