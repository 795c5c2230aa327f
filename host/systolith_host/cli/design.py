"""The command `systolith design`."""

import dataclasses
import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from systolith_host.boards.board import BOARDS, load_board, most_burst
from systolith_host.boards.report import least_memory
from systolith_host.cli.options import BatchOption, NetworkArgument
from systolith_host.cli.pictures import (
    FontSizeOption,
    WidthOption,
    check_pictures,
    picture_option,
    save_picture,
)
from systolith_host.cli.points import (
    WIDTH,
    check_confirm,
    confirm_points,
    point_progress,
    search_points,
)
from systolith_host.cli.views.config_form import config_toml
from systolith_host.cli.views.sweep import point_table
from systolith_host.errors import SystolithError
from systolith_host.explore.design import (
    FILL,
    GOALS,
    Target,
    dense_inputs,
    design_space,
    order,
    starts,
)
from systolith_host.explore.experiment import Experiment
from systolith_host.explore.results import Result, Results
from systolith_host.explore.space import AXES, Space
from systolith_host.explore.sweep import Runner
from systolith_host.extras import RTL, need
from systolith_host.flow.load import shape_network
from systolith_host.fpga.parts import PARTS, check_fits, load_part
from systolith_host.progress import ProgressLog
from systolith_host.terminal import SafeConsole, error_console
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import load_config

__all__ = ["design"]

_REPLAYED = 6
"""Of the best points by estimates so many are replayed; the best of those is taken."""


def design(
    network: NetworkArgument = "vgg16",
    board: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"The board whose FPGA, system and memory are the limits: {', '.join(BOARDS)}.",
        ),
    ] = None,
    link: Annotated[
        str, typer.Option(metavar="serial|ethernet", help="Link from host to board.")
    ] = "serial",
    part: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"An FPGA instead of a board, with --bandwidth: {', '.join(PARTS)}.",
        ),
    ] = None,
    bandwidth: Annotated[
        float | None,
        typer.Option(metavar="BYTES", help="Bytes per cycle that the memory gives, with --part."),
    ] = None,
    clock: Annotated[
        float,
        typer.Option(
            min=10,
            metavar="MHZ",
            help="Clock of all accelerators; `systolith build` says whether it is reached.",
        ),
    ] = 100,
    config: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE",
            help="Where the search begins; fields that it does not vary stay. It is compared with "
            "the best.",
        ),
    ] = "ecp5-85f-winograd",
    by: Annotated[
        str,
        typer.Option(metavar="|".join(GOALS), help="Best: " + ", or ".join(GOALS.values()) + "."),
    ] = "frames",
    max_dsp: Annotated[
        int | None, typer.Option(min=16, help="Most multipliers of the accelerator.")
    ] = None,
    fill: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            help="Share of the LUTs and FFs that may be used; fuller FPGAs miss their clocks.",
        ),
    ] = FILL,
    batch: BatchOption = 1,
    density: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            metavar="SHARE",
            help="Share of the inputs of fully connected layers that are active. Below 1 the "
            "search also tries units that gather weights.",
        ),
    ] = 1.0,
    points: Annotated[int, typer.Option(min=1, help="Accelerators that are estimated.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the search.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Folder of the configuration and of all points; the same search continues there.",
        ),
    ] = Path("design"),
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Run the best one in the RTL, too.")
    ] = False,
    picture: Annotated[
        list[Path] | None, picture_option("the points with their Pareto front")
    ] = None,
    width: WidthOption = 180,
    font_size: FontSizeOption = 8,
) -> None:
    """Find the best accelerator for a network on a board, or on an FPGA.

    The search varies the array, the buffers, Winograd's tiles, the lanes that requantise and the
    bus, within what fits beside the board's own system by estimate, and with the memory that the
    board gives. The best points are replayed to the cycle. The best of all is written as a
    configuration to build.
    """
    need("design", "explore", "numba")
    if confirm:
        need("--confirm", "sim", *RTL)
    if by not in GOALS:
        raise SystolithError(f"--by must be one of {', '.join(GOALS)}, not {by!r}")
    size = check_pictures(picture or [], width, font_size)
    base = load_config(config)
    target, place = _target(board, link, part, bandwidth, clock, fill, max_dsp)
    qgraph = shape_network(network, functions=bool(base.functions))
    space = design_space(base, target, dense_inputs(qgraph) if density < 1 else 0, density)
    if confirm:
        check_confirm(space)
    console = SafeConsole() if sys.stdout.isatty() else SafeConsole(width=WIDTH)
    results = Results(out, Experiment.of(network, base, list(space.axes), batch))
    with Runner(results, workers=workers) as runner:
        found = search_points(
            runner,
            space,
            points,
            seed,
            start=starts(space),
            costs=lambda result: (result.estimated_cycles, result.estimated_bytes),
        )
        ranked = sorted((one for one in found if not one.reason), key=lambda r: order(by, r))
        if not ranked:
            reason = found[0].reason if found else "there is none"
            raise SystolithError(f"no accelerator fits {place}: {reason}")
        _replay(runner, space, ranked[:_REPLAYED])
    exact = [results.done[one.key] for one in ranked[:_REPLAYED]]
    ranked = sorted(exact, key=lambda r: order(by, r, replayed=True))
    best = ranked[0]
    chosen = space.point(best.values).config
    assert chosen is not None
    chosen = dataclasses.replace(chosen, name=_name(network, place))
    console.print(
        f"{network}, batch {batch}, on {place}: {clock:g} MHz (wanted, not yet placed), "
        f"{target.bandwidth:.4g} bytes per cycle, {len(found):,} points",
        highlight=False,
        soft_wrap=True,
    )
    axes = [axis for axis in AXES if len(space.axes.get(axis, ())) > 1]
    speed = {"frames/s": lambda one: f"{_frames(one.known_cycles, clock, batch):,.2f}"}
    console.print(point_table(ranked, axes, speed))
    _compare(console, network, base, target, best, clock, batch, density)
    if board is not None:
        _check_memory(console, network, board, bool(base.functions))
    path = out / f"{chosen.name}.toml"
    try:
        path.write_text(config_toml(chosen), "utf-8")
    except OSError as error:
        raise SystolithError(f"{path}: cannot be written: {error.strerror}") from None
    console.print(f"{path}: the best one. Next:", highlight=False, soft_wrap=True)
    if board is not None:
        wanted = f" --link {link}" if link != "serial" else ""
        console.print(
            f"  systolith build --board {board}{wanted} --config {path} --clock {clock:g} "
            f"--out {out / 'build'}",
            highlight=False,
            soft_wrap=True,
        )
    console.print(
        f"  systolith report {network} --config {path} --batch {batch} --sweep {out} --out "
        f"{out / 'report.html'}",
        highlight=False,
        soft_wrap=True,
    )
    if size is not None:
        from systolith_host.visual.single import front_picture
        from systolith_host.visual.sweep import make_sweep

        tried = [results.done[one.key] for one in found]
        save_picture(front_picture(make_sweep(out, results.experiment, tried)), picture or [], size)
    if confirm:
        confirm_points(console, network, batch, space, [best], 1)


def _target(
    board: str | None,
    link: str,
    part: str | None,
    bandwidth: float | None,
    clock: float,
    fill: float,
    max_dsp: int | None,
) -> tuple[Target, str]:
    """Return what limits the search, and its name."""
    if (board is None) == (part is None):
        raise SystolithError("give either --board NAME, or --part NAME and --bandwidth BYTES")
    if board is not None:
        if bandwidth is not None:
            raise SystolithError("--bandwidth: a board's memory is known; leave it out")
        chosen = load_board(board, link)
        rate = chosen.read_rate / clock
        limits = (fill, max_dsp, most_burst(chosen.native_bytes))
        return Target(load_part(chosen.part), rate, chosen.system, *limits), chosen.name
    assert part is not None
    if bandwidth is None or not math.isfinite(bandwidth):
        raise SystolithError("--part needs --bandwidth, the bytes per cycle of its memory")
    return Target(load_part(part), bandwidth, {}, fill, max_dsp), part


def _check_memory(console: SafeConsole, network: str, board: str, functions: bool) -> None:
    need, there = least_memory(shape_network(network, functions=functions)), BOARDS[board]
    if need > there.memory_bytes:
        console.print(
            f"{network} needs {need >> 20} MB, {there.title} has {there.memory_bytes >> 20} MB: it "
            "does not run there as a whole",
            highlight=False,
            soft_wrap=True,
        )


def _name(network: str, place: str) -> str:
    stem = Path(network).stem if network.endswith(".onnx") else network
    return re.sub(r"[^A-Za-z0-9_-]+", "-", f"{stem}-{place}")


def _replay(runner: Runner, space: Space, best: Sequence[Result]) -> None:
    todo = [space.point(one.values) for one in best if not one.exact]
    with point_progress() as progress:
        task = progress.add_task("exact cycles", total=len(todo))
        runner.replay(todo, lambda _: progress.advance(task))


def _frames(cycles: int, clock: float, batch: int) -> float:
    return batch * clock * 1e6 / cycles


def _compare(
    console: SafeConsole,
    network: str,
    base: AcceleratorConfig,
    target: Target,
    best: Result,
    clock: float,
    batch: int,
    density: float,
) -> None:
    """Say what the configuration takes with which the search began, and whether it would fit."""
    from systolith_host.cost.estimate import estimate_network  # imports numba
    from systolith_host.fpga.estimate import estimate

    rate = min(target.bandwidth, base.bus_bytes)
    try:
        check_fits(base.name, estimate(base), target.room)
        memory = Memory(bytes_per_cycle=rate)
        with ProgressLog(error_console()) as log:
            log.stage(f"replaying {base.name}")
            report = estimate_network(network, base, memory, batch, density=density, log=log)
            whole = report.groups["all"]
    except SystolithError as error:
        console.print(f"{base.name} is no choice there: {error}", highlight=False, soft_wrap=True)
        return
    cycles = whole.cycles or 0
    traffic = (whole.bytes_read or 0) + (whole.bytes_written or 0)
    console.print(
        f"{base.name}: {_frames(cycles, clock, batch):,.2f} frames/s, {cycles:,} cycles, "
        f"{traffic / 1e6:.2f} MB; the best one takes {best.known_cycles / cycles:.2f} of the "
        f"cycles and {best.known_bytes / traffic:.2f} of the bytes",
        highlight=False,
        soft_wrap=True,
    )
