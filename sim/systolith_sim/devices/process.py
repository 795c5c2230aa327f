"""A simulator process that runs a cocotb module, and the memory's timing as its arguments."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import find_libpython
from cocotb_tools import config as cocotb_config

from systolith_sim.devices.build import Build, SimulatorError

__all__ = ["MemoryTiming", "start_simulator"]


@dataclass(frozen=True, kw_only=True)
class MemoryTiming:
    """How the simulated external memory behaves.

    Parameters
    ----------
    latency : int
        Cycles from the address of a read to its first data, and from the last data of a write to
        its response, at least 2.
    bytes_per_cycle : float, optional
        Bandwidth shared by reads and writes; the width of the bus where it is None.
    turnaround : int
        Cycles in which no data moves between reading and writing, 0 to 64; 0 lets both move at
        once. With more the way changes at the end of a burst, or where nothing else is to move.
    reads, writes : int
        Transactions that the memory takes before it answers the first, 1 to 64.
    stalls : float
        Probability, 0 to below 1, that a channel pauses in a cycle.
    seed : int
        Of the stalls; positive.
    errors : tuple of int, optional
        First address and end of a range that answers with a bus error.
    dead : bool
        Whether the memory never answers.
    """

    latency: int = 40
    bytes_per_cycle: float | None = None
    turnaround: int = 0
    reads: int = 64
    writes: int = 64
    stalls: float = 0.0
    seed: int = 1
    errors: tuple[int, int] | None = None
    dead: bool = False

    def __post_init__(self) -> None:
        rules = (
            ("latency", 2 <= self.latency <= 100_000, "2 to 100000 cycles"),
            (
                "bytes_per_cycle",
                self.bytes_per_cycle is None or 1 / 256 <= self.bytes_per_cycle <= 1024,
                "1/256 to 1024",
            ),
            ("turnaround", 0 <= self.turnaround <= 64, "0 to 64 cycles"),
            ("reads", 1 <= self.reads <= 64, "1 to 64"),
            ("writes", 1 <= self.writes <= 64, "1 to 64"),
            ("stalls", 0 <= self.stalls < 1, "at least 0 and below 1"),
            ("seed", 1 <= self.seed < 1 << 31, "1 to 2**31 - 1"),
        )
        for field, kept, rule in rules:
            if not kept:
                raise ValueError(f"memory {field} must be {rule}, not {getattr(self, field)!r}")

    def described(self, bus_bytes: int) -> str:
        """Return bandwidth, latency and turnaround in words."""
        rate = bus_bytes if self.bytes_per_cycle is None else self.bytes_per_cycle
        text = f"{rate:g} bytes per cycle, latency {self.latency} cycles"
        return f"{text}, turnaround {self.turnaround} cycles" if self.turnaround else text

    def plusargs(self, bus_bytes: int) -> list[str]:
        """Return the settings as arguments of the simulation."""
        rate = bus_bytes if self.bytes_per_cycle is None else self.bytes_per_cycle
        settings = {
            "latency": self.latency,
            "rate": round(rate * 256),
            "turnaround": self.turnaround,
            "reads": self.reads,
            "writes": self.writes,
            "seed": self.seed,
        }
        settings |= {
            f"stall_{name}": int(self.stalls * 256) for name in ("ar", "r", "aw", "w", "b")
        }
        if self.errors is not None:
            settings |= {"error_base": self.errors[0], "error_end": self.errors[1]}
        arguments = [f"+memory_{name}={value}" for name, value in settings.items()]
        return arguments + (["+memory_dead"] if self.dead else [])


def start_simulator(
    build: Build,
    module: str,
    plusargs: Sequence[str],
    folder: Path,
    *,
    environment: Mapping[str, str] | None = None,
    seed: int = 1,
    pass_fds: Sequence[int] = (),
) -> "subprocess.Popen[bytes]":
    """Start a simulation that runs the cocotb tests of a module.

    Parameters
    ----------
    build : Build
        The simulator.
    module : str
        Python module with the tests.
    plusargs : sequence of str
        Arguments of the simulation, with their plus signs.
    folder : Path
        Working directory; the log goes to ``simulator.log`` in it and the results to
        ``results.xml``.
    environment : mapping of str to str, optional
        Added to that of this process.
    seed : int
        cocotb's random seed.
    pass_fds : sequence of int
        File descriptors that stay open in it.

    Raises
    ------
    SimulatorError
        If it cannot be started.
    """
    python_library = find_libpython.find_libpython()
    if python_library is None:
        raise SimulatorError("this Python has no shared library, which cocotb needs")
    settings = {
        **os.environ,
        "COCOTB_ANSI_OUTPUT": "0",
        "COCOTB_LOG_LEVEL": "INFO",
        "COCOTB_RANDOM_SEED": str(seed),
        "COCOTB_RESULTS_FILE": str(folder / "results.xml"),
        "COCOTB_TEST_MODULES": module,
        "COCOTB_TOPLEVEL": build.top,
        "COCOTB_TRUST_INERTIAL_WRITES": "1" if build.simulator == "verilator" else "0",
        "GPI_USERS": f"{python_library};{cocotb_config.pygpi_entry_point()}",
        "PYGPI_PYTHON_BIN": sys.executable,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "OPENBLAS_NUM_THREADS": "1",  # its idle threads spin
        "TOPLEVEL_LANG": "verilog",
        **(environment or {}),
    }
    for name in ("COCOTB_TEST_FILTER", "COCOTB_TESTCASE"):
        if name not in (environment or {}):
            settings.pop(name, None)
    try:
        with (folder / "simulator.log").open("wb") as log:
            return subprocess.Popen(
                [*build.command, *plusargs],
                cwd=folder,
                env=settings,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=pass_fds,
            )
    except OSError as error:
        raise SimulatorError(f"{build.command[0]} cannot be started: {error}") from None
