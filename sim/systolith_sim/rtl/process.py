"""A simulator process that runs a cocotb module."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from systolith_sim.rtl.build import Build, SimulatorError

__all__ = ["start_simulator"]


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
    import find_libpython  # with the extra `sim` only, as cocotb
    from cocotb_tools import config as cocotb_config

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
