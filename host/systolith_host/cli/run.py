"""The command `systolith run`."""

import time
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from systolith_host.cli.options import (
    DEFAULT_LATENCY,
    BandwidthOption,
    BatchOption,
    CalibrateOption,
    ConfigOption,
    CorrectOption,
    EqualiseOption,
    ImageOption,
    LatencyOption,
    Method,
    MethodOption,
    NetworkArgument,
    SeedOption,
    TurnaroundOption,
    WeightsOption,
)
from systolith_host.cli.output import MISMATCH, complain, show
from systolith_host.cli.views.report import noise_table, report_table
from systolith_host.compiler import compile_network
from systolith_host.errors import SystolithError
from systolith_host.extras import need
from systolith_host.flow.fits import check_network
from systolith_host.flow.prepare import (
    check_program,
    make_report,
    network_name,
    prepare,
    select_layers,
)
from systolith_host.program.program import Program
from systolith_host.progress import ProgressLog
from systolith_host.runtime.dask import run_remote
from systolith_host.runtime.jobs import DeviceOptions, Outcome, build_device, plan_jobs, run_jobs
from systolith_host.runtime.litex.backend import BoardRun, check_board, find_system, run_on_board
from systolith_host.runtime.pynq.backend import find_overlay, run_on_overlay
from systolith_host.terminal import error_console
from systolith_hw.spec.presets import PRESETS, load_config
from systolith_sim.memory.timing import MemoryTiming

__all__ = ["run"]

_WITHOUT = ", or run with --device emulator"


class Simulator(str, Enum):
    """What simulates the RTL."""

    VERILATOR = "verilator"
    ICARUS = "icarus"


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
            help="Run layers on the workers of a dask scheduler, e.g. tcp://10.0.0.1:8786. Whoever "
            "reaches one can run code on its machines: use tls://, see docs/explorer.md.",
        ),
    ] = None,
    bandwidth: BandwidthOption = None,
    latency: LatencyOption = DEFAULT_LATENCY,
    turnaround: TurnaroundOption = 0,
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
    if waves is not None and not rtl:
        raise SystolithError("--waves needs --device rtl: no other device shows its signals")
    if scheduler is not None:
        need("--scheduler", "cluster")
    elif rtl:
        verilator = ("verilator",) if simulator is Simulator.VERILATOR else ()
        need("--device rtl", "sim", "amaranth", "cocotb", "pyosys", *verilator, otherwise=_WITHOUT)
    target = loaded.config if loaded is not None else chosen or PRESETS["default"]
    with ProgressLog(error_console()) as log:
        prepared = prepare(
            network,
            images=image or (),
            calibration_images=calibrate or (),
            method=calibration.value,
            equalisation=equalise,
            correction=correct_bias,
            noise=noise,
            weights=weights,
            seed=seed,
            batch=batch,
            multiplier_width=target.multiplier_width,
            log=log,
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
        elif program is not None:
            check_network(loaded, program, prepared.qgraph)
        if save_program is not None:
            loaded.save(save_program)
        selected = select_layers(loaded, layers)
        traced = select_layers(loaded, waves)[0].name if waves is not None else None
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
    show(report_table(report))
    if noise:
        show(noise_table(prepared.noise))
    if report.groups["all"].mismatches:
        if program is not None:
            complain(
                f"{program} may have been made with other weights, images, calibration or seed"
            )
        raise typer.Exit(MISMATCH)


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
