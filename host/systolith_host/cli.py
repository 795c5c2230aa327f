"""The command line: run, compile, info, generate, configs."""

import signal
import sys
import threading
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, RenderableType
from typer.exceptions import TyperException

from systolith_host.commands import board as board_commands
from systolith_host.commands.area import area
from systolith_host.commands.report import report as report_command
from systolith_host.errors import SystolithError
from systolith_host.explore.command import explore
from systolith_host.model.vgg import NETWORKS
from systolith_host.package.command import package
from systolith_host.pipeline import (
    Prepared,
    check_program,
    load_graph,
    make_report,
    network_name,
    prepare,
    select_layers,
)
from systolith_host.program import Program
from systolith_host.progress import ProgressLog
from systolith_host.runtime.board import BoardRun, check_board, find_system, run_on_board
from systolith_host.runtime.overlay import find_overlay, run_on_overlay
from systolith_host.runtime.remote import run_remote
from systolith_host.runtime.session import DeviceOptions, Outcome, build_device, plan_jobs, run_jobs
from systolith_host.runtime.simulate import MemoryTiming
from systolith_host.schedule import compile_network
from systolith_host.tables import config_table, network_table, noise_table, report_table
from systolith_hw.spec.config import AcceleratorConfig, ConfigError
from systolith_hw.spec.presets import PRESETS, load_config

__all__ = ["app", "main"]

MISMATCH = 1
MISUSE = 2
INTERRUPTED = 130
TERMINATED = 143
"""Exit statuses."""

_TABLE_WIDTH = 150

app = typer.Typer(
    name="systolith",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="A generator of systolic CNN accelerators, with the tools to run networks on them.",
    epilog="Start with [bold]systolith run vgg16[/bold]; every command explains itself: --help",
)


class Simulator(StrEnum):
    """What simulates the RTL."""

    VERILATOR = "verilator"
    ICARUS = "icarus"


class Method(StrEnum):
    """How calibration chooses ranges (quantize.calibrate.METHODS)."""

    MINMAX = "minmax"
    PERCENTILE = "percentile"
    MSE = "mse"


NetworkArgument = Annotated[
    str,
    typer.Argument(
        help=f"A built-in network ({', '.join(NETWORKS)}) or an ONNX file (model.onnx).",
        show_default=True,
    ),
]
ImageOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--image",
        metavar="FILE",
        help="A photograph, or inputs as a NumPy file (.npy); repeat it for a batch. "
        "Default: scikit-learn's china.jpg, flower.jpg.",
    ),
]
CalibrateOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--calibrate",
        metavar="FILE|DIR",
        help="Photographs, NumPy files or folders of them that the scales are calibrated on; "
        "repeat it for more. Default: the images of the run.",
    ),
]
WeightsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Torchvision's state dict of the network, .safetensors or .pth (.pth needs PyTorch). "
        "Default: random weights, He scaling.",
    ),
]
MethodOption = Annotated[
    Method,
    typer.Option(
        "--calibration",
        help="Range of a tensor: all values, all but 0.01 % at each end, or the one with the least "
        "mean-squared error.",
    ),
]
EqualiseOption = Annotated[
    bool | None,
    typer.Option(
        "--equalise/--no-equalise",
        help="Scale channels across layers where that lowers the noise, measured; the float "
        "network stays the same. Default: with --calibrate.",
        show_default=False,
    ),
]
CorrectOption = Annotated[
    bool | None,
    typer.Option(
        "--correct-bias/--no-correct-bias",
        help="Take the mean error of each channel on the calibration images out of its bias. "
        "Default: with --calibrate.",
        show_default=False,
    ),
]
ConfigOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE",
        help="The accelerator: a preset (see `systolith configs`) or a TOML file. "
        "Default: default, or what --program was compiled for.",
    ),
]
BatchOption = Annotated[int, typer.Option(min=1, max=256, help="Images of a run.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Of the random weights.")]


@app.command(
    epilog="Examples:\n\n"
    "  systolith run vgg16 --device emulator\n\n"
    "  systolith run mini --config tiny --sequential --waves conv1_1\n\n"
    "  systolith run vgg16 --image cat.jpg --weights vgg16.safetensors --layers conv3_1..fc6\n\n"
    "  systolith run model.onnx --calibrate photographs/ --image cat.jpg\n\n"
    "  systolith run vgg16 --config large --bandwidth 8 --json large.json"
)
def run(
    network: NetworkArgument = "vgg16",
    image: ImageOption = None,
    calibrate: CalibrateOption = None,
    calibration: MethodOption = Method.MINMAX,
    equalise: EqualiseOption = None,
    correct_bias: CorrectOption = None,
    weights: WeightsOption = None,
    config: ConfigOption = None,
    device: Annotated[
        str,
        typer.Option(
            metavar="rtl|emulator|litex://HOST:PORT|pynq:FILE.bit",
            help="The RTL in a simulator, the program emulated in NumPy, a board behind "
            "litex_server, or the Zynq board that this runs on.",
        ),
    ] = "rtl",
    board: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="What `systolith build` wrote, for --device litex."),
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Only these layers: names and ranges, e.g. conv1_1,conv3_1..conv4_2.",
        ),
    ] = None,
    batch: BatchOption = 1,
    waves: Annotated[
        str | None,
        typer.Option(
            metavar="LAYER",
            help="Write this layer's waveforms to LAYER.vcd (a gigabyte soon: take a small one).",
        ),
    ] = None,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the report as JSON, too.")
    ] = None,
    seed: SeedOption = 0,
    noise: Annotated[
        bool,
        typer.Option("--noise", help="Show what quantisation costs: signal to noise by layer."),
    ] = False,
    sequential: Annotated[
        bool,
        typer.Option(
            "--sequential",
            help="One device, each layer taking what its predecessor left in memory. "
            "Without it layers run side by side from the golden model's tensors.",
        ),
    ] = False,
    fuse_pool: Annotated[
        bool,
        typer.Option(
            help="Pool while a convolution drains, so that its own output never reaches memory. "
            "Without it every layer writes its output, and each of them is compared.",
        ),
    ] = True,
    jobs: Annotated[
        int, typer.Option(min=1, max=256, help="Layers that run side by side on this machine.")
    ] = 2,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Run layers on the workers of a dask scheduler, e.g. tcp://10.0.0.1:8786.",
        ),
    ] = None,
    bandwidth: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            max=1024,
            metavar="BYTES",
            help="Of the memory, in bytes per cycle. Default: the width of the bus.",
        ),
    ] = None,
    latency: Annotated[
        int, typer.Option(min=2, max=100_000, help="Of the memory, in cycles.")
    ] = 40,
    turnaround: Annotated[
        int,
        typer.Option(min=0, max=64, help="Of the memory between reads and writes, in cycles."),
    ] = 0,
    clock: Annotated[
        float, typer.Option(min=0.001, max=1e5, metavar="MHZ", help="For the frames per second.")
    ] = 150.0,
    simulator: Annotated[
        Simulator, typer.Option(help="Icarus is slow: for the smallest networks.")
    ] = Simulator.VERILATOR,
    save_program: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep the compiled program in this file.")
    ] = None,
    program: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Run this program instead of compiling one; give the same network, weights, "
            "images, calibration and seed as when it was saved.",
        ),
    ] = None,
) -> None:
    """Run a network on the accelerator and compare every layer with the golden model.

    The photographs go through a quantised network, int8 throughout: once through the golden model
    (NumPy, whole tensors), once through the accelerator, as the RTL in a simulator or emulated.
    The report says of each layer how many cycles and bytes it took, what the array waited for, and
    how many values differ from the golden model's: none.

    Exit status: 0 if every value is equal, 1 if not, 2 if the command or a file is wrong.
    """
    rtl = device == "rtl"
    overlay = find_overlay(device)
    system = find_system(device, board) if overlay is None else None
    on_board = system is not None or overlay is not None
    if overlay is not None and board is not None:
        raise SystolithError("--board is for --device litex; pynq's bitstream is in --device")
    chosen = load_config(config) if config is not None else None
    loaded = Program.load(program) if program is not None else None
    if loaded is not None:
        assert program is not None
        check_program(loaded, program, network_name(network), batch, chosen)
    if scheduler is not None and sequential:
        raise SystolithError("--scheduler spreads layers, --sequential does not: choose one")
    if scheduler is not None and on_board:
        raise SystolithError("--scheduler spreads layers, a board runs them all: choose one")
    target = loaded.config if loaded is not None else chosen or PRESETS["default"]
    with ProgressLog(Console(stderr=True)) as log:
        prepared = _prepare(
            network,
            image,
            calibrate,
            weights,
            seed,
            batch,
            target,
            log,
            calibration,
            equalise,
            correct_bias,
            noise,
        )
        if loaded is None:
            log.stage("compiling")
            loaded = compile_network(
                prepared.qgraph,
                target,
                batch,
                fuse_pool=fuse_pool,
                memory_rate=bandwidth if system is None else system.memory_rate,
                memory_latency=latency,
                memory_turnaround=turnaround,
                progress=log.update,
            )
        if save_program is not None:
            loaded.save(save_program)
        selected = select_layers(loaded, layers)
        traced = select_layers(loaded, waves)[0].name if waves is not None else None
        if traced is not None and not rtl:
            raise SystolithError("--waves needs --device rtl: no other device shows its signals")
        if traced is not None and traced not in {layer.name for layer in selected}:
            raise SystolithError(f"--waves: {traced} is not among the --layers that run")
        options = DeviceOptions(
            kind="rtl" if rtl else "emulator",
            simulator=simulator.value,
            memory=MemoryTiming(latency=latency, bytes_per_cycle=bandwidth, turnaround=turnaround),
            waves=traced,
            waves_path=Path(f"{traced}.vcd") if traced is not None else None,
        )
        # A board holds one program: its layers follow each other.
        one = sequential or on_board
        if system is not None:
            check_board(loaded, system)
        work = plan_jobs(selected, prepared.tensors, sequential=one, parts=loaded.parts)
        if scheduler is None and not on_board:
            log.stage("building the simulator")
            build_device(loaded, options, log.message)
        start = time.monotonic()
        log.stage("simulating" if rtl else "connecting" if on_board else "emulating")
        predicted = {layer.name: layer.predicted_cycles for layer in selected}
        tracker = _Tracker(log, predicted, one_at_a_time=one)
        if system is not None:
            where = BoardRun(device, system, log.stage, log.update, log.message)
            outcomes = run_on_board(loaded, work[0], where, tracker.at, tracker.done)
        elif overlay is not None:
            outcomes, clock = run_on_overlay(
                loaded, work[0], overlay, tracker.at, tracker.done, log.message
            )
        elif scheduler is not None:
            outcomes = run_remote(
                loaded, work, options, scheduler, tracker.at, tracker.done, log.message
            )
        else:
            outcomes = run_jobs(loaded, work, options, jobs, tracker.at, tracker.done, log.message)
        wall = time.monotonic() - start
    memory = options.memory.described(target.bus_bytes) if rtl else None
    if system is not None:
        bandwidth, clock = system.memory_rate, system.accelerator_hz / 1e6
        memory = f"{system.memory_type}, at most {bandwidth:g} bytes per cycle"
    report = make_report(
        prepared,
        loaded,
        outcomes,
        device=f"rtl ({simulator.value})" if rtl else device,
        counts_cycles=rtl or on_board,
        clock_mhz=clock,
        memory_rate=bandwidth if memory is not None else None,
        memory=memory,
        wall_seconds=wall,
    )
    if json is not None:
        report.save(json)
    _show(report_table(report))
    if noise:
        _show(noise_table(prepared.noise))
    if report.groups["all"].mismatches:
        if program is not None:
            _complain(
                f"{program} may have been made with other weights, images, calibration or seed"
            )
        raise typer.Exit(MISMATCH)


@app.command(
    "compile",
    epilog="Examples:\n\n"
    "  systolith compile vgg16 --out vgg16.program\n\n"
    "  systolith compile vgg16 --explain conv4_2 --json conv4_2.json",
)
def compile_(
    network: NetworkArgument = "vgg16",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where the program goes.")
    ] = None,
    explain: Annotated[
        str | None,
        typer.Option(
            metavar="LAYER",
            help="Show why this layer is tiled as it is, what others would cost, and what it "
            "needs of every buffer. Nothing is calibrated unless --out asks for the program, too.",
        ),
    ] = None,
    json: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write the explanation as JSON, too."),
    ] = None,
    image: ImageOption = None,
    calibrate: CalibrateOption = None,
    calibration: MethodOption = Method.MINMAX,
    equalise: EqualiseOption = None,
    correct_bias: CorrectOption = None,
    weights: WeightsOption = None,
    config: ConfigOption = None,
    batch: BatchOption = 1,
    seed: SeedOption = 0,
) -> None:
    """Compile a network to a program file: instructions, packed weights and the memory map.

    It runs with `systolith run --program FILE`. The photographs serve to calibrate the scales.
    """
    if out is None and explain is None:
        raise SystolithError("compile needs --out FILE for the program, or --explain LAYER")
    if json is not None and explain is None:
        raise SystolithError("--json is for the explanation of a layer: add --explain LAYER")
    target = load_config(config or "default")
    if explain is not None:
        _explain(network, target, explain, batch, json)
    if out is None:
        return
    with ProgressLog(Console(stderr=True)) as log:
        prepared = _prepare(
            network,
            image,
            calibrate,
            weights,
            seed,
            batch,
            target,
            log,
            calibration,
            equalise,
            correct_bias,
        )
        log.stage("compiling")
        program = compile_network(prepared.qgraph, target, batch, progress=log.update)
        program.save(out)
    instructions = sum(layer.instruction_count for layer in program.layers)
    cycles = sum(layer.predicted_cycles for layer in program.layers)
    _show(
        f"{out}: {network}, batch {batch}, for {target.name} ({target.fingerprint:016x}): "
        f"{instructions:,} instructions, {program.memory_size / 1e6:,.1f} MB of memory, "
        f"{cycles:,} cycles predicted"
    )


@app.command()
def info(network: NetworkArgument = "vgg16") -> None:
    """Show a network's layers: activations, weights and multiply-accumulates, and their totals."""
    _show(network_table(load_graph(network)))


@app.command()
def check(
    model: Annotated[Path, typer.Argument(metavar="FILE", help="An ONNX file.")],
) -> None:
    """Say whether an ONNX network can run, and name every node that stands in the way.

    Exit status: 0 if it can, 1 if not, 2 if the file is damaged.
    """
    from systolith_host.model.onnx import inspect_onnx  # onnx takes a moment to import

    network, problems = inspect_onnx(model)
    if network is not None:
        _show(f"{model}: can run: {network.summary}")
        return
    for problem in problems:
        _show(str(problem))
    _show(f"{model}: cannot run: {len(problems)} nodes stand in the way")
    raise typer.Exit(MISMATCH)


@app.command()
def export(
    network: Annotated[
        str, typer.Argument(help="alexnet, resnet18, squeezenet1_1, vgg11_bn or vgg16.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the model goes.")],
    size: Annotated[int, typer.Option(min=64, max=1024, help="Pixels of a side.")] = 224,
    seed: SeedOption = 0,
) -> None:
    """Write a well-known network as an ONNX file with random weights, to try things out."""
    from systolith_host.model.zoo import build_onnx  # onnx takes a moment to import

    model = build_onnx(network, seed=seed, size=size)
    try:
        out.write_bytes(model.SerializeToString())
    except OSError as error:
        raise SystolithError(f"{out}: cannot be written: {error.strerror}") from None
    _show(f"{out}: {out.stat().st_size:,} bytes, {len(model.graph.node)} nodes")


@app.command()
def generate(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the files.")],
    config: Annotated[str, typer.Option(metavar="NAME|FILE")] = "default",
) -> None:
    """Write the accelerator as Verilog, for synthesis and for simulation, and a JSON of facts."""
    from systolith_hw.generate import GenerateError, write_accelerator  # takes a second to import

    target = load_config(config)
    with ProgressLog(Console(stderr=True)) as log:
        log.stage(f"generating {target.name}")
        try:
            paths = write_accelerator(target, out)
        except GenerateError as error:
            raise SystolithError(str(error)) from None
        except OSError as error:
            raise SystolithError(f"{out}: cannot be written: {error.strerror}") from None
    for path in paths:
        _show(f"{path}: {path.stat().st_size:,} bytes")


@app.command()
def timing(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for netlist, logs and report.json.")
    ],
    config: Annotated[str, typer.Option(metavar="NAME|FILE")] = "ecp5-85f",
    part: Annotated[str, typer.Option(help="The FPGA.")] = "lfe5u-85f-6",
    clock: Annotated[float, typer.Option(min=1, metavar="MHZ", help="The clock to reach.")] = 100,
    seeds: Annotated[int, typer.Option(min=1, max=64, help="Placements to try.")] = 3,
    first_seed: Annotated[int, typer.Option(min=1, help="Of them.")] = 1,
    jobs: Annotated[int, typer.Option(min=1, help="Placements at a time; 1 GB each.")] = 1,
    limit: Annotated[
        float, typer.Option(min=10, metavar="SECONDS", help="Of one place and route.")
    ] = 900,
) -> None:
    """Measure the accelerator on an FPGA: what it takes of the part, and how fast it is.

    It is synthesised, placed and routed between registers, without board, memory or host link.
    Exit status: 0 if the clock is met, 1 if it is missed.
    """
    from systolith_host.fpga.parts import GOWIN_PARTS, PARTS, load_part
    from systolith_host.fpga.tables import timing_table
    from systolith_host.fpga.timing import measure_timing

    target, fpga = load_config(config), load_part(part, PARTS | GOWIN_PARTS)
    with ProgressLog(Console(stderr=True)) as log:
        report = measure_timing(
            target,
            fpga,
            out,
            mhz=clock,
            seeds=range(first_seed, first_seed + seeds),
            jobs=jobs,
            limit=limit,
            stage=log.stage,
            ended=lambda one: log.message(
                f"seed {one.seed}, {one.router}: {one.result}"
                + (f", {one.mhz:.1f} MHz" if one.clocks else "")
                + f", {one.seconds:.0f} s"
            ),
        )
    report.save(out / "report.json")
    _show(timing_table(report))
    if not report.met:
        raise typer.Exit(MISMATCH)


app.command(
    epilog="Examples:\n\n"
    "  systolith explore vgg16 --bandwidth 2..32 --act-buffer 64K..512K\n\n"
    "  systolith explore vgg16 --rows 8,16,32 --cols 8,16,32 --bandwidth 4..32 --sample 100\n\n"
    "  systolith explore mini --config tiny --bandwidth 1..8 --confirm 1"
)(explore)

app.command(
    "report",
    epilog="Examples:\n\n"
    "  systolith report vgg16 --out report.html\n\n"
    "  systolith report vgg16 --measured run.json --sweep sweep --timeline conv5_2 --rtl\n\n"
    "  systolith report model.onnx --config large --bandwidth 8 --trace trace.json",
)(report_command)

app.command(epilog="Example:\n\n  systolith package --config ecp5-85f --out core")(package)
app.command(epilog="Example:\n\n  systolith area --config tiny --family xcup --out area")(area)


app.command(
    epilog="Examples:\n\n"
    "  systolith build --board ulx3s-85f --config tiny --out build/ulx3s\n\n"
    "  systolith build --board ecpix5-85f --clock 80 --seeds 8 --jobs 2 --out build/ecpix5"
)(board_commands.build)
app.command()(board_commands.program)
app.command()(board_commands.serve)


@app.command()
def configs() -> None:
    """List the configurations that have a name."""
    _show(config_table(PRESETS.values()))


class _Tracker:
    """Adds up the cycles of layers under way and ended, against what the compiler predicted."""

    def __init__(self, log: ProgressLog, predicted: dict[str, int], *, one_at_a_time: bool) -> None:
        self._log = log
        self._one_at_a_time = one_at_a_time
        self._predicted = predicted
        self._cycles = dict.fromkeys(predicted, 0)
        self._active: set[str] = set()

    def at(self, layer: str, cycles: int) -> None:
        """Note how far a layer is."""
        if self._one_at_a_time:  # the next layer says that the last one has ended
            for name in self._active - {layer}:
                self._cycles[name] = self._predicted[name]
            self._active.clear()
        self._active.add(layer)
        self._cycles[layer] = min(cycles, self._predicted[layer])
        self._show()

    def done(self, outcome: Outcome) -> None:
        """Note that a layer has ended."""
        self._active.discard(outcome.layer)
        self._cycles[outcome.layer] = self._predicted[outcome.layer]
        self._show()

    def _show(self) -> None:
        active = [name for name in self._predicted if name in self._active]
        done, total = sum(self._cycles.values()), sum(self._predicted.values())
        self._log.update(", ".join(active), done, total)


def _prepare(
    network: str,
    image: list[Path] | None,
    calibrate: list[Path] | None,
    weights: Path | None,
    seed: int,
    batch: int,
    config: AcceleratorConfig,
    log: ProgressLog,
    method: Method,
    equalise: bool | None,
    correct_bias: bool | None,
    noise: bool = False,
) -> Prepared:
    return prepare(
        network,
        images=image or (),
        calibration_images=calibrate or (),
        method=method.value,
        equalisation=equalise,
        correction=correct_bias,
        noise=noise,
        weights=weights,
        seed=seed,
        batch=batch,
        multiplier_width=config.multiplier_width,
        log=log,
    )


def _explain(
    network: str, config: AcceleratorConfig, layer: str, batch: int, json: Path | None
) -> None:
    from systolith_host.commands.explain import explanation_page, save_explanation, shape_network
    from systolith_host.schedule.explain import explain_layer

    with ProgressLog(Console(stderr=True)) as log:
        log.stage("reading the network")
        qgraph = shape_network(network, config.multiplier_width)
        log.stage(f"trying schedules of {layer}")
        explanation = explain_layer(qgraph, config, layer, batch)
    if json is not None:
        save_explanation(explanation, json)
    _show(explanation_page(explanation))


def _show(content: RenderableType) -> None:
    console = Console()
    # A narrow terminal wraps lines; it must not lose columns.
    width = max(console.width, _TABLE_WIDTH)
    Console(width=width).print(content, markup=False, highlight=False, soft_wrap=True)


def _complain(text: str) -> None:
    Console(stderr=True).print(
        f"error: {text}", markup=False, highlight=False, soft_wrap=True, style="red"
    )


def main() -> None:
    """Run the command line; a user's mistake ends in one line and exit status 2."""
    if threading.current_thread() is threading.main_thread():
        # An exception, so that what was started is stopped on the way out.
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(TERMINATED))
    try:
        status = app(standalone_mode=False)
    except TyperException as error:
        _complain(" ".join(error.format_message().split()))
        sys.exit(MISUSE)
    except (SystolithError, ConfigError) as error:
        _complain(" ".join(str(error).split()))
        sys.exit(MISUSE)
    except (KeyboardInterrupt, typer.Abort):
        _complain("interrupted")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.exit(MISMATCH)
    sys.exit(status or 0)
