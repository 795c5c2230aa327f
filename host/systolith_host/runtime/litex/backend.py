"""A program's layers on a board, one after the other: upload, run, read back."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from systolith_host.errors import SystolithError
from systolith_host.program.program import Program
from systolith_host.runtime.driver import Driver
from systolith_host.runtime.jobs import Job, Outcome
from systolith_host.runtime.litex.link import SCHEME, Link, parse_address
from systolith_host.runtime.litex.litex import LitexDevice
from systolith_host.runtime.litex.system import System

__all__ = ["BoardRun", "check_board", "find_system", "run_on_board"]

LINK_SECONDS = 20.0
"""Limit of an access to the board."""

SLOWEST = 20
"""A layer may take this many times the predicted cycles, and those of a slow memory."""

MARGIN_CYCLES = 1_000_000


@dataclass(frozen=True)
class BoardRun:
    """Where a program runs, and whom to tell.

    Parameters
    ----------
    address : str
        ``litex://HOST:PORT``
    system : System
    stage : callable
        Called with the name of what begins.
    update : callable
        Called with what is under way, how much of it is done, and how much there is.
    message : callable
        Called with a line for people.
    """

    address: str
    system: System
    stage: Callable[[str], None]
    update: Callable[[str, float, float], None]
    message: Callable[[str], None]


def find_system(device: str, path: Path | None) -> System | None:
    """Return the system that is to be reached, or None where the device is no board.

    Parameters
    ----------
    device : str
        "rtl", "emulator", or a system's address.
    path : Path, optional
        Of what `systolith build` wrote.

    Raises
    ------
    SystolithError
        If it is none of these, or a board whose build is not named or cannot be read.
    """
    if device in ("rtl", "emulator"):
        if path is not None:
            raise SystolithError("--board needs --device litex://HOST:PORT")
        return None
    if not device.startswith(SCHEME):
        raise SystolithError(
            f"--device must be rtl, emulator, {SCHEME}HOST:PORT or pynq:FILE.bit, not {device!r}"
        )
    parse_address(device)
    if path is None:
        raise SystolithError(
            "--device litex needs --board DIR, the folder that `systolith build` wrote"
        )
    return System.load(path)


def check_board(program: Program, system: System) -> None:
    """Refuse a program that cannot run on a system.

    Raises
    ------
    SystolithError
        If it is of another configuration, or needs more memory.
    """
    config = program.config
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


def run_on_board(
    program: Program,
    job: Job,
    where: BoardRun,
    progress: Callable[[str, int], None],
    done: Callable[[Outcome], None],
) -> list[Outcome]:
    """Run a job's layers on a board and return the outcome of each.

    Parameters
    ----------
    program : Program
    job : Job
    where : BoardRun
    progress, done : callable
        Called with a layer's name and cycles now and then, and with each outcome.

    Raises
    ------
    SystolithError
        If the link, the memory or the accelerator fails.
    """
    link = Link(where.address, LINK_SECONDS)
    try:
        device = LitexDevice(link, where.system, where.message)
        driver = Driver(device, program.config, program.memory_size)
        where.stage("uploading")
        start = time.monotonic()
        total = sum(data.size for _, data in program.segments)

        def uploaded(count: int, total: int) -> None:
            where.update(f"{count / 1e6:.1f} of {total / 1e6:.1f} MB", count, total)

        sent = device.upload(program.segments, uploaded)
        inputs = [
            piece
            for name, values in job.inputs.items()
            for piece in program.places[name].pieces(values)
        ]
        device.upload(inputs, uploaded)
        seconds = time.monotonic() - start
        where.message(
            f"program: {total:,} bytes, {sent:,} of them sent, checksums right; {seconds:.1f} s"
        )
        where.stage("running")
        outcomes = []
        for layer in job.layers:
            start = time.monotonic()
            progress(layer.name, 0)
            limit = SLOWEST * _cycles(layer.predicted_cycles, layer.compulsory_bytes, where.system)
            counters = driver.run_layer(
                layer, limit, lambda cycles, name=layer.name: progress(name, cycles)
            )
            place = program.places[layer.output]
            output = place.unpack(device.read_memory(place.address, place.size))
            outcome = Outcome(layer.name, counters, output, time.monotonic() - start)
            done(outcome)
            outcomes.append(outcome)
        return outcomes
    finally:
        link.close()


def _cycles(predicted: int, moved: int, system: System) -> int:
    """Return about the cycles that a layer takes where the memory is the limit."""
    return predicted + round(moved / system.memory_rate) + MARGIN_CYCLES
