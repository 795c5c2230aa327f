"""From a configuration to a bitstream for a board."""

import shutil
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from systolith_host.boards.board import Board
from systolith_host.boards.job import DEFAULT_IP, make_system, system_job
from systolith_host.boards.pack import PACKER, UNPACKER, pack
from systolith_host.boards.report import BuildReport, NetworkSpeed, check_memory, network_speed
from systolith_host.errors import SystolithError
from systolith_host.flow.saved import read_run
from systolith_host.fpga.estimate import counted
from systolith_host.fpga.parts import Part, check_fits, load_part
from systolith_host.fpga.place import Attempt, place_and_route
from systolith_host.fpga.synthesis import Netlist, resources, synthesise
from systolith_host.fpga.tools import find_tool
from systolith_host.fpga.watch import watch
from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["BITSTREAM", "REPORT", "BuildOptions", "build_bitstream"]

BITSTREAM = "system.bit"
REPORT = "report.json"
TOP = "system"

REFERENCE = "vgg16"
"""The network whose speed a build reports."""


@dataclass(frozen=True)
class BuildOptions:
    """The effort of a build.

    Parameters
    ----------
    mhz : float
        The accelerator's clock.
    seeds : sequence of int
        Placements.
    jobs : int
        Placements at a time.
    limit : float
        Seconds of a placement.
    ip : str
        The board's own address, if it is reached by Ethernet.
    measured : Path, optional
        A run of the reference network whose cycles the report takes.
    """

    mhz: float
    seeds: Sequence[int]
    jobs: int
    limit: float
    ip: str = DEFAULT_IP
    measured: Path | None = None


def build_bitstream(
    config: AcceleratorConfig,
    board: Board,
    folder: Path,
    options: BuildOptions,
    *,
    stage: Callable[[str], None],
    update: Callable[[str, float, float], None],
    ended: Callable[[Attempt], None],
) -> BuildReport:
    """Generate, synthesise, place, route and pack a system; all files go to `folder`.

    The best placement is packed even if it misses a clock: the report says so.

    Parameters
    ----------
    config : AcceleratorConfig
    board : Board
    folder : Path
    options : BuildOptions
    stage : callable
        Called with the name of each stage as it begins.
    update : callable
        Called with the stage of the placement, the work done, and all the work.
    ended : callable
        Called with each placement as it ends.

    Raises
    ------
    SystolithError
        If a tool is missing or fails, or the board's part is too small.
    """
    # Amaranth takes a second to import.
    from systolith_hw.accelerator import Accelerator
    from systolith_hw.generate import component_rtlil
    from systolith_hw.primitives.ecp5 import Ecp5

    part = load_part(board.part)
    measured = None
    if options.measured is not None:
        measured = read_run(options.measured, REFERENCE, config)
        check_memory(measured, board, options.mhz)
    for tool in (part.placer.tool, PACKER, UNPACKER, "litex_server"):
        find_tool(tool)
    # The needs of array and buffers are known before a tool has run.
    check_fits(config.name, counted(config), part)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left in (BITSTREAM, REPORT):  # of an earlier build, in case this one fails
            (folder / left).unlink(missing_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise SystolithError(f"{folder}: cannot be written: {error.strerror}") from None
    stage("generating")
    text = component_rtlil(Accelerator(config), "accelerator", Ecp5(part.size))
    job = system_job(
        config,
        board,
        folder,
        verilog=text,
        accelerator_hz=options.mhz * 1e6,
        options={"ip": options.ip},
    )
    make_system(job)
    stage("synthesis")
    gateware = folder / "gateware"
    netlist = synthesise(text, TOP, gateware, [f"{TOP}.v"])
    need = resources(netlist.cells)
    check_fits(f"{config.name} with its system", need, part)
    speed = _Background(lambda: network_speed(REFERENCE, config, board, options.mhz, measured))
    stage(f"place and route, {len(options.seeds)} seeds")
    with watch(gateware, options.seeds, update):
        attempts = _place(netlist, part, gateware, options, ended)
    best = max(attempts, key=lambda attempt: attempt.margin)
    stage("packing, and reading back")
    pack(best.config, gateware / BITSTREAM)
    shutil.copy(gateware / BITSTREAM, folder / BITSTREAM)
    stage(f"speed of {REFERENCE}")
    return BuildReport(
        config=config,
        board=board,
        part=part,
        mhz=options.mhz,
        build=job["build"],
        need=need,
        synthesis_seconds=netlist.seconds,
        attempts=tuple(attempts),
        best=best,
        speed=speed.result(),
    )


class _Background:
    """Computes while the tools run in processes of their own; an interrupt leaves it behind.

    Parameters
    ----------
    compute : callable
    """

    def __init__(self, compute: Callable[[], NetworkSpeed]) -> None:
        self._future: Future[NetworkSpeed] = Future()

        def run() -> None:
            try:
                self._future.set_result(compute())
            except BaseException as error:
                self._future.set_exception(error)

        threading.Thread(target=run, daemon=True).start()

    def result(self) -> NetworkSpeed:
        """Wait for the result and return it."""
        return self._future.result()


def _place(
    netlist: Netlist,
    part: Part,
    folder: Path,
    options: BuildOptions,
    ended: Callable[[Attempt], None],
) -> list[Attempt]:
    return place_and_route(
        netlist.path,
        part,
        folder,
        mhz=options.mhz,
        seeds=options.seeds,
        jobs=options.jobs,
        limit=options.limit,
        options=("--lpf", f"{TOP}.lpf"),
        ended=ended,
    )
