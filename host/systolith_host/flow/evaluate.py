"""Accuracy of a network: in floats, in integers, and on a device."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from systolith_host.compiler import compile_network
from systolith_host.errors import SystolithError
from systolith_host.extras import MissingExtraError
from systolith_host.flow.dataset import Dataset, open_dataset
from systolith_host.flow.host import run_in_turn
from systolith_host.flow.inputs import gather_samples
from systolith_host.flow.load import Loaded
from systolith_host.flow.log import Log
from systolith_host.flow.outputs import integers, left_tensors, real
from systolith_host.flow.prepare import Quantised, quantise, refuse_options
from systolith_host.flow.run import Request, load_request
from systolith_host.network.golden import run_golden
from systolith_host.program.program import Program
from systolith_host.quantize.quantize import quantize_input
from systolith_host.runtime.backend import Backend, Observer
from systolith_host.runtime.choose import choose_backend
from systolith_host.runtime.jobs import plan_jobs
from systolith_host.version import describe
from systolith_hw.spec.presets import PRESETS

__all__ = ["SAMPLES", "SCHEMA", "Evaluation", "Score", "evaluate", "evaluate_program"]

SCHEMA = 1
"""Version of the JSON form."""

SAMPLES = 16
"""Images of the data that scales are calibrated on, unless others are given."""

_TOP = 5

_SAME_RANKING = frozenset(
    "ArgMax Cast DequantizeLinear Dropout Flatten Identity LogSoftmax QuantizeLinear Reshape "
    "Sigmoid Softmax Softplus Squeeze Tanh Transpose Unsqueeze".split()
)
"""Operators at the end, on the host, behind which the largest values are where they were."""


@dataclass(frozen=True)
class Score:
    """How often one computation of the network is right.

    Parameters
    ----------
    by : str
        What computed it: "onnxruntime", "golden model", a device.
    top1, top5 : int
        Images whose class has the largest output, or one of the five largest.
    agree : int
        Images with the same largest output as the float network.
    """

    by: str
    top1: int
    top5: int
    agree: int


@dataclass(frozen=True, eq=False)
class Evaluation:
    """An evaluation.

    Parameters
    ----------
    network, config, device, source : str
        Of the run; where the images came from.
    batch, images : int
        Images of a run of the device, and in all.
    scores : dict of str to Score
        Of "float", "integers" and "device"; of the device alone where there is no network. Where
        weights have fewer bits than 8, also of "8 bits".
    mismatches : int or None
        Images for which the device's integers differ from the golden model's; None if not compared.
    cycles : int or None
        Of all runs of the device; None where it does not count.
    left_out : int
        Images that could not be read.
    seconds : float
        Wall time.
    labels : ndarray of int64, shape (images,)
    classes : dict of str to ndarray of int64, shape (images,)
        The class that each of the scores' computations says.
    """

    network: str
    config: str
    device: str
    source: str
    batch: int
    images: int
    scores: Mapping[str, Score]
    mismatches: int | None
    cycles: int | None
    left_out: int
    seconds: float
    labels: np.ndarray
    classes: Mapping[str, np.ndarray] = field(default_factory=dict)

    def confusion(self, by: str = "device") -> dict[tuple[int, int], int]:
        """Return how many images of a class are taken for a class: counts by (class, said)."""
        pairs, counts = np.unique(
            np.stack([self.labels, self.classes[by]]), axis=1, return_counts=True
        )
        return {(int(a), int(b)): int(n) for a, b, n in zip(*pairs, counts, strict=True)}

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values; shares are of the images."""
        return {
            "schema": SCHEMA,
            "tool": describe(),
            "network": self.network,
            "config": self.config,
            "device": self.device,
            "data": self.source,
            "batch": self.batch,
            "images": self.images,
            "left_out": self.left_out,
            "accuracy": {
                name: {
                    "by": score.by,
                    "top1": score.top1 / self.images,
                    "top5": score.top5 / self.images,
                    "agree": score.agree / self.images,
                }
                for name, score in self.scores.items()
            },
            "mismatches": self.mismatches,
            "cycles": self.cycles,
            "seconds": round(self.seconds, 3),
            "labels": self.labels.tolist(),
            "classes": {name: found.tolist() for name, found in self.classes.items()},
        }


def evaluate(request: Request, data: Path, limit: int | None, log: Log) -> Evaluation:
    """Quantise and compile a network, and evaluate it.

    Parameters
    ----------
    request : Request
        Scales are calibrated on some of the data unless it names others.
    data : Path
        As of :func:`systolith_host.flow.dataset.open_dataset`.
    limit : int, optional
        Most images, spread evenly over the data.
    log : Log

    Raises
    ------
    SystolithError
        If anything of it cannot be used, or the device fails.
    """
    backend = choose_backend(request.device, request.options)
    loaded, labels = load_request(request, log, data=data)
    graph = loaded.graph
    shape, classes = graph.shapes[graph.input], int(np.prod(graph.shapes[graph.output]))
    dataset = open_dataset(data, shape, classes, labels, loaded.form).limited(limit)
    request = replace(request, batch=min(request.batch, len(dataset)))
    config = request.config or PRESETS["default"]
    how = request.quantisation
    refuse_options(loaded, how, calibrated=bool(request.calibrate))
    samples = None
    if request.calibrate:
        files = list(request.calibrate)
        samples = gather_samples(files, shape, log, "--calibrate", loaded.form)
    elif not loaded.quantised:
        log.stage("reading images")
        samples = dataset.samples(SAMPLES, log)
        log.message(f"calibrated on {len(samples)} of the images; --calibrate names others")
    width = config.multiplier_width
    quantised = quantise(loaded, samples, how.settled(careful=True), width, log)
    log.stage("compiling")
    program = compile_network(
        quantised.qgraph,
        config,
        request.batch,
        fuse_pool=request.fuse_pool,
        memory=backend.memory,
        progress=log.update,
    )
    return evaluate_program(program, (loaded, quantised), dataset, backend, log)


def evaluate_program(
    program: Program,
    network: tuple[Loaded, Quantised] | None,
    dataset: Dataset,
    backend: Backend,
    log: Log,
) -> Evaluation:
    """Evaluate a program, and the network that it was made from.

    Parameters
    ----------
    program : Program
    network : (Loaded, Quantised), optional
        Without it the device is evaluated alone.
    dataset : Dataset
    backend : Backend
    log : Log
        Hears how many images are done.

    Raises
    ------
    SystolithError
        If no image can be read, or the device fails.
    """
    start = time.monotonic()
    if network is not None and network[0].model is not None:
        others = [name for name in network[0].model.epilogue if name not in _SAME_RANKING]
        if others:
            raise SystolithError(
                f"{network[0].network}: ends with {others[0]} on the host, whose result is not "
                "evaluated: cut the file before it"
            )
    backend.check(program)
    log.stage("building the simulator")
    backend.prepare(program, Observer(stage=log.stage, update=log.update, message=log.message))
    floats = _float_network(*network, log) if network is not None else None
    outputs: dict[str, list[np.ndarray]]
    outputs = {"float": [], "8 bits": [], "integers": [], "device": []}
    labels: list[np.ndarray] = []
    mismatches = cycles = done = 0
    log.stage("evaluating")
    for images, numbers in dataset.batches(program.batch, log):
        filled = images[np.arange(program.batch) % len(images)]
        count = len(images)
        x = integers(program.places[program.input], filled)
        given, observer = {program.input: x}, _observer(program, log, done, count, len(dataset))
        if program.host:
            outcomes = run_in_turn(program, given, backend, observer)
        else:
            jobs = plan_jobs(program.layers, given, sequential=True, parts=program.parts)
            outcomes = backend.run(program, jobs, observer)
        found = left_tensors(program, outcomes)[program.output][:count]
        outputs["device"].append(real(program.places[program.output], found).reshape(count, -1))
        cycles += sum(outcome.counters.cycles for outcome in outcomes)
        if network is not None and floats is not None:
            qgraph = network[1].qgraph
            golden = run_golden(qgraph, quantize_input(qgraph, images))[qgraph.output]
            mismatches += int((golden != found).reshape(count, -1).any(axis=1).sum())
            place = program.places[program.output]
            outputs["integers"].append(real(place, golden).reshape(count, -1))
            outputs["float"].append(floats[1](images).reshape(count, -1))
            wide = network[1].wide
            if wide is not None:
                other = run_golden(wide, quantize_input(wide, images))[wide.output]
                outputs["8 bits"].append(real(place, other).reshape(count, -1))
        labels.append(numbers)
        done += count
        log.update(f"{done:,} of {len(dataset):,} images", done, len(dataset))
    if not labels:
        raise SystolithError(f"{dataset.source}: has no image that can be read")
    wanted = np.concatenate(labels)
    by = {"device": backend.facts.device}
    if floats is not None:
        wide = {"8 bits": "golden model"} if outputs["8 bits"] else {}
        by = {"float": floats[0], **wide, "integers": "golden model", **by}
    scores, said = _scores({name: outputs[name] for name in by}, by, wanted)
    return Evaluation(
        network=program.network,
        config=program.config.name,
        device=backend.facts.device,
        source=dataset.source,
        batch=program.batch,
        images=len(wanted),
        scores=scores,
        mismatches=None if network is None else mismatches,
        cycles=cycles if backend.facts.counts_cycles else None,
        left_out=len(dataset) - len(wanted),
        seconds=time.monotonic() - start,
        labels=wanted,
        classes=said,
    )


def _observer(program: Program, log: Log, done: int, count: int, total: int) -> Observer:
    """Return an observer that tells how far the images of a run are, by the predicted cycles."""
    ahead, before = {}, 0
    for layer in program.layers:
        ahead[layer.name] = before
        before += layer.predicted_cycles
    what = f"{done:,} of {total:,} images"

    def at(layer: str, cycles: int) -> None:
        share = min(1.0, (ahead[layer] + cycles) / max(before, 1))
        log.update(what, done + count * share, total)

    return Observer(at=at, message=log.message)


def _float_network(
    loaded: Loaded, quantised: Quantised, log: Log
) -> tuple[str, Callable[[np.ndarray], np.ndarray]]:
    """Return what computes the float network, in words, and the function that does."""
    if loaded.model is not None and loaded.graph.output in loaded.model.names:
        from systolith_host.frontend.reference import CannotRunError, Session  # imports onnx

        name = loaded.model.names[loaded.graph.output]
        shape = tuple(loaded.graph.shapes[loaded.graph.input])
        try:
            model = loaded.model
            session = Session(
                Path(loaded.network), shape, [name], model.layouts, model.whole, model.row
            )
            session.run([name], np.zeros((1, *shape), np.float32))
        except (MissingExtraError, CannotRunError) as error:
            log.message(f"the float network is not onnxruntime's: {error}")
        else:
            by = "onnxruntime, in its integers" if loaded.quantised else "onnxruntime"
            return by, lambda x: session.run([name], x)[0]
    return "float network", quantised.float_output


def _scores(
    outputs: Mapping[str, list[np.ndarray]], by: Mapping[str, str], labels: np.ndarray
) -> tuple[dict[str, Score], dict[str, np.ndarray]]:
    """Return the scores, and the classes that each computation says."""
    best = {
        name: np.argsort(-np.concatenate(parts).astype(np.float64), axis=1, kind="stable")[:, :_TOP]
        for name, parts in outputs.items()
    }
    first = {name: ranked[:, 0] for name, ranked in best.items()}
    reference = first.get("float", labels)
    scores = {
        name: Score(
            by[name],
            int((first[name] == labels).sum()),
            int((ranked == labels[:, None]).any(axis=1).sum()),
            int((first[name] == reference).sum()),
        )
        for name, ranked in best.items()
    }
    return scores, first
