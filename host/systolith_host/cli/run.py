"""The command `systolith run`."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from systolith_host.cli import options, pixels
from systolith_host.cli.output import MISMATCH, STANDARD_OUTPUT, check_targets, complain, give, show
from systolith_host.cli.triage import keep_case
from systolith_host.cli.views.report import noise_table, report_table
from systolith_host.flow.quantisation import Quantisation
from systolith_host.flow.run import Request
from systolith_host.flow.run import run as run_request
from systolith_host.program.active import parse_density
from systolith_host.progress import ProgressLog
from systolith_host.runtime.choose import DeviceOptions
from systolith_host.terminal import error_console
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import load_config

__all__ = ["run"]


class Simulator(str, Enum):
    """Simulators of the RTL."""

    VERILATOR = "verilator"
    ICARUS = "icarus"


def run(
    network: options.NetworkArgument = "vgg16",
    shape: options.ShapeOption = None,
    host_nodes: options.HostNodesOption = True,
    image: options.ImageOption = None,
    inputs: options.InputOption = None,
    calibrate: options.CalibrateOption = None,
    calibration: options.MethodOption = None,
    equalise: options.EqualiseOption = None,
    correct_bias: options.CorrectOption = None,
    round_together: options.RoundOption = None,
    weight_bits: options.WeightBitsOption = None,
    mean: pixels.MeanOption = None,
    std: pixels.StdOption = None,
    scale: pixels.ScaleOption = None,
    bgr: pixels.BgrOption = None,
    layout: pixels.LayoutOption = None,
    labels: pixels.LabelsOption = None,
    weights: options.WeightsOption = None,
    config: options.ConfigOption = None,
    device: options.DeviceOption = "rtl",
    board: options.BoardOption = None,
    layers: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Only these layers: names and ranges, e.g. conv1_1,conv3_1..conv4_2.",
        ),
    ] = None,
    batch: options.BatchOption = 1,
    waves: Annotated[
        str | None,
        typer.Option(
            metavar="LAYER",
            help="Write this layer's waveforms to LAYER.vcd; choose a small layer.",
        ),
    ] = None,
    json: options.JsonOption = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write the network's output as real numbers: a NumPy file (.npy), or one of "
            "several arrays by name (.npz).",
        ),
    ] = None,
    seed: options.SeedOption = 0,
    noise: Annotated[
        bool,
        typer.Option("--noise", help="Show the signal-to-noise ratio of every layer."),
    ] = False,
    sequential: Annotated[
        bool,
        typer.Option(
            "--sequential",
            help="One device; each layer reads the tensors that its predecessors wrote. "
            "Otherwise layers run in parallel, from the golden model's tensors.",
        ),
    ] = False,
    fuse_pool: options.FusePoolOption = True,
    density: options.DensityOption = None,
    jobs: Annotated[
        int, typer.Option(min=1, max=256, help="Layers that run in parallel on this machine.")
    ] = 2,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Run layers on the workers of a dask scheduler, e.g. tcp://10.0.0.1:8786. Whoever "
            "reaches one can run code on its machines: use tls://, see docs/explorer.md.",
        ),
    ] = None,
    bandwidth: options.BandwidthOption = None,
    latency: options.LatencyOption = options.DEFAULT_LATENCY,
    turnaround: options.TurnaroundOption = 0,
    clock: options.ClockOption = 150.0,
    simulator: Annotated[
        Simulator,
        typer.Option(
            help="Simulator of the RTL; Icarus is slow and suits only the smallest networks."
        ),
    ] = Simulator.VERILATOR,
    save_program: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Save the compiled program.")
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

    The photographs run through a quantised network, int8 throughout, twice: in the golden model
    (NumPy, whole tensors) and on the accelerator, as RTL in a simulator or emulated.
    The report lists each layer's cycles and bytes, the waits of the array and their causes, and the
    number of values that differ from the golden model's: none. If there are any, it names the first
    wrong layer, tile, value and instruction, and saves that layer for `systolith triage`.

    Exit status: 0 if every value is equal, 1 if not, 2 if the command or a file is wrong.
    """
    check_targets(json, output, save_program)
    request = Request(
        network=network,
        config=load_config(config) if config is not None else None,
        images=image or (),
        calibrate=calibrate or (),
        weights=weights,
        seed=seed,
        quantisation=Quantisation(
            options.value_of(calibration),
            equalise,
            correct_bias,
            round_together,
            options.bits_of(weight_bits),
        ),
        noise=noise,
        size=options.size_of(shape),
        form=pixels.form_of(mean, std, scale, bgr, layout),
        labels=labels,
        output=output,
        host_nodes=host_nodes,
        inputs=options.inputs_of(inputs),
        batch=batch,
        fuse_pool=fuse_pool,
        density=1.0 if density is None else parse_density(density),
        device=device,
        options=DeviceOptions(
            memory=Memory(latency=latency, bytes_per_cycle=bandwidth, turnaround=turnaround),
            workers=jobs,
            simulator=simulator.value,
            board=board,
            scheduler=scheduler,
        ),
        program=program,
        save_program=save_program,
        layers=layers,
        waves=waves,
        sequential=sequential,
        clock_mhz=clock,
    )
    with ProgressLog(error_console()) as log:
        finished = run_request(request, log)
    report = finished.report
    give(report_table(report), report.to_dict(), json)
    if noise and json != STANDARD_OUTPUT:
        show(noise_table(finished.prepared.noise))
    if report.groups["all"].mismatches:
        if finished.case is not None:
            keep_case(finished.case)
        if program is not None:
            complain(
                f"{program} may have been made with other weights, images, calibration or seed"
            )
        raise typer.Exit(MISMATCH)
