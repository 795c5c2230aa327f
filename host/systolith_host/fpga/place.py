"""Place and route with nextpnr: seeds, a limit, the second router, and reading its report."""

import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

from systolith_host.errors import SystolithError
from systolith_host.fpga.parts import Part
from systolith_host.fpga.tools import find_tool, run_tool

__all__ = ["Attempt", "Clock", "place_and_route", "read_report"]

_LUT_SUFFIX = re.compile(
    r"_(?:LUT[1-4]|ALU|DFF\w*|CCU2C|TRELLIS|PFUMX|L6MUX21|MULT18X18D|DP16KD|[A-D]\d?_|Z_|Q_).*"
)
"""Endings that Yosys and nextpnr add to a signal's name when they make cells of it."""


@dataclass(frozen=True)
class Clock:
    """A clock of the design: its frequency and its critical path.

    Parameters
    ----------
    name : str
    mhz : float
    path : tuple of str
        Signals along the critical path, in the design's names, from register to register.
    path_ns : float
    logic_ns : float
        The part of it that is not routing.
    wanted : float
        Requested megahertz; 0 if unknown.
    """

    name: str
    mhz: float
    path: tuple[str, ...]
    path_ns: float
    logic_ns: float
    wanted: float = 0.0


@dataclass(frozen=True)
class Attempt:
    """One run of nextpnr.

    Parameters
    ----------
    seed : int
    router : str
    seconds : float
    result : str
        "routed", "limit", "failed" or "stopped".
    clocks : tuple of Clock
        Empty unless routed.
    used : mapping of str to int
        Of each kind of site, with nextpnr's names.
    config : Path
        The routed design, if routed: the textual bitstream of an ECP5.
    """

    seed: int
    router: str
    seconds: float
    result: str
    clocks: tuple[Clock, ...]
    used: Mapping[str, int]
    config: Path

    @property
    def mhz(self) -> float:
        """Frequency of the slowest clock; 0 if not routed."""
        return min((clock.mhz for clock in self.clocks), default=0.0)

    @property
    def margin(self) -> float:
        """Least share of its requested frequency that a clock reaches; 0 if not routed."""
        return min((clock.mhz / clock.wanted for clock in self.clocks if clock.wanted), default=0.0)


def read_report(text: str) -> tuple[tuple[Clock, ...], dict[str, int]]:
    """Return the clocks and the used sites of nextpnr's JSON report."""
    report = json.loads(text)
    paths = {}
    for path in report.get("critical_paths", ()):
        if path["from"] == path["to"]:
            paths[path["from"].partition(" ")[2]] = path["path"]
    clocks = tuple(
        _clock(name, figures, paths.get(name, ())) for name, figures in report["fmax"].items()
    )
    used = {name: sites["used"] for name, sites in report["utilization"].items() if sites["used"]}
    return clocks, used


def _clock(name: str, figures: Mapping[str, float], path: Sequence[Mapping[str, Any]]) -> Clock:
    names: list[str] = []
    for segment in path:
        if segment["type"] == "routing":
            signal = _LUT_SUFFIX.sub("", segment["net"])
            if signal not in names[-1:]:
                names.append(signal)
    delays = {True: 0.0, False: 0.0}
    for segment in path:
        delays[segment["type"] == "routing"] += segment["delay"]
    length = sum(delays.values())
    return Clock(
        name, figures["achieved"], tuple(names), length, delays[False], figures["constraint"]
    )


def place_and_route(
    netlist: Path,
    part: Part,
    folder: Path,
    *,
    mhz: float,
    seeds: Sequence[int],
    jobs: int,
    limit: float,
    options: Sequence[str] = (),
    ended: Callable[[Attempt], None] = lambda attempt: None,
) -> list[Attempt]:
    """Try seeds in parallel; if the first router finishes none of them, try the second one.

    On an ECP5 router 1 gives the better timing, but on a full part it sometimes never ends.

    Parameters
    ----------
    netlist : Path
        Yosys' JSON.
    mhz : float
        Requested frequency of the clocks.
    jobs : int
        Runs at a time.
    limit : float
        Seconds of a run.
    options : sequence of str
        Further options of nextpnr: constraints.
    ended : callable
        Called with each attempt as it ends.

    Raises
    ------
    SystolithError
        If nextpnr is not installed, or if no attempt ends with a routed design.
    """
    placer = part.placer
    tool = find_tool(placer.tool)
    stop = threading.Event()

    def attempt(seed: int, router: str) -> Attempt:
        name = f"seed{seed}-{router}"
        # Relative paths only: the tool, compiled to WASM, does not see every folder.
        command = [
            *(tool, *part.options, "--json", netlist.name, "--freq", f"{mhz:g}"),
            *("--seed", str(seed), "--router", router, "--timing-allow-fail"),
            *("--report", f"{name}.json", placer.output, f"{name}.{placer.suffix}", *options),
        ]
        run = run_tool(command, folder, folder / f"{name}.log", limit, stop)
        clocks: tuple[Clock, ...] = ()
        used: dict[str, int] = {}
        result = "limit" if run.status is None else "failed"
        if run.status is None and stop.is_set():
            result = "stopped"
        if run.status == 0:
            result = "routed"
            clocks, used = read_report((folder / f"{name}.json").read_text())
        config = folder / f"{name}.{placer.suffix}"
        done = Attempt(seed, router, run.seconds, result, clocks, used, config)
        ended(done)
        return done

    attempts: list[Attempt] = []
    with ThreadPoolExecutor(jobs) as pool:
        try:
            unfinished = list(seeds)
            for router in placer.routers:
                attempts += pool.map(attempt, unfinished, repeat(router))
                if any(one.result == "routed" for one in attempts):
                    break
                unfinished = [one.seed for one in attempts if one.result == "limit"]
        except BaseException:  # also after an interrupt: nothing is left running
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    if not any(one.result == "routed" for one in attempts):
        failed = next((one for one in attempts if one.result == "failed"), None)
        if failed is None:
            raise SystolithError(f"nextpnr did not end within {limit:g} s; allow more time")
        log = folder / f"seed{failed.seed}-{failed.router}.log"
        errors = [line for line in log.read_text().splitlines() if "ERROR" in line]
        reason = errors[0] if errors else "no message"
        raise SystolithError(f"nextpnr failed: {reason} (all of it in {log})")
    return attempts
