"""The commands of the C driver: header, driver, image, simulate."""

from pathlib import Path
from typing import Annotated

import typer

from systolith_host.cli.options import (
    DEFAULT_LATENCY,
    AcceleratorOption,
    BandwidthOption,
    LatencyOption,
    TurnaroundOption,
)
from systolith_host.cli.output import check_targets, complain, save, show
from systolith_host.drivers.header import c_header
from systolith_host.drivers.image import write_image
from systolith_host.drivers.sources import write_driver
from systolith_host.errors import SystolithError
from systolith_host.extras import RTL, need
from systolith_host.package.zynq import ZYNQ_BOARDS, load_board
from systolith_host.program.program import Program
from systolith_host.progress import ProgressLog
from systolith_host.terminal import error_console
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import load_config

__all__ = ["driver", "header", "image", "simulate"]

ConfigOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE",
        help="Also write the numbers of this accelerator: a preset or a TOML file.",
    ),
]


def header(
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File for the header. Default: standard output."),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Write a C header: registers, instruction set, program images.

    It is the same for all configurations; --config adds one's own numbers.
    """
    check_targets(out)
    text = c_header(_chosen(config))
    if out is None:
        typer.echo(text, nl=False)
        return
    save(out, text)
    show(f"{out}: {out.stat().st_size:,} bytes")


def driver(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the sources.")],
    config: ConfigOption = None,
    board: Annotated[
        str | None,
        typer.Option(help=f"Also a device tree overlay for it: {', '.join(ZYNQ_BOARDS)}."),
    ] = None,
) -> None:
    """Write the C driver: its sources, back ends, header, an example and a Makefile.

    docs/reference/driver.md describes it.
    """
    zynq = None if board is None else load_board(board)
    for path in write_driver(out, _chosen(config), zynq):
        show(f"{path}: {path.stat().st_size:,} bytes")


def image(
    program: Annotated[
        Path, typer.Argument(metavar="PROGRAM", help="A file of `systolith compile`.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="File for the image.")],
) -> None:
    """Turn a program file into an image that the C driver loads."""
    check_targets(out)
    loaded = Program.load(program)
    size = write_image(loaded, out)
    show(
        f"{out}: {size:,} bytes: {loaded.network}, batch {loaded.batch}, for {loaded.config.name} "
        f"({loaded.config.fingerprint:016x}): {len(loaded.layers)} layers, "
        f"{loaded.memory_size:,} bytes of memory"
    )


def simulate(
    socket: Annotated[
        Path, typer.Option(metavar="PATH", help="Where the Unix socket is to be; it is removed.")
    ],
    config: AcceleratorOption = "default",
    device: Annotated[
        str, typer.Option(metavar="rtl|emulator", help="What is behind the socket.")
    ] = "rtl",
    memory: Annotated[
        int, typer.Option(min=64, max=1 << 34, metavar="BYTES", help="External memory.")
    ] = 1 << 26,
    base: Annotated[
        int,
        typer.Option(min=0, metavar="ADDRESS", help="Where the accelerator sees that memory."),
    ] = 0,
    bandwidth: BandwidthOption = None,
    latency: LatencyOption = DEFAULT_LATENCY,
    turnaround: TurnaroundOption = 0,
) -> None:
    """Serve a simulated accelerator to the C driver's back end for sockets.

    Each connection gets an accelerator of its own, one after the other, until it is interrupted.
    """
    from systolith_host.drivers.listen import emulated, listener, simulated

    target = load_config(config)
    if base + memory > 1 << target.addr_width:
        raise SystolithError(
            f"--memory and --base: the memory ends at {base + memory:#x}, but addresses of "
            f"{target.name} have {target.addr_width} bits"
        )
    if device == "emulator":
        serve_one = emulated(target, memory, base)
    elif device == "rtl":
        need("simulate --device rtl", "sim", *RTL)
        from systolith_sim.rtl.simulator import accelerator_build

        timing = Memory(latency=latency, bytes_per_cycle=bandwidth, turnaround=turnaround)
        with ProgressLog(error_console()) as log:
            log.stage("building the simulator")
            build = accelerator_build(target, progress=log.message)
        serve_one = simulated(build, target, memory, timing, base)
    else:
        raise SystolithError(f"--device must be rtl or emulator, not {device!r}")
    with listener(socket) as listening:
        show(f"--socket {socket}")
        while True:
            connection, _ = listening.accept()
            with connection:
                if problem := serve_one(connection):
                    complain(problem, "warning")


def _chosen(config: str | None) -> AcceleratorConfig | None:
    return None if config is None else load_config(config)
