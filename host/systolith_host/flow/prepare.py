"""From a network's values and photographs to integers, and what the golden model makes of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.flow.load import Loaded, load_values
from systolith_host.flow.log import Log
from systolith_host.frontend.images import find_inputs, image_batch, load_inputs, sample_images
from systolith_host.network.forward import run_float
from systolith_host.network.golden import run_golden
from systolith_host.network.graph import Graph, Weights
from systolith_host.network.qgraph import QGraph
from systolith_host.network.scales import ActivationScale
from systolith_host.quantize.calibrate import calibrate
from systolith_host.quantize.correct import correct_bias
from systolith_host.quantize.equalise import equalise
from systolith_host.quantize.noise import layer_noise
from systolith_host.quantize.quantize import quantize, quantize_input, quantize_scaled

__all__ = ["Prepared", "Quantisation", "Quantised", "load_all", "prepare", "quantise"]


@dataclass(frozen=True)
class Quantisation:
    """How a float network becomes integers.

    Parameters
    ----------
    images : sequence of Path
        Files and folders that the scales are calibrated on; the images of the run if none.
    method : str
        One of quantize.calibrate.METHODS.
    equalisation, correction : bool, optional
        Whether to equalise channels across layers, and to correct biases; by default where there
        are calibration images, as what fits the images of the run alone says nothing of others.
    """

    images: Sequence[Path] = ()
    method: str = "minmax"
    equalisation: bool | None = None
    correction: bool | None = None


@dataclass(frozen=True, eq=False)
class Quantised:
    """An integer network, and the float network that it stands for.

    Parameters
    ----------
    qgraph : QGraph
    graph : Graph
    weights : mapping of str to LayerWeights
        Equalised, if that was asked for.
    scales : mapping of str to ActivationScale
        Of a file that was quantised already.
    float_output : ndarray of float32, shape (N, classes)
        What the float network makes of the inputs; it saturates where the file does.
    """

    qgraph: QGraph
    graph: Graph
    weights: Weights
    scales: Mapping[str, ActivationScale]
    float_output: np.ndarray


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


def prepare(
    network: str,
    *,
    images: Sequence[Path],
    weights: Path | None,
    seed: int,
    batch: int,
    multiplier_width: int,
    log: Log,
    quantisation: Quantisation | None = None,
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
    log : Log
    quantisation : Quantisation, optional
    noise : bool
        Whether to compute the signal-to-noise ratio of every layer.

    Raises
    ------
    SystolithError
        If a file cannot be used, or computes something else than in onnxruntime.
    """
    if len(images) > batch:
        raise SystolithError(f"--image is given {len(images)} times, but --batch is {batch}")
    how = quantisation or Quantisation()
    loaded = load_values(network, weights, seed, log)
    graph = loaded.graph
    shape = graph.shapes[graph.input]
    paths = tuple(images) or sample_images()
    paths = paths[: max(batch, 1)]
    given = load_all(paths, shape, log)
    inputs = image_batch(given, batch)
    samples = inputs
    if how.images and not loaded.quantised:
        samples = np.stack(load_all(find_inputs(how.images), shape, log))
    made = quantise(loaded, samples, inputs, how, multiplier_width, log)
    qgraph = made.qgraph
    log.stage("golden model")
    tensors = run_golden(qgraph, quantize_input(qgraph, inputs), log.update)
    if loaded.quantised and loaded.model is not None:
        from systolith_host.frontend.judge import judge_integers  # imports onnx

        log.stage("comparison with onnxruntime")
        output = tensors[qgraph.output][:1]
        log.message(judge_integers(Path(network), loaded.model, qgraph, inputs[:1], output))
    ratios: dict[str, float] = {}
    if noise:
        log.stage("noise")
        ratios = layer_noise(graph, made.weights, qgraph, tensors, inputs, made.scales)
    names = ", ".join(str(path) if images else path.name for path in paths)
    if len(given) < batch:
        names += f" (and shifted, to {batch} images)"
    if not images:
        names += " from scikit-learn"
    return Prepared(graph, qgraph, tensors, made.float_output, loaded.source, names, ratios)


def quantise(
    loaded: Loaded,
    samples: np.ndarray,
    inputs: np.ndarray,
    how: Quantisation,
    multiplier_width: int,
    log: Log,
) -> Quantised:
    """Make the integers of a network; a quantised file keeps its own.

    What was read of a float file is compared with onnxruntime first; the log gets a line of it.

    Parameters
    ----------
    samples : ndarray of float32, shape (N, C, H, W)
        What the scales are calibrated on.
    inputs : ndarray of float32, shape (N, C, H, W)
        What onnxruntime's output is compared on.
    multiplier_width : int
        Of the accelerator.

    Raises
    ------
    SystolithError
        If the network cannot be quantised, or computes something else than in onnxruntime.
    """
    graph, weights, model = loaded.graph, loaded.weights, loaded.model
    if loaded.quantised and model is not None:
        given = {
            "--calibrate": bool(how.images),
            "--equalise": how.equalisation,
            "--correct-bias": how.correction,
        }
        for option in (name for name, value in given.items() if value):
            raise SystolithError(f"{option}: {loaded.network} is quantised, with scales of its own")
        log.stage("quantisation")
        qgraph = quantize_scaled(graph, weights, model.scales, multiplier_width, log.update)
        output = _float_output(graph, weights, inputs, model.scales)
        return Quantised(qgraph, graph, weights, model.scales, output)
    judged = None
    if model is not None:
        from systolith_host.frontend.judge import judge_float  # imports onnx

        log.stage("comparison with onnxruntime")
        judged = judge_float(Path(loaded.network), model, inputs[:1])
        log.message(judged.line)
    log.stage("calibration")
    refine = bool(how.images)
    if refine if how.equalisation is None else how.equalisation:
        weights = _equalised(graph, weights, samples, log)
    calibration = calibrate(graph, weights, samples, log.update, method=how.method)
    output = calibration.output
    if samples is not inputs:
        output = _float_output(graph, weights, inputs)
    if judged is not None:
        judged.check(output[:1], f"{loaded.network}: equalisation")
    log.stage("quantisation")
    qgraph = quantize(graph, weights, calibration, multiplier_width, log.update)
    if refine if how.correction is None else how.correction:
        log.stage("bias correction")
        qgraph, _ = correct_bias(graph, weights, qgraph, samples, log.update)
    return Quantised(qgraph, graph, weights, {}, output)


def _float_output(
    graph: Graph,
    weights: Weights,
    x: np.ndarray,
    scales: Mapping[str, ActivationScale] | None = None,
) -> np.ndarray:
    tensors = run_float(graph, weights, x, scales=scales)
    return next(y for name, y in tensors if name == graph.output)


def _equalised(graph: Graph, weights: Weights, samples: np.ndarray, log: Log) -> Weights:
    log.stage("equalisation")
    made, pairs = equalise(graph, weights, samples, log.update)
    changed = [f"{pair.first} and {pair.second}" for pair in pairs if pair.way]
    if changed:
        log.message(f"equalised {len(changed)} of {len(pairs)} pairs: {', '.join(changed)}")
    log.stage("calibration")
    return made


def load_all(paths: Sequence[Path], shape: tuple[int, ...], log: Log) -> list[np.ndarray]:
    """Return the inputs of some files; the log hears where pixels were transparent.

    Raises
    ------
    SystolithError
        If a file cannot be used.
    """
    overlaid: list[Path] = []
    images = [image for path in paths for image in load_inputs(path, shape, overlaid.append)]
    if overlaid:
        more = f" and {len(overlaid) - 1} more" if overlaid[1:] else ""
        log.message(f"{overlaid[0]}{more}: transparent pixels are laid over white")
    return images
