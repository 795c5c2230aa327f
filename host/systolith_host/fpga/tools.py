"""Finds the FPGA tools, and runs them with a limit and a log."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from systolith_host.errors import SystolithError
from systolith_sim.rtl.group import running

__all__ = ["Run", "find_tool", "run_tool"]

_POLL_SECONDS = 0.2

_CHECKOUT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Run:
    """How a tool ended: its exit status, or None at the limit, and how long it took."""

    status: int | None
    seconds: float


def find_tool(name: str) -> str:
    """Return the path of a tool: on PATH, next to this Python, or in the checkout's .venv-fpga.

    Raises
    ------
    SystolithError
        If it is nowhere; the text says what to install.
    """
    folders = [Path(sys.executable).parent, _CHECKOUT / ".venv-fpga" / "bin"]
    found = shutil.which(name) or next(
        (str(folder / name) for folder in folders if os.access(folder / name, os.X_OK)), None
    )
    if found is None:
        raise SystolithError(
            f"{name} is not installed: run `make fpga-setup`, or pip install 'systolith[fpga]'"
        )
    return found


def run_tool(
    command: Sequence[str],
    folder: Path,
    log: Path,
    seconds: float,
    stop: threading.Event | None = None,
    *,
    environment: Mapping[str, str] | None = None,
) -> Run:
    """Run a tool in a folder; all that it prints goes to the log.

    It is stopped, with whatever it started, when `seconds` have passed, when this thread is
    interrupted, or when another one sets `stop`. `environment` is added to this process's.

    Raises
    ------
    SystolithError
        If the log cannot be written.
    """
    start = time.monotonic()
    stop = stop or threading.Event()
    try:
        output = log.open("w")
    except OSError as error:
        raise SystolithError(f"{log}: cannot be written: {error.strerror}") from None
    with (
        output,
        running(
            command,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        status = None
        while status is None and not stop.is_set() and time.monotonic() < start + seconds:
            with suppress(subprocess.TimeoutExpired):
                status = process.wait(_POLL_SECONDS)
    return Run(status, time.monotonic() - start)
