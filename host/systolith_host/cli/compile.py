"""The command `systolith compile`."""

from pathlib import Path
from typing import Annotated

import typer

from systolith_host.cli import options, pixels
from systolith_host.cli.output import STANDARD_OUTPUT, check_targets, give, show
from systolith_host.errors import SystolithError
from systolith_host.extras import need
from systolith_host.flow.load import shape_network
from systolith_host.flow.quantisation import Quantisation
from systolith_host.flow.run import Request, load_request, prepare_program
from systolith_host.network.qgraph import QGraph
from systolith_host.network.weight_bits import narrow_network
from systolith_host.program.active import Density, parse_density
from systolith_host.progress import ProgressLog
from systolith_host.terminal import error_console
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import load_config

__all__ = ["compile_"]


def compile_(
    network: options.NetworkArgument = "vgg16",
    shape: options.ShapeOption = None,
    host_nodes: options.HostNodesOption = True,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="File for the program.")] = None,
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
        typer.Option(
            "--json",
            metavar="FILE",
            help="Also write the explanation as JSON; - prints it instead.",
        ),
    ] = None,
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
    weights: options.WeightsOption = None,
    config: options.ConfigOption = None,
    batch: options.BatchOption = 1,
    seed: options.SeedOption = 0,
    bandwidth: options.BandwidthOption = None,
    latency: options.LatencyOption = options.DEFAULT_LATENCY,
    turnaround: options.TurnaroundOption = 0,
    density: options.DensityOption = None,
) -> None:
    """Compile a network to a program file: instructions, packed weights and the memory map.

    `systolith run --program FILE` runs it. The photographs serve to calibrate the scales.
    Schedules are chosen for a memory of --bandwidth; they run on any other as well.
    """
    if out is None and explain is None:
        raise SystolithError("compile needs --out FILE for the program, or --explain LAYER")
    if json is not None and explain is None:
        raise SystolithError("--json is for the explanation of a layer: add --explain LAYER")
    if json == STANDARD_OUTPUT and out is not None:
        raise SystolithError("--json - prints nothing else: leave --out out")
    check_targets(out, json)
    size = options.size_of(shape)
    share = 1.0 if density is None else parse_density(density)
    bits = options.bits_of(weight_bits)
    target = load_config(config or "default")
    memory = Memory(latency=latency, bytes_per_cycle=bandwidth, turnaround=turnaround)
    if explain is not None:
        with ProgressLog(error_console()) as log:
            log.stage("reading the network")
            qgraph = shape_network(
                network, size, host_nodes=host_nodes, functions=bool(target.functions)
            )
        qgraph = narrow_network(qgraph, bits)
        _explain(qgraph, target, explain, batch, memory, share, json)
    if out is None:
        return
    with ProgressLog(error_console()) as log:
        request = Request(
            network=network,
            config=target,
            images=image or (),
            calibrate=calibrate or (),
            weights=weights,
            seed=seed,
            quantisation=Quantisation(
                options.value_of(calibration),
                equalise,
                correct_bias,
                round_together,
                bits,
            ),
            batch=batch,
            size=size,
            form=pixels.form_of(mean, std, scale, bgr, layout),
            host_nodes=host_nodes,
            inputs=options.inputs_of(inputs),
            save_program=out,
            density=share,
        )
        loaded, _ = load_request(request, log)
        _, program = prepare_program(request, loaded, None, memory, log)
    instructions = sum(layer.instruction_count for layer in program.layers)
    cycles = sum(layer.predicted_cycles for layer in program.layers)
    show(
        f"{out}: {network}, batch {batch}, for {target.name} ({target.fingerprint:016x}): "
        f"{instructions:,} instructions, {program.memory_size / 1e6:,.1f} MB of memory, "
        f"~{cycles:,} cycles estimated"
    )


def _explain(
    qgraph: QGraph,
    config: AcceleratorConfig,
    layer: str,
    batch: int,
    memory: Memory,
    density: Density,
    json: Path | None,
) -> None:
    need("--explain", "explore")
    from systolith_host.cli.views.explanation import explanation_page
    from systolith_host.cost.explain import explain_layer

    with ProgressLog(error_console()) as log:
        log.stage(f"trying schedules of {layer}")
        explanation = explain_layer(
            qgraph,
            config,
            layer,
            batch,
            memory=memory,
            density=density,
        )
    give(explanation_page(explanation), explanation.to_dict(), json)
