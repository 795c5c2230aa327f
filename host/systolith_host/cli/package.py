"""The command `systolith package`."""

from pathlib import Path
from typing import Annotated

import typer

from systolith_host.cli.options import AcceleratorOption
from systolith_host.cli.output import show
from systolith_host.errors import SystolithError
from systolith_host.extras import need
from systolith_host.package.core import write_core
from systolith_host.package.vivado import write_scripts
from systolith_host.package.zynq import ZYNQ_BOARDS, check_board, load_board
from systolith_host.progress import ProgressLog
from systolith_host.terminal import error_console
from systolith_hw.spec.presets import load_config

__all__ = ["package"]


def package(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the package.")],
    config: AcceleratorOption = "default",
    board: Annotated[
        list[str] | None,
        typer.Option(
            help=f"{', '.join(ZYNQ_BOARDS)}; repeat it for more. Default: all that it fits."
        ),
    ] = None,
    clock: Annotated[
        float, typer.Option(min=1, max=1000, metavar="MHZ", help="The clock to ask for.")
    ] = 100.0,
) -> None:
    """Write the accelerator as an IP-XACT core, with Vivado scripts for boards.

    Vivado takes DIR/core as an IP repository; other tools that read IEEE 1685-2009 find ports,
    buses and registers in component.xml. Each script makes a block design and a bitstream:
    vivado -mode batch -source DIR/vivado/BOARD.tcl
    """
    target = load_config(config)
    need("package", "sim", "amaranth", "pyosys")

    boards, notes = [], []
    for name in board or ZYNQ_BOARDS:
        chosen = load_board(name)
        try:
            check_board(target, chosen)
            boards.append(chosen)
        except SystolithError as error:
            if board:
                raise
            notes.append(f"no script: {error}")
    with ProgressLog(error_console()) as log:
        log.stage(f"generating {target.name}")
        try:
            core = write_core(target, out / "core", mhz=clock)
            paths = [
                *core.paths,
                *(p for one in boards for p in write_scripts(core, one, out, clock)),
            ]
        except OSError as error:
            raise SystolithError(f"{out}: cannot be written: {error.strerror}") from None
    lines = [core.vlnv, *(f"{path}: {path.stat().st_size:,} bytes" for path in paths), *notes]
    show("\n".join(lines))
