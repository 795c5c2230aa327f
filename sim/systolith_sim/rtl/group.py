"""Processes in sessions of their own, which end together with all that they have started."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

__all__ = ["running"]

_INTERRUPTING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def running(command: Sequence[str], **options: Any) -> "Iterator[subprocess.Popen[Any]]":
    """Run a process as a session; on leaving, stop it and all that it started, if it still runs.

    No signal interrupts this thread between the start of the process and the moment from which on
    it would be stopped. The options are those of :class:`subprocess.Popen`.
    """
    process = None
    try:
        with _later():
            process = subprocess.Popen(command, start_new_session=True, **options)
        yield process
    finally:
        if process is not None:
            with process:  # closes its pipes, and waits
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def _later() -> Iterator[None]:
    """Handle signals on leaving the context, where this thread is the one that handles them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    former = {
        number: signal.signal(number, lambda number, frame: arrived.append(number))
        for number in _INTERRUPTING
        if callable(signal.getsignal(number))
    }
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
    for number in arrived:
        signal.raise_signal(number)
