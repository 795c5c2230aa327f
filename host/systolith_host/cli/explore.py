"""The command `systolith explore`."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

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
from systolith_host.cli.views.sweep import show_sweep
from systolith_host.errors import SystolithError
from systolith_host.explore.experiment import Experiment
from systolith_host.explore.rank import ORDERS
from systolith_host.explore.results import Result, Results
from systolith_host.explore.space import AXES, Point, Space, parse_values, read_sweep
from systolith_host.explore.sweep import Runner, replay_best
from systolith_host.extras import RTL, need
from systolith_host.flow.load import shape_network
from systolith_host.fpga.parts import PARTS, load_part
from systolith_host.terminal import SafeConsole
from systolith_hw.spec.presets import load_config

__all__ = ["explore"]

ASK_ABOVE = 2_000
"""Points that are run without a question."""

REFUSE_ABOVE = 1_000_000
"""Points that are not run at all; a sample of them may be."""


def _axis(name: str) -> typer.models.OptionInfo:
    return typer.Option(
        f"--{name.replace('_', '-')}",
        metavar="VALUES",
        help=f"{AXES[name][0].upper()}{AXES[name][1:]}.",
    )


def explore(
    network: NetworkArgument = "vgg16",
    config: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE", help="The configuration; fields without an axis keep its values."
        ),
    ] = "default",
    sweep: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Axes in a TOML file, e.g. rows = [8, 16]."),
    ] = None,
    rows: Annotated[str | None, _axis("rows")] = None,
    cols: Annotated[str | None, _axis("cols")] = None,
    bandwidth: Annotated[str | None, _axis("bandwidth")] = None,
    act_buffer: Annotated[str | None, _axis("act_buffer")] = None,
    weight_buffer: Annotated[str | None, _axis("weight_buffer")] = None,
    acc_depth: Annotated[str | None, _axis("acc_depth")] = None,
    winograd: Annotated[str | None, _axis("winograd")] = None,
    gather: Annotated[str | None, _axis("gather")] = None,
    post_lanes: Annotated[str | None, _axis("post_lanes")] = None,
    bus_bytes: Annotated[str | None, _axis("bus_bytes")] = None,
    latency: Annotated[str | None, _axis("latency")] = None,
    turnaround: Annotated[str | None, _axis("turnaround")] = None,
    outstanding: Annotated[str | None, _axis("outstanding")] = None,
    density: Annotated[str | None, _axis("density")] = None,
    weight_bits: Annotated[str | None, _axis("weight_bits")] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, help="Only so many points, chosen at random.")
    ] = None,
    search: Annotated[
        int | None,
        typer.Option(
            min=1, help="Look for the Pareto front instead, running at most so many points."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sample or search.")] = 0,
    batch: BatchOption = 1,
    max_multipliers: Annotated[
        int | None, typer.Option(min=1, help="Leave out points with more multipliers.")
    ] = None,
    max_memory: Annotated[
        str | None,
        typer.Option(metavar="BYTES", help="Leave out points with more bytes of buffers."),
    ] = None,
    fits: Annotated[
        str | None,
        typer.Option(
            metavar="PART",
            help=f"Leave out points that do not fit an FPGA: {', '.join(PARTS)}.",
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(
            help="Folder of the results, points.csv and layers.csv; the same sweep continues there."
        ),
    ] = Path("sweep"),
    workers: Annotated[int, typer.Option(min=1, help="Processes on this machine.")] = 2,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Use the workers of a dask scheduler. Whoever reaches one can run code on its "
            "machines: use tls://, see docs/explorer.md.",
        ),
    ] = None,
    exact: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Replay every cycle of N points, those of the Pareto front first; 0 leaves "
            "estimates only. Default: all points where that takes less than a minute, else 10.",
        ),
    ] = None,
    by: Annotated[
        str,
        typer.Option(
            metavar="|".join(ORDERS),
            help="Order of the points and first cost of the Pareto front: "
            + ", or ".join(ORDERS.values())
            + ". Only replayed points have energies: see --exact.",
        ),
    ] = "cycles",
    confirm: Annotated[
        int, typer.Option(min=0, help="Run so many of the fastest points in the RTL.")
    ] = 0,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before large sweeps.")] = False,
    picture: Annotated[
        list[Path] | None, picture_option("the points with their Pareto front")
    ] = None,
    width: WidthOption = 180,
    font_size: FontSizeOption = 8,
) -> None:
    """Sweep arrays, buffers and memory bandwidths: what each does to cycles and traffic.

    Every point is compiled, which estimates its cycles (~); then as many as --exact says are
    replayed, to the cycle. VALUES are a list, 8,16,32, a range that doubles, 32K..512K, or a
    range with a step, "4..16 step 4".
    """
    given = {
        "rows": rows,
        "cols": cols,
        "bandwidth": bandwidth,
        "act_buffer": act_buffer,
        "weight_buffer": weight_buffer,
        "acc_depth": acc_depth,
        "winograd": winograd,
        "gather": gather,
        "post_lanes": post_lanes,
        "bus_bytes": bus_bytes,
        "latency": latency,
        "turnaround": turnaround,
        "outstanding": outstanding,
        "density": density,
        "weight_bits": weight_bits,
    }
    need("explore", "explore")
    if scheduler is not None:
        need("--scheduler", "cluster")
    if confirm:
        need("--confirm", "sim", *RTL)
    if by not in ORDERS:
        raise SystolithError(f"--by must be one of {', '.join(ORDERS)}, not {by!r}")
    if by != "cycles" and exact == 0:
        raise SystolithError(f"--by {by} needs replayed points: leave out --exact 0")
    size = check_pictures(picture or [], width, font_size)
    base = load_config(config)
    shape_network(network, functions=bool(base.functions))
    axes = read_sweep(sweep) if sweep else {}
    axes |= {name: parse_values(name, text) for name, text in given.items() if text is not None}
    if not axes:
        raise SystolithError("nothing to vary: give an axis, e.g. --bandwidth 2,4,8,16")
    memory = _bytes("max_memory", max_memory) if max_memory is not None else None
    if search is not None and sample is not None:
        raise SystolithError("--sample and --search exclude each other: give one of them")
    part = load_part(fits) if fits is not None else None
    space = Space(base, axes, max_multipliers, memory, part)
    if confirm:
        check_confirm(space)
    count = min(space.size, sample or search or space.size)
    _ask(space.size, count, yes)
    console = SafeConsole() if sys.stdout.isatty() else SafeConsole(width=WIDTH)
    results = Results(out, Experiment.of(network, space.base, list(axes), batch))
    before = len(results.done)
    started = time.monotonic()
    points = [] if search is not None else list(space.points(sample, seed))
    with Runner(results, workers=min(workers, count), scheduler=scheduler) as runner:
        if search is not None:
            found = search_points(runner, space, search, seed)
        else:
            found = _run(runner, points)
        seconds = time.monotonic() - started
        found = _replay(runner, space, found, exact, workers)
    new = len(results.done) - before
    show_sweep(console, found, by)
    speed = f"{new:,} new in {seconds:,.0f} s, {new / seconds:.2f} a second" if new else "none new"
    console.print(
        f"{network}, batch {batch}: {len(found):,} points, {speed}; results in {out}",
        highlight=False,
    )
    if all(result.reason for result in found):
        raise SystolithError(f"none of the {len(found):,} points can be built or run")
    if size is not None:
        from systolith_host.visual.single import front_picture
        from systolith_host.visual.sweep import make_sweep

        drawn = front_picture(make_sweep(out, results.experiment, found))
        save_picture(drawn, picture or [], size)
    if confirm:
        confirm_points(console, network, batch, space, found, confirm)


def _bytes(option: str, text: str) -> int:
    """Return the number that an option names.

    Raises
    ------
    SystolithError
        If it names none, or more than one.
    """
    values = parse_values(option, text)
    if len(values) != 1:
        raise SystolithError(f"--{option.replace('_', '-')}: must be one number, not {text!r}")
    return int(values[0])


def _ask(size: int, count: int, yes: bool) -> None:
    """Let nobody begin what would never end.

    Raises
    ------
    SystolithError
        If there are too many points, or nobody said that so many are meant.
    """
    if count > REFUSE_ABOVE:
        raise SystolithError(
            f"the sweep has {size:,} points, the limit is {REFUSE_ABOVE:,}; "
            "use fewer values or --sample 1000"
        )
    if count <= ASK_ABOVE or yes:
        return
    text = f"the sweep has {count:,} points, each of which takes a second or more"
    if not sys.stdin.isatty():
        raise SystolithError(f"{text}; add --yes if that is meant, or --sample 1000")
    typer.confirm(f"{text[0].upper()}{text[1:]}. Run them all?", abort=True, err=True)


def _run(runner: Runner, points: Sequence[Point]) -> list[Result]:
    with point_progress() as progress:
        task = progress.add_task("points", total=len(points))
        return runner.run(points, lambda _: progress.advance(task))


def _replay(
    runner: Runner, space: Space, found: Sequence[Result], limit: int | None, workers: int
) -> list[Result]:
    with point_progress() as progress:
        task = progress.add_task("exact cycles", total=None, visible=False)

        def told(what: str, done: float, total: float) -> None:
            progress.update(task, description=what, completed=done, total=total, visible=True)

        return replay_best(runner, space, found, limit, workers, told)
