"""From the name of a network and some photographs to a report: the stages, one after the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.flow.report import LayerReport, Report
from systolith_host.frontend.images import find_inputs, image_batch, load_inputs, sample_images
from systolith_host.frontend.vgg import build_network
from systolith_host.frontend.weights import load_weights, random_weights
from systolith_host.least import cycle_bound
from systolith_host.network.forward import run_float
from systolith_host.network.golden import run_golden
from systolith_host.network.graph import Graph, Weights
from systolith_host.network.qgraph import QGraph
from systolith_host.network.scales import ActivationScale
from systolith_host.program.program import LayerProgram, Program
from systolith_host.progress import ProgressLog
from systolith_host.quantize.calibrate import calibrate
from systolith_host.quantize.correct import correct_bias
from systolith_host.quantize.equalise import equalise
from systolith_host.quantize.noise import layer_noise
from systolith_host.quantize.quantize import quantize, quantize_input, quantize_scaled
from systolith_host.runtime.jobs import Outcome
from systolith_hw.spec.config import AcceleratorConfig

if TYPE_CHECKING:
    from systolith_host.frontend.onnx import OnnxModel

__all__ = [
    "Prepared",
    "check_program",
    "is_onnx",
    "load_graph",
    "make_report",
    "network_name",
    "prepare",
    "select_layers",
]

TOP = 5
"""Classes that a report names."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A quantised network with its input and what the golden model makes of it.

    Parameters
    ----------
    graph : Graph
    qgraph : QGraph
    tensors : dict of str to ndarray, shape (N, C, H, W)
        Every tensor, by the golden model; the input included.
    float_output : ndarray of float32, shape (N, classes)
        What the float network makes of the same images.
    weights, images : str
        Where they came from, in words.
    noise : dict of str to float
        Signal over noise of each layer in decibels, if asked for.
    """

    graph: Graph
    qgraph: QGraph
    tensors: dict[str, np.ndarray]
    float_output: np.ndarray
    weights: str
    images: str
    noise: dict[str, float] = field(default_factory=dict)


def network_name(network: str) -> str:
    """Return what a network is called: a file's name without its ending, or itself."""
    return Path(network).stem if is_onnx(network) else network


def load_graph(network: str) -> Graph:
    """Return a built-in network, or that of an ONNX file.

    Raises
    ------
    SystolithError
        If there is no such network, or the file cannot be used.
    """
    if not is_onnx(network):
        return build_network(network)
    from systolith_host.frontend.onnx import read_onnx  # onnx takes a moment to import

    return read_onnx(Path(network)).graph


def prepare(
    network: str,
    *,
    images: Sequence[Path],
    weights: Path | None,
    seed: int,
    batch: int,
    multiplier_width: int,
    log: ProgressLog,
    calibration_images: Sequence[Path] = (),
    method: str = "minmax",
    equalisation: bool | None = None,
    correction: bool | None = None,
    noise: bool = False,
) -> Prepared:
    """Build or read a network, calibrate and quantise it, and run the golden model.

    What is read of an ONNX file is compared with onnxruntime, in floats before it is quantised, or
    in integers if it was; the log gets a line of it.

    Parameters
    ----------
    network : str
        Name of a built-in network, or of an ONNX file.
    images : sequence of Path
        Photographs, or NumPy files; scikit-learn's two photographs if there are none.
    weights : Path, optional
        A torchvision state dict; random weights if None. ONNX files have their own.
    seed : int
        Of random weights.
    batch : int
    multiplier_width : int
        Of the accelerator.
    log : ProgressLog
    calibration_images : sequence of Path
        Files and folders that the scales are calibrated on; the images themselves if none.
    method : str
        How: one of quantize.calibrate.METHODS.
    equalisation, correction : bool, optional
        Whether to equalise channels across layers, and to correct biases; by default where there
        are calibration images, as what fits the images of the run alone says nothing of others.
    noise : bool
        Whether to compute the signal-to-noise ratio of every layer.

    Raises
    ------
    SystolithError
        If a file cannot be used, or computes something else than in onnxruntime.
    """
    if len(images) > batch:
        raise SystolithError(f"--image is given {len(images)} times, but --batch is {batch}")
    graph, values, source, model = _load(network, weights, seed, log)
    scales = model.scales if model is not None else {}
    shape = graph.shapes[graph.input]
    paths = tuple(images) or sample_images()
    paths = paths[: max(batch, 1)]
    loaded = _load_all(paths, shape, log)
    inputs = image_batch(loaded, batch)
    if scales:
        given = {
            "--calibrate": bool(calibration_images),
            "--equalise": equalisation,
            "--correct-bias": correction,
        }
        for option in (name for name, value in given.items() if value):
            raise SystolithError(f"{option}: {network} is quantised, with scales of its own")
        log.stage("quantisation")
        qgraph = quantize_scaled(graph, values, scales, multiplier_width, log.update)
        float_output = _float_output(graph, values, inputs, scales)
    else:
        judged = None
        if model is not None:
            from systolith_host.frontend.judge import judge_float  # imports onnx

            log.stage("comparison with onnxruntime")
            judged = judge_float(Path(network), model, inputs[:1])
            log.message(judged.line)
        log.stage("calibration")
        samples = inputs
        if calibration_images:
            samples = np.stack(_load_all(find_inputs(calibration_images), shape, log))
        refine = bool(calibration_images)
        if refine if equalisation is None else equalisation:
            values = _equalised(graph, values, samples, log)
        calibration = calibrate(graph, values, samples, log.update, method=method)
        float_output = calibration.output
        if calibration_images:
            float_output = _float_output(graph, values, inputs)
        if judged is not None:
            judged.check(float_output[:1], f"{network}: equalisation")
        log.stage("quantisation")
        qgraph = quantize(graph, values, calibration, multiplier_width, log.update)
        if refine if correction is None else correction:
            log.stage("bias correction")
            qgraph, _ = correct_bias(graph, values, qgraph, samples, log.update)
    log.stage("golden model")
    tensors = run_golden(qgraph, quantize_input(qgraph, inputs), log.update)
    if scales and model is not None:
        from systolith_host.frontend.judge import judge_integers  # imports onnx

        log.stage("comparison with onnxruntime")
        output = tensors[qgraph.output][:1]
        log.message(judge_integers(Path(network), model, qgraph, inputs[:1], output))
    ratios: dict[str, float] = {}
    if noise:
        log.stage("noise")
        ratios = layer_noise(graph, values, qgraph, tensors, inputs, scales)
    del values
    names = ", ".join(str(path) if images else path.name for path in paths)
    if len(loaded) < batch:
        names += f" (and shifted, to {batch} images)"
    if not images:
        names += " from scikit-learn"
    return Prepared(graph, qgraph, tensors, float_output, source, names, ratios)


def _equalised(graph: Graph, weights: Weights, samples: np.ndarray, log: ProgressLog) -> Weights:
    log.stage("equalisation")
    made, pairs = equalise(graph, weights, samples, log.update)
    changed = [f"{pair.first} and {pair.second}" for pair in pairs if pair.way]
    if changed:
        log.message(f"equalised {len(changed)} of {len(pairs)} pairs: {', '.join(changed)}")
    log.stage("calibration")
    return made


def _float_output(
    graph: Graph,
    weights: Weights,
    x: np.ndarray,
    scales: Mapping[str, ActivationScale] | None = None,
) -> np.ndarray:
    tensors = run_float(graph, weights, x, scales=scales)
    return next(y for name, y in tensors if name == graph.output)


def is_onnx(network: str) -> bool:
    """Return whether a network is a file, not a built-in one."""
    return network.endswith(".onnx")


def _load(
    network: str, weights: Path | None, seed: int, log: ProgressLog
) -> tuple[Graph, Weights, str, "OnnxModel | None"]:
    """Return a network, its weights, where they come from in words, and the file's if it is one."""
    if is_onnx(network):
        from systolith_host.frontend.onnx import read_onnx  # onnx takes a moment to import

        if weights is not None:
            raise SystolithError(f"--weights: {network} has its own weights")
        log.stage("reading the network")
        model = read_onnx(Path(network))
        return model.graph, model.weights, network, model
    graph = build_network(network)
    log.stage("weights")
    if weights is None:
        source = f"random (He scaling, seed {seed}); classes mean nothing"
        return graph, random_weights(graph, seed, log.update), source, None
    return graph, load_weights(weights, graph, log.update), str(weights), None


def _load_all(paths: Sequence[Path], shape: tuple[int, ...], log: ProgressLog) -> list[np.ndarray]:
    overlaid: list[Path] = []
    images = [image for path in paths for image in load_inputs(path, shape, overlaid.append)]
    if overlaid:
        more = f" and {len(overlaid) - 1} more" if overlaid[1:] else ""
        log.message(f"{overlaid[0]}{more}: transparent pixels are laid over white")
    return images


def select_layers(program: Program, text: str | None) -> tuple[LayerProgram, ...]:
    """Return the layers that a text like ``conv1_1,conv3_1..conv4_2`` names, in order.

    A fused pool stands for its convolution.

    Raises
    ------
    SystolithError
        If there is no layer of a name, or a range runs backwards.
    """
    if text is None:
        return program.layers
    index = {name: i for i, layer in enumerate(program.layers) for name in layer.covers}
    index |= {layer.name: i for i, layer in enumerate(program.layers)}
    chosen: set[int] = set()
    for part in text.split(","):
        ends = [end.strip() for end in part.split("..")]
        for end in ends:
            if end not in index:
                raise SystolithError(
                    f"--layers: {program.network} has no layer {end!r}; it has "
                    f"{', '.join(layer.name for layer in program.layers)}"
                )
        if len(ends) > 2:
            raise SystolithError(f"--layers: a range must be first..last, not {part.strip()!r}")
        first, last = index[ends[0]], index[ends[-1]]
        if first > last:
            raise SystolithError(f"--layers: {ends[0]} comes after {ends[-1]}; swap them")
        chosen.update(range(first, last + 1))
    return tuple(program.layers[i] for i in sorted(chosen))


def check_program(
    program: Program, path: Path, qgraph_name: str, batch: int, config: AcceleratorConfig | None
) -> None:
    """Refuse a program file that was made for something else than what is asked for.

    Raises
    ------
    SystolithError
        If network, batch or configuration differ.
    """
    if program.network != qgraph_name:
        raise SystolithError(f"{path}: is a program of {program.network}, not {qgraph_name}")
    if program.batch != batch:
        raise SystolithError(
            f"{path}: is a program for a batch of {program.batch}; run it with "
            f"--batch {program.batch}"
        )
    if config is not None and config.fingerprint != program.config.fingerprint:
        raise SystolithError(
            f"{path}: was compiled for configuration {program.config.name} "
            f"({program.config.fingerprint:016x}), not for {config.name} "
            f"({config.fingerprint:016x}); compile it again"
        )


def make_report(
    prepared: Prepared,
    program: Program,
    outcomes: Sequence[Outcome],
    *,
    device: str,
    counts_cycles: bool,
    clock_mhz: float,
    memory_rate: float | None,
    memory: str | None,
    wall_seconds: float,
) -> Report:
    """Compare each outcome with the golden model, bit for bit, and put the report together.

    Parameters
    ----------
    prepared : Prepared
    program : Program
    outcomes : sequence of Outcome
        Of the program's layers, or some of them.
    device : str
        What ran them, in words.
    counts_cycles : bool
        Whether the device has cycles.
    clock_mhz : float
    memory_rate : float, optional
        Bytes per cycle of the memory; those of the bus if None. It goes into the lower bound.
    memory : str, optional
        The memory in words.
    wall_seconds : float
    """
    config = program.config
    results = {outcome.layer: outcome for outcome in outcomes}
    rows = []
    top: tuple[tuple[int, float], ...] = ()
    for layer in program.layers:
        outcome = results.get(layer.name)
        if outcome is None:
            continue
        golden = prepared.tensors[layer.output]
        counters = outcome.counters
        rows.append(
            LayerReport(
                name=layer.name,
                covers=layer.covers,
                kind=layer.kind,
                macs=layer.macs,
                bound_cycles=cycle_bound(
                    layer.macs, layer.compulsory_bytes, config, memory_rate
                ).cycles,
                predicted_cycles=layer.predicted_cycles,
                compulsory_bytes=layer.compulsory_bytes,
                cycles=counters.cycles if counts_cycles else None,
                bytes_read=counters.bytes_read,
                bytes_written=counters.bytes_written,
                states=counters.states["COMPUTE"] if counts_cycles else {},
                mismatches=_mismatches(outcome.output, golden),
                values=golden.size,
                seconds=outcome.seconds,
            )
        )
        if layer.output == program.output:
            top = _top(prepared.qgraph, outcome.output)
    float_top = np.argsort(-prepared.float_output[0].ravel(), kind="stable")[:TOP]
    sources = {"weights": prepared.weights, "images": prepared.images}
    if memory is not None:
        sources["memory"] = memory
    return Report(
        network=program.network,
        config=config.to_dict(),
        multipliers=config.multipliers,
        device=device,
        batch=program.batch,
        clock_mhz=clock_mhz,
        complete=len(rows) == len(program.layers),
        layers=tuple(rows),
        top=top,
        float_top=tuple(map(int, float_top)) if top else (),
        sources=sources,
        wall_seconds=wall_seconds,
    )


def _mismatches(values: np.ndarray, golden: np.ndarray) -> int:
    if values.shape != golden.shape or values.dtype != golden.dtype:
        return int(golden.size)
    return int(np.count_nonzero(values != golden))


def _top(qgraph: QGraph, output: np.ndarray) -> tuple[tuple[int, float], ...]:
    """Return class index and real value of the largest outputs of the first image."""
    tensor = qgraph.tensors[qgraph.output]
    values = (output[0].ravel().astype(np.float64) - tensor.zero_point) * tensor.scale
    order = np.argsort(-values, kind="stable")[:TOP]
    return tuple((int(index), float(values[index])) for index in order)
