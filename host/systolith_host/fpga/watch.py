"""Reads the progress of nextpnr from the logs that it is writing."""

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["run_state", "watch"]

POLL_SECONDS = 2.0

_ARCS = re.compile(r"^Info: Routing (\d+) arcs", re.MULTILINE)
_LEFT = re.compile(r"^Info: +\d+ \|[^|]*\|[^|]*\| +(\d+)\|", re.MULTILINE)
_OVERUSED = re.compile(r"overused=(\d+)")

_ITERATION = re.compile(r"^Info: +at iteration #(\d+)", re.MULTILINE)

# Shares of a run that typically have passed when a stage begins and ends, and its iterations: of
# ecp5-85f-winograd on the ULX3S, 40 minutes in all.
_STAGES = (
    ("Routing complete", "timing", 0.97, 0.97, 0),
    ("Routing..", "routing", 0.64, 0.97, 0),
    ("Running simulated annealing", "placing", 0.24, 0.64, 31),
    ("Running main analytical placer", "placing", 0.06, 0.24, 14),
)


def run_state(log: str) -> tuple[str, float]:
    """Return the stage of a run of nextpnr, and roughly the share of it that has passed.

    Parameters
    ----------
    log : str
        Its text so far.
    """
    stage = next((stage for stage in _STAGES if stage[0] in log), ("", "reading", 0.0, 0.06, 0))
    mark, text, share, end, iterations = stage
    arcs, left, overused = _ARCS.search(log), _LEFT.findall(log), _OVERUSED.findall(log)
    if text == "routing" and overused:
        return f"routing, {int(overused[-1]):,} wires overused", share
    if text == "routing" and arcs and left:
        routed = 1 - int(left[-1]) / int(arcs[1])
        return f"routing, {int(left[-1]):,} arcs left", share + (end - share) * max(0.0, routed)
    passed = _ITERATION.findall(log[log.rfind(mark) :]) if iterations else ()
    if passed:
        share += (end - share) * min(int(passed[-1]) / iterations, 1.0)
    return text, share


@contextmanager
def watch(
    folder: Path, seeds: Sequence[int], update: Callable[[str, float, float], None]
) -> Iterator[None]:
    """Report how far the runs in a folder are, as long as the context lasts.

    Parameters
    ----------
    folder : Path
        In which :func:`systolith_host.fpga.place.place_and_route` works.
    seeds : sequence of int
    update : callable
        Called now and then with the stage of the youngest run, seeds done, and all seeds.
    """
    start = time.time()
    stop = threading.Event()

    def report() -> None:
        while not stop.wait(POLL_SECONDS):
            done, text = 0.0, ""
            for seed in seeds:
                logs = [
                    path
                    for path in (folder / f"seed{seed}-router{n}.log" for n in (2, 1))
                    if path.exists() and path.stat().st_mtime >= start
                ]
                if logs:
                    state, share = run_state(logs[0].read_text(errors="replace"))
                    done += share
                    text = f"seed {seed}: {state}" if share < _STAGES[0][2] or not text else text
            update(text, done, len(seeds))

    def run() -> None:
        with suppress(OSError):  # a log that was just deleted
            report()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
