"""From a network's values and photographs to integers and the golden model's tensors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.flow.inputs import gather_samples, load_all, more_pieces
from systolith_host.flow.load import Loaded
from systolith_host.flow.log import Log
from systolith_host.flow.quantisation import Quantisation, cost_line, real_output, warning
from systolith_host.frontend.images import find_inputs, image_batch, sample_images
from systolith_host.network.forward import run_float
from systolith_host.network.golden import run_golden
from systolith_host.network.graph import Graph, Weights
from systolith_host.network.qgraph import QGraph
from systolith_host.network.scales import ActivationScale
from systolith_host.network.weight_bits import check_layers, narrow_weights
from systolith_host.quantize.calibrate import calibrate
from systolith_host.quantize.correct import correct
from systolith_host.quantize.equalise import equalise
from systolith_host.quantize.noise import decibels, layer_noise
from systolith_host.quantize.quantize import quantize, quantize_input, quantize_scaled

__all__ = [
    "Prepared",
    "Quantisation",
    "Quantised",
    "golden_tensors",
    "prepare",
    "quantise",
    "refuse_options",
    "refuse_scales",
]


_NAMED = 4
"""Equalised groups that a line names."""


@dataclass(frozen=True, eq=False)
class Quantised:
    """An integer network, and the float network that it approximates.

    Parameters
    ----------
    qgraph : QGraph
    graph : Graph
    weights : mapping of str to LayerWeights
        Of the float network.
    equalised : mapping of str to LayerWeights
        Those that the integers were made from; on the calibration images the output is the same.
    scales : mapping of str to ActivationScale
        Of a file that was quantised already.
    known : (ndarray, ndarray), optional
        Inputs, and what the float network makes of them, where calibration has found it anyway.
    wide : QGraph, optional
        The network with weights of 8 bits, where some have fewer.
    """

    qgraph: QGraph
    graph: Graph
    weights: Weights
    equalised: Weights
    scales: Mapping[str, ActivationScale]
    known: tuple[np.ndarray, np.ndarray] | None = None
    wide: QGraph | None = None

    def float_output(self, x: np.ndarray) -> np.ndarray:
        """Return what the float network makes of inputs; it saturates where the file does.

        Parameters
        ----------
        x : ndarray of float32, shape (N, C, H, W) or (N, C)

        Returns
        -------
        ndarray of float32, shape (N, K, P, Q) or (N, K)
        """
        if self.known is not None and self.known[0] is x:
            return self.known[1]
        tensors = run_float(self.graph, self.weights, x, scales=self.scales or None)
        return next(y for name, y in tensors if name == self.graph.output)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A quantised network with its input and the golden model's tensors.

    Parameters
    ----------
    graph : Graph
    qgraph : QGraph
    tensors : dict of str to ndarray, shape (N, C, H, W)
        Every tensor, by the golden model; the input included.
    float_output : ndarray of float32, shape (N, classes)
        The float network's output for the same images.
    images : str
        Where they came from, in words.
    noise : dict of str to float
        Signal over noise of each layer in decibels, if asked for.
    """

    graph: Graph
    qgraph: QGraph
    tensors: dict[str, np.ndarray]
    float_output: np.ndarray
    images: str
    noise: dict[str, float] = field(default_factory=dict)


def prepare(
    loaded: Loaded,
    *,
    images: Sequence[Path],
    calibrate: Sequence[Path] = (),
    batch: int,
    multiplier_width: int,
    log: Log,
    quantisation: Quantisation | None = None,
    noise: bool = False,
) -> Prepared:
    """Calibrate and quantise a network, and run the golden model.

    The content of an ONNX file is compared with onnxruntime, in floats before it is quantised, or
    in integers if it already was; the log gets one line.

    Parameters
    ----------
    loaded : Loaded
    images : sequence of Path
        Photographs, NumPy files, or folders of these; scikit-learn's two photographs if there are
        none.
    calibrate : sequence of Path
        Files and folders that the scales are calibrated on; the images of the run if none.
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
    paths = find_inputs(images)
    if len(paths) > batch:
        raise SystolithError(f"--image names {len(paths)} files, but --batch is {batch}")
    how = quantisation or Quantisation()
    refuse_options(loaded, how, calibrated=bool(calibrate))
    graph = loaded.graph
    shape = graph.shapes[graph.input]
    paths = paths or sample_images()[: max(batch, 1)]
    form = loaded.form
    given = [*load_all(paths, shape, log, form)]
    inputs = image_batch(given, batch, shifted=form.row is None)
    samples, careful = inputs, bool(calibrate) or not loaded.random
    if calibrate:
        files = list(calibrate)
        samples = gather_samples(files, shape, log, "--calibrate", form)
    elif careful and not loaded.quantised:
        samples = more_pieces(paths, shape, inputs, form)
    how = how.settled(careful)
    made = quantise(loaded, samples, how, multiplier_width, log)
    qgraph = made.qgraph
    tensors = golden_tensors(loaded, qgraph, inputs, log)
    output = made.float_output(inputs)
    if not loaded.quantised and (found := warning(qgraph, tensors, output, how, bool(calibrate))):
        log.message(found)
    if made.wide is not None:
        log.stage("golden model with weights of 8 bits")
        wide = run_golden(made.wide, quantize_input(made.wide, inputs), log.update)
        log.message(cost_line(qgraph, wide[qgraph.output], tensors[qgraph.output], output))
    ratios: dict[str, float] = {}
    if noise:
        log.stage("noise")
        ratios = layer_noise(graph, made.equalised, qgraph, tensors, inputs, made.scales)
        ratios[qgraph.output] = decibels(output, real_output(qgraph, tensors).reshape(output.shape))
    names = ", ".join(str(path) if images else path.name for path in paths)
    if len(given) < batch:
        names += f" (and shifted, to {batch} images)"
    if not images:
        names += " from scikit-learn"
    return Prepared(graph, qgraph, tensors, output, names, ratios)


def golden_tensors(
    loaded: Loaded, qgraph: QGraph, inputs: np.ndarray, log: Log
) -> dict[str, np.ndarray]:
    """Return every tensor by the golden model.

    For a file that was quantised before, its first output is compared with onnxruntime; the log
    gets a line of it.

    Parameters
    ----------
    inputs : ndarray of float32, shape (N, C, H, W) or (N, C)

    Raises
    ------
    SystolithError
        If onnxruntime computes something else.
    """
    log.stage("golden model")
    tensors = run_golden(qgraph, quantize_input(qgraph, inputs), log.update)
    if loaded.quantised and loaded.model is not None:
        from systolith_host.frontend.judge import judge_integers  # imports onnx

        log.stage("comparison with onnxruntime")
        path, first = Path(loaded.network), {name: y[:1] for name, y in tensors.items()}
        log.message(judge_integers(path, loaded.model, qgraph, inputs[:1], first))
    return tensors


def refuse_options(loaded: Loaded, how: Quantisation, *, calibrated: bool) -> None:
    """Refuse what a network cannot be asked for, before anything is calibrated.

    Parameters
    ----------
    how : Quantisation
        As asked for, not settled.
    calibrated : bool
        Whether there are images for calibration.

    Raises
    ------
    SystolithError
        If an option would change a file's own scales, or names a layer that is not there.
    """
    asked = {"calibrate": calibrated, **how.asked}
    refuse_scales(loaded, {f"--{name.replace('_', '-')}": on for name, on in asked.items()})
    check_layers(loaded.graph, how.weight_bits)


def refuse_scales(loaded: Loaded, given: Mapping[str, bool]) -> None:
    """Refuse what would change the scales of a file that was quantised before.

    Parameters
    ----------
    given : mapping of str to bool
        Options by what users call them, and whether they are asked for.

    Raises
    ------
    SystolithError
        If one is, and the file has scales.
    """
    for option in (name for name, asked in given.items() if asked and loaded.quantised):
        raise SystolithError(f"{option}: {loaded.network} is quantised, with scales of its own")


def quantise(
    loaded: Loaded,
    samples: np.ndarray | None,
    how: Quantisation,
    multiplier_width: int,
    log: Log,
) -> Quantised:
    """Make the integers of a network; a quantised file keeps its own.

    The content of a float file is compared with onnxruntime first; the log gets one line.

    Parameters
    ----------
    samples : ndarray of float32, shape (N, C, H, W) or (N, C), optional
        Inputs on which the scales are calibrated; the first one also serves the comparison with
        onnxruntime. A quantised file needs none.
    how : Quantisation
        Settled.
    multiplier_width : int
        Of the accelerator.

    Raises
    ------
    SystolithError
        If the network cannot be quantised, or computes something else than in onnxruntime.
    """
    graph, weights, model = loaded.graph, loaded.weights, loaded.model
    if loaded.quantised and model is not None:
        log.stage("quantisation")
        qgraph = quantize_scaled(graph, weights, model.scales, multiplier_width, log.update)
        return Quantised(qgraph, graph, weights, weights, model.scales)
    if samples is None:
        raise SystolithError(f"{loaded.network}: has no scales: calibrate them on images")
    judged = None
    if model is not None:
        from systolith_host.frontend.judge import judge_float  # imports onnx

        log.stage("comparison with onnxruntime")
        judged = judge_float(Path(loaded.network), model, samples[:1])
        log.message(judged.line)
    log.stage("calibration")
    made = _equalised(graph, weights, samples, log) if how.equalisation else weights
    calibration = calibrate(graph, made, samples, log.update, method=how.method or "minmax")
    if judged is not None:
        judged.check(calibration.output[:1], f"{loaded.network}: equalisation")

    def integers(values: Weights) -> QGraph:
        log.stage("quantisation")
        qgraph = quantize(graph, values, calibration, multiplier_width, log.update)
        if how.correction or how.rounding:
            stages = {"rounding": how.rounding, "bias correction": how.correction}
            log.stage(" and ".join(stage for stage, asked in stages.items() if asked))
            qgraph, _ = correct(
                graph,
                values,
                qgraph,
                samples,
                log.update,
                rounding=bool(how.rounding),
                biases=bool(how.correction),
            )
        return qgraph

    known = (samples, calibration.output)
    qgraph = integers(narrow_weights(graph, made, how.weight_bits))
    wide = integers(made) if min(how.weight_bits.values(), default=8) < 8 else None
    return Quantised(qgraph, graph, weights, made, {}, known, wide)


def _equalised(graph: Graph, weights: Weights, samples: np.ndarray, log: Log) -> Weights:
    log.stage("equalisation")
    made, groups = equalise(graph, weights, samples, log.update)
    changed = [f"{group.first[0]} and {group.second[0]}" for group in groups if group.way]
    if changed:
        more = f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
        names = ", ".join(changed[:_NAMED])
        log.message(f"equalised {len(changed)} of {len(groups)} groups: {names}{more}")
    log.stage("calibration")
    return made
