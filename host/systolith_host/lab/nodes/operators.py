"""Whether onnx's own tests of its operators pass: on the array, with the host, or by a refusal."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from systolith_host.errors import SystolithError
from systolith_host.frontend.differences import FAULT
from systolith_host.frontend.judge import judge_float
from systolith_host.frontend.onnx import OnnxModel, inspect_onnx
from systolith_host.frontend.reference import Session
from systolith_host.lab.float_bounds import Integers
from systolith_host.lab.nodes.cases import CLAIMED, NodeTest, TestNetwork
from systolith_host.network.forward import run_float
from systolith_host.network.golden import run_golden
from systolith_host.quantize.calibrate import calibrate
from systolith_host.quantize.quantize import quantize, quantize_input

__all__ = ["OUTCOMES", "Verdict", "count_verdicts", "judge_node"]

OUTCOMES = ("array", "host", "refused", "onnxruntime", "wrong")
"""Of a test: the array computes it, or the host does, or a line says why neither does.

"onnxruntime": the outputs are onnxruntime's, which are not onnx's. "wrong": they are neither's.
"""

_WIDTH = 16
"""Bits of the multipliers."""

_DAMAGED = "is damaged"
"""Said of a file that onnx wrote, this is wrong."""


@dataclass(frozen=True)
class Verdict:
    """What became of a test; `reason` is why it is refused, or how it differs."""

    name: str
    operator: str
    outcome: str
    reason: str = ""


def judge_node(test: NodeTest, folder: Path) -> Verdict:
    """Read a test's network and compare it with onnx's result, in floats and in integers.

    Parameters
    ----------
    test : NodeTest
    folder : Path
        For the file.
    """
    path = folder / "net.onnx"
    try:
        outcome, reason = _judge(test, test.alone, path, host=False)
        if outcome == "refused" and test.between is not None:
            outcome, other = _judge(test, test.between, path, host=True)
            reason = reason if outcome == "refused" else other
        if any(text in reason for text in (_DAMAGED, FAULT)):
            outcome = "wrong"
    except Exception as error:  # whatever it is, users would see a traceback
        outcome, reason = "wrong", f"{type(error).__name__}: {error}"
    return Verdict(test.name, test.operator, outcome, " ".join(reason.split()))


def _judge(test: NodeTest, network: TestNetwork, path: Path, *, host: bool) -> tuple[str, str]:
    """Return the outcome of a network and its reason."""
    onnx.save(network.proto, path)
    try:
        model, problems = inspect_onnx(path, host_nodes=host, functions=True)
        if model is None:
            assert problems, "nothing says why it is refused"
            return "refused", "; ".join(map(str, problems))
        if model.epilogue and model.end is None:
            return "refused", "the host would compute all of it"
        x = test.x.astype(np.float32)
        x = np.moveaxis(x, -1, 1) if model.channels_last else x
        judge_float(path, model, x[:1])
        found = _outputs(model, x)
        other = _difference(test, model, found, network.wanted)
        if other:
            theirs = Session(path, test.x.shape[1:], []).run(list(found), test.x)
            named = dict(zip(found, theirs, strict=True))
            outcome = "wrong" if _difference(test, model, found, named) else "onnxruntime"
            return outcome, f"{other} is not onnx's"
        if all(np.isfinite(y).all() for y in (x, *network.wanted.values())):
            weights = model.weights
            calibration = calibrate(model.graph, weights, x)
            qgraph = quantize(model.graph, weights, calibration, _WIDTH)
            golden = run_golden(qgraph, quantize_input(qgraph, x))
            Integers(model.graph, weights, qgraph, golden, _WIDTH).check()
    except SystolithError as error:
        return "refused", str(error).removeprefix(f"{path}: ")
    return ("host" if model.hosted or model.end is not None else "array"), ""


def _outputs(model: OnnxModel, x: np.ndarray) -> dict[str, np.ndarray]:
    """Return all outputs of the file, with those that the host makes at its end."""
    graph = model.graph
    tensors = {graph.input: x, **dict(run_float(graph, model.weights, x))}
    made: dict[str, np.ndarray] = {}
    if model.end is not None:
        made = model.end.run([tensors[name] for name in model.end.inputs])
    return {n: made[n] if n in made else tensors[model.outputs[n]] for n in model.files}


def _difference(
    test: NodeTest,
    model: OnnxModel,
    found: Mapping[str, np.ndarray],
    wanted: Mapping[str, np.ndarray],
) -> str | None:
    """Return the first output that is another than wanted, None if all are equal."""
    for name, values in wanted.items():
        layout = None if name in model.ends else model.layouts.get(name)
        real = values if layout is None else layout.into(values)
        y = found[name]
        if y.size != real.size or not _near(y.reshape(real.shape), real, test):
            return f"output {name}"
    return None


def _near(found: np.ndarray, wanted: np.ndarray, test: NodeTest) -> bool:
    if wanted.dtype.kind not in "fc":
        return bool(np.array_equal(found, wanted))
    rtol, atol = max(test.rtol, 1e-4), max(test.atol, 1e-5)
    if np.float16 in (test.x.dtype, wanted.dtype):
        rtol = atol = 1e-2
    real = wanted.astype(np.float64)
    size = np.abs(real[np.isfinite(real)]).max(initial=1)
    return bool(np.allclose(found, real, rtol=rtol, atol=atol * size, equal_nan=True))


def count_verdicts(verdicts: Iterable[Verdict]) -> dict[str, dict[str, int]]:
    """Return the number of tests with each outcome, by operator; those not claimed as "others"."""
    counts: dict[str, Counter[str]] = {}
    for verdict in verdicts:
        operator = verdict.operator if verdict.operator in CLAIMED else "others"
        counts.setdefault(operator, Counter())[verdict.outcome] += 1
    order: Sequence[str] = sorted(counts, key=lambda name: (name == "others", name))
    return {name: {each: counts[name][each] for each in OUTCOMES} for name in order}
