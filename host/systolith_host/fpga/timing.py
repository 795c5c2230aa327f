"""The accelerator alone on a part: its resources and its clock."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from systolith_host.errors import SystolithError
from systolith_host.fpga import gowin
from systolith_host.fpga.estimate import counted
from systolith_host.fpga.parts import GOWIN, Part, check_fits
from systolith_host.fpga.place import Attempt, place_and_route
from systolith_host.fpga.synthesis import resources, synthesise
from systolith_host.fpga.tools import find_tool
from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["TimingReport", "measure_timing"]

TOP = "harness"

BITSTREAM = f"{TOP}.fs"
"""Of a Gowin part; an ECP5 gets one only with a board's system around the accelerator."""


@dataclass(frozen=True)
class TimingReport:
    """The tools' results for a configuration on a part.

    Parameters
    ----------
    config : AcceleratorConfig
    part : Part
    mhz : float
        The clock that was asked for.
    need : dict of str to int
        Resources after synthesis.
    synthesis_seconds : float
    attempts : tuple of Attempt
        All of them, by seed.
    """

    config: AcceleratorConfig
    part: Part
    mhz: float
    need: dict[str, int]
    synthesis_seconds: float
    attempts: tuple[Attempt, ...]

    @property
    def best(self) -> Attempt:
        """The fastest attempt."""
        return max(self.attempts, key=lambda attempt: attempt.mhz)

    @property
    def caveat(self) -> str:
        """A remark on the clock, if there is one."""
        return gowin.CAVEAT if self.part.placer is GOWIN else ""

    @property
    def met(self) -> bool:
        """Whether the best attempt reaches the requested clock."""
        return self.best.mhz >= self.mhz

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON has it."""
        attempts = []
        for attempt in self.attempts:
            fields = dataclasses.asdict(attempt)
            attempts.append(fields | {"config": attempt.config.name})
        return {
            "config": self.config.to_dict(),
            "fingerprint": f"{self.config.fingerprint:#018x}",
            "part": self.part.name,
            "mhz_wanted": self.mhz,
            "mhz": self.best.mhz,
            "met": self.met,
            "caveat": self.caveat,
            "resources": {
                name: {"used": count, "available": self.part.resources[name]}
                for name, count in self.need.items()
            },
            "synthesis_seconds": self.synthesis_seconds,
            "attempts": attempts,
        }

    def save(self, path: Path) -> None:
        """Write the report as JSON."""
        path.write_text(json.dumps(self.to_dict(), indent=2) + "\n")


def multiplier_name(part: Part) -> str:
    """Return the resource of a part that holds a multiplier of the array."""
    return next(name for name in part.resources if name == "DSP" or "multiplier" in name)


def measure_timing(
    config: AcceleratorConfig,
    part: Part,
    folder: Path,
    *,
    mhz: float,
    seeds: Sequence[int],
    jobs: int,
    limit: float,
    stage: Callable[[str], None],
    ended: Callable[[Attempt], None],
) -> TimingReport:
    """Synthesise, place and route the accelerator between registers; all files go to `folder`.

    For a Gowin part the best placement is packed, too: :data:`BITSTREAM`.

    Parameters
    ----------
    mhz : float
        The clock that is asked for.
    seeds : sequence of int
    jobs : int
        Runs of nextpnr at a time.
    limit : float
        Seconds of a run of nextpnr.
    stage : callable
        Called with the name of each stage as it begins.
    ended : callable
        Called with each attempt as it ends.

    Raises
    ------
    SystolithError
        If a tool is missing or fails, or the part is too small.
    """
    # Amaranth takes a second to import.
    from systolith_hw.accelerator import Accelerator
    from systolith_hw.generate import component_rtlil
    from systolith_hw.primitives.ecp5 import Ecp5
    from systolith_hw.primitives.harness import Harness

    is_gowin = part.placer is GOWIN
    for tool in (part.placer.tool, *([gowin.PACKER] if is_gowin else [])):
        find_tool(tool)
    # The array's needs are known before a tool has run; of an ECP5 all multipliers and buffers.
    known = {multiplier_name(part): config.multipliers} if is_gowin else counted(config)
    check_fits(config.name, known, part)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SystolithError(f"{folder}: cannot be written: {error.strerror}") from None
    stage("generating")
    platform = None if is_gowin else Ecp5(part.size)
    text = component_rtlil(Harness(Accelerator(config)), TOP, platform)
    stage("synthesis")
    if is_gowin:
        netlist = gowin.synthesise_gowin(text, TOP, folder, part)
        need = gowin.resources_gowin(netlist, TOP)
        options = gowin.constraints(part, folder)
    else:
        netlist = synthesise(text, TOP, folder)
        need = resources(netlist.cells)
        options = ("--lpf-allow-unconstrained",)
    check_fits(config.name, need, part)
    stage(f"place and route, {len(seeds)} seeds")
    attempts = place_and_route(
        netlist.path,
        part,
        folder,
        mhz=mhz,
        seeds=seeds,
        jobs=jobs,
        limit=limit,
        options=options,
        ended=ended,
    )
    report = TimingReport(config, part, mhz, need, netlist.seconds, tuple(attempts))
    if is_gowin:
        stage("packing")
        gowin.pack_gowin(report.best.config, part, folder / BITSTREAM)
    return report
