"""Runs a function in a process with limited memory and time, for tests with hostile files."""

import multiprocessing
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["run_limited"]

_PAGE = resource.getpagesize()


def run_limited(function: Callable[..., None], *args: Any, more_bytes: int, seconds: int) -> int:
    """Call a function in a process of its own; return its exit code, 0 if it returned.

    Parameters
    ----------
    function : callable
    more_bytes : int
        Address space that it may take, beyond what this process has.
    seconds : int
        Processor time after which it is killed.
    """
    process = multiprocessing.get_context("fork").Process(
        target=_call, args=(function, args, more_bytes, seconds)
    )
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _call(function: Callable[..., None], args: tuple, more_bytes: int, seconds: int) -> None:
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * _PAGE
    limit = taken + more_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))  # a new process has used none
    function(*args)
