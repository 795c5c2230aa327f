"""Commands for boards: build a bitstream, program a board, serve a simulated system."""

import json
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated

import typer

from systolith_host.boards.board import BOARDS, check_link, load_board
from systolith_host.boards.job import DEFAULT_IP
from systolith_host.cli.options import (
    AcceleratorOption,
    FirstSeedOption,
    LimitOption,
    PlacementJobsOption,
    SeedsOption,
)
from systolith_host.cli.output import MISMATCH, complain, show
from systolith_host.errors import SystolithError
from systolith_host.extras import need
from systolith_host.fpga.place import Attempt
from systolith_host.progress import ProgressLog
from systolith_host.terminal import error_console
from systolith_hw.spec.presets import load_config

__all__ = ["build", "program", "serve"]

PROGRAM_SECONDS = 300


def build(
    board: Annotated[str, typer.Option(help=f"One of {', '.join(BOARDS)}.")],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for bitstream, system.json, logs, report.")
    ],
    config: AcceleratorOption = "ecp5-85f",
    clock: Annotated[
        float, typer.Option(min=10, metavar="MHZ", help="Clock of the accelerator.")
    ] = 100,
    link: Annotated[
        str,
        typer.Option(
            metavar="serial|ethernet",
            help="Link from host to board. Ethernet slows the memory: see docs/boards.md.",
        ),
    ] = "serial",
    ip: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address of the board, with --link ethernet.")
    ] = DEFAULT_IP,
    measured: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Report of `systolith run vgg16 --json` for this configuration and a memory no "
            "faster than the board's; its cycles replace those of the model.",
        ),
    ] = None,
    seeds: SeedsOption = 3,
    first_seed: FirstSeedOption = 1,
    jobs: PlacementJobsOption = 2,
    limit: LimitOption = 1800,
) -> None:
    """Build a board's bitstream: accelerator, memory controller and host link.

    The best placement is packed. Exit status: 0 if every clock is met, 1 if one is missed.
    """
    from systolith_host.boards.build import BITSTREAM, REPORT, BuildOptions, build_bitstream
    from systolith_host.cli.views.board import build_table

    target, chosen = load_config(config), load_board(board, link)
    need("build", "sim", "amaranth", "pyosys")
    need("build", "explore", "numba")
    tried = range(first_seed, first_seed + seeds)
    options = BuildOptions(clock, tried, jobs, limit, _address(ip), measured)
    with ProgressLog(error_console()) as log:

        def tell(one: Attempt) -> None:
            clocks = ", ".join(f"{clock.name} {clock.mhz:.1f} MHz" for clock in one.clocks)
            log.message(
                f"seed {one.seed}, {one.router}: {one.result}, {one.seconds:.0f} s  {clocks}"
            )

        report = build_bitstream(
            target,
            chosen,
            out,
            options,
            stage=log.stage,
            update=log.update,
            ended=tell,
        )
    report.save(out / REPORT)
    show(build_table(report))
    show(f"{out / BITSTREAM}: build {report.build}")
    if not report.met:
        raise typer.Exit(MISMATCH)


def _address(text: str) -> str:
    try:
        return str(IPv4Address(text))
    except ValueError:
        raise SystolithError(
            f"--ip must be an address such as {DEFAULT_IP}, not {text!r}"
        ) from None


def program(
    out: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder that `systolith build` wrote.")
    ],
    flash: Annotated[
        bool, typer.Option("--flash", help="Write it to the board's flash, to stay.")
    ] = False,
) -> None:
    """Load a bitstream into a board that is connected by USB (openFPGALoader)."""
    from systolith_host.boards.build import BITSTREAM, REPORT
    from systolith_host.fpga.tools import find_tool, run_tool
    from systolith_host.runtime.litex.system import System

    board = load_board(System.load(out).target)
    bitstream = out / BITSTREAM
    if not bitstream.exists():
        raise SystolithError(f"{bitstream} is missing; run `systolith build --out {out}` again")
    if _missed(out / REPORT):
        complain(f"{out / REPORT}: a clock is missed, so values may be wrong", "warning")
    log = out / "openfpgaloader.log"
    command = [find_tool("openfpgaloader-cli"), "-b", board.programmer]
    command += [*(["-f"] if flash else []), str(bitstream.absolute())]
    with ProgressLog(error_console()) as progress:
        progress.stage(f"programming {board.title}")
        run = run_tool(command, out, log, PROGRAM_SECONDS)
    if run.status != 0:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        reason = "no end" if run.status is None else (lines or ["no output"])[-1].strip()
        if "cannot open shared object" in reason:
            reason += "; apt-get install libusb-1.0-0 libftdi1-2"
        raise SystolithError(f"openFPGALoader failed: {reason} (all of it in {log})")
    show(f"{board.title} holds {bitstream}")


def _missed(report: Path) -> bool:
    """Whether a build's report says that a clock was missed; a bitstream may have none."""
    try:
        return json.loads(report.read_text()).get("met") is False
    except (OSError, ValueError, AttributeError):
        return False


def serve(
    config: AcceleratorOption = "tiny",
    clock: Annotated[
        float, typer.Option(min=1, metavar="MHZ", help="Clock of the accelerator; the bus has 50.")
    ] = 100,
    link: Annotated[
        str,
        typer.Option(
            metavar="serial|ethernet",
            help="Link to the host. Ethernet needs root, for a network interface.",
        ),
    ] = "serial",
    seconds: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="Time after which it ends by itself.")
    ] = 3600,
) -> None:
    """Simulate a whole system and serve it as litex_server serves a board.

    Prints the options for `systolith run`, and serves until it is interrupted.
    """
    import tempfile

    check_link(link)
    need("serve", "sim", "amaranth", "pyosys")
    from systolith_host.boards.simulation import build_system_simulator, served_system

    with ProgressLog(error_console()) as log:
        folder = build_system_simulator(
            load_config(config), accelerator_hz=clock * 1e6, link=link, stage=log.stage
        )
    with (
        tempfile.TemporaryDirectory(prefix="systolith-serve-") as logs,
        served_system(folder, Path(logs)) as (address, wait),
    ):
        show(f"--device {address} --board {folder}")
        wait(seconds)
