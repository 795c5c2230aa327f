"""The judge from outside: compares a network read from an ONNX file with onnxruntime."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.extras import MissingExtraError
from systolith_host.frontend.differences import FAULT, node_differences, share, walk
from systolith_host.frontend.judge_batch import check_images_apart
from systolith_host.frontend.judge_end import check_end
from systolith_host.frontend.judge_size import too_large
from systolith_host.frontend.onnx import OnnxModel
from systolith_host.frontend.reference import CannotRunError, Reference
from systolith_host.network.fold import fold
from systolith_host.network.forward import run_float
from systolith_host.network.golden import run_golden, run_layer
from systolith_host.network.qgraph import QGraph, QLayer
from systolith_host.quantize.quantize import quantize_input, quantize_scaled

__all__ = ["Agreement", "Judged", "agreements", "judge", "judge_float", "judge_integers"]

ROUNDING = 1e-4
"""Difference of float values, by their size, that another order of the same sums can make."""

_HALF_ROUNDING = 8e-3
"""The same in a file that computes with the 11 bits of float16."""


@dataclass(frozen=True, eq=False)
class Judged:
    """The result of a comparison.

    Parameters
    ----------
    line : str
        For people.
    output : ndarray of float32, optional
        onnxruntime's output of the float network; None if nothing was compared.
    rounding : float
        Largest :func:`share` that another computation of the same output may have.
    difference : float, optional
        That :func:`share` of this computation, of all outputs the largest.
    """

    line: str
    output: np.ndarray | None = None
    rounding: float = ROUNDING
    difference: float | None = None

    def check(self, output: np.ndarray, what: str) -> None:
        """Raise a SystolithError if something has changed the float network's output."""
        if self.output is None:
            return
        difference = share(output, self.output)
        if difference > self.rounding:
            raise SystolithError(
                f"{what} changed the float network: its output differs from onnxruntime's by "
                f"{difference:.1g} of the largest; {FAULT}"
            )


@dataclass(frozen=True)
class Agreement:
    """How a layer's integers compare with onnxruntime's, both from the same inputs.

    Parameters
    ----------
    layer, kind : str
    values, different : int
        Compared, and unequal.
    largest : int
        Largest difference.
    step : int
        Largest difference that one step before the layer's function can make; 1 without one.
    """

    layer: str
    kind: str
    values: int
    different: int
    largest: int
    step: int = 1

    def __add__(self, other: "Agreement") -> "Agreement":
        """Return both together."""
        return Agreement(
            self.layer,
            self.kind,
            self.values + other.values,
            self.different + other.different,
            max(self.largest, other.largest),
            max(self.step, other.step),
        )

    @property
    def is_rounding(self) -> bool:
        """Whether it is explained by values next to a half, which fall on different sides.

        All may be there, as in a sum of two tensors whose result has twice their scale; then every
        other one differs, as halves are rounded up here and to the even neighbour there. The limit
        is four standard deviations above that half, and eight values for the smallest tensors.
        """
        limit = self.values / 2 + 2 * math.sqrt(self.values)
        return self.largest <= self.step and self.different <= max(8, limit)


def judge(path: Path, model: OnnxModel, multiplier_width: int) -> str:
    """Compare a file with onnxruntime on a random image, always the same; return a line.

    Parameters
    ----------
    path : Path
        The ONNX file.
    model : OnnxModel
        The network read from it.
    multiplier_width : int
        Bits of the requantiser's multiplier, for a file that was quantised before.

    Raises
    ------
    SystolithError
        If something differs by more than rounding; it names the first node that does.
    """
    large = too_large(model.graph)
    if large:
        return large
    rng = np.random.default_rng(0)
    shape, scale = (1, *model.graph.shapes[model.graph.input]), model.scales.get(model.graph.input)
    if model.row is not None:
        x = model.row.random(rng)
    elif model.whole is not None and scale is None:
        x = model.whole.real(rng.integers(*model.whole.likely, shape, endpoint=True))
    elif scale is not None:
        steps = rng.integers(scale.low, scale.high, shape, endpoint=True) - scale.zero_point
        x = (steps * scale.scale).astype(np.float32)
    else:
        x = rng.standard_normal(shape, np.float32)
    if not model.scales:
        return judge_float(path, model, x).line
    qgraph = quantize_scaled(model.graph, model.weights, model.scales, multiplier_width)
    return judge_integers(path, model, qgraph, x, run_golden(qgraph, quantize_input(qgraph, x)))


def judge_float(path: Path, model: OnnxModel, x: np.ndarray) -> Judged:
    """Compare the float network with onnxruntime: the outputs, and if they differ every tensor.

    Parameters
    ----------
    path : Path
        The ONNX file.
    model : OnnxModel
        The network read from it.
    x : ndarray of float32, shape (1, channels, height, width) or (1, features)

    Raises
    ------
    SystolithError
        If something differs by more than rounding; it names the first node that does from
        onnxruntime's inputs.
    """
    graph = model.graph
    large = too_large(graph)
    if large:
        return Judged(large)
    try:
        names = [model.names[output] for output in graph.outputs]
        reference = _reference(path, model, x, names, model.ends)
        theirs = [reference.take(name).astype(np.float32) for name in names]
        wanted_ends = {name: reference.take(name) for name in model.ends}
        rounding = _HALF_ROUNDING if reference.half else ROUNDING
        check_images_apart(path, model, x, reference.images, rounding)
        del reference
        if not all(np.isfinite(values).all() for values in theirs):
            return Judged("not compared with onnxruntime, whose output is not finite")
        wanted = theirs[0]
        tensors = run_float(graph, model.weights, x)
        found = {name: y for name, y in tensors if name in graph.outputs}
        pairs = zip(graph.outputs, theirs, strict=True)
        difference = max(share(found[output], values) for output, values in pairs)
        if model.end is not None:
            check_end(
                path,
                model.end,
                {graph.input: x, **dict(zip(graph.outputs, theirs, strict=True))},
                wanted_ends,
                rounding,
            )
        if graph.input in graph.outputs and difference > rounding:
            kept = share(x, theirs[graph.outputs.index(graph.input)])
            if kept > _HALF_ROUNDING:
                raise SystolithError(f"{path}: an output is taken for the input; {FAULT}")
        if difference <= rounding:
            line = f"float network equals onnxruntime: {difference:.1g}"
            return Judged(line, wanted, rounding, difference)
        for node, by in node_differences(path, model, x):
            if by > rounding:
                raise SystolithError(
                    f"{path}: {node.name} ({type(node).__name__}) computes something else than "
                    f"onnxruntime: from the same inputs its output differs by {by:.1g} of its "
                    f"size, that of the network by {difference:.1g}; {FAULT}"
                )
        if difference == np.inf:
            raise SystolithError(f"{path}: its output has another shape or other values; {FAULT}")
    except MissingExtraError as error:
        return Judged(f"not compared: {error}")
    except CannotRunError as error:
        if model.hosted:  # nobody else could run the host's nodes
            raise SystolithError(f"{path}: onnxruntime cannot run the file: {error}") from None
        return Judged(f"not compared with onnxruntime, which cannot run the file: {error}")
    return Judged(
        f"float network is {difference:.1g} from onnxruntime by rounding: from the same inputs no "
        "node differs",
        wanted,
        max(rounding, 2 * difference),
        difference,
    )


def judge_integers(
    path: Path,
    model: OnnxModel,
    qgraph: QGraph,
    x: np.ndarray,
    golden: Mapping[str, np.ndarray],
) -> str:
    """Compare the golden model with onnxruntime; return a line.

    First the outputs, then, unless they are equal but for rounding, every layer.

    Parameters
    ----------
    path : Path
        An ONNX file that was quantised before.
    model : OnnxModel
        The network read from it.
    qgraph : QGraph
        The integer network made from it.
    x : ndarray of float32, shape (1, channels, height, width) or (1, features)
    golden : mapping of str to ndarray of integers, shape (1, K, P, Q)
        Its outputs, and maybe more tensors, by the golden model.

    Raises
    ------
    SystolithError
        If something differs by more than rounding; it names the first layer that does from
        onnxruntime's inputs.
    """
    large = too_large(model.graph)
    if large:
        return large
    try:
        theirs = _Integers(path, model, qgraph, x, qgraph.outputs, model.ends)
        whole = Agreement("", "", 0, 0, 0)
        given = {model.graph.input: x}
        for name, output in zip(qgraph.outputs, model.graph.outputs, strict=True):
            wanted, found = theirs.take(name), golden[name]
            if wanted is None or wanted.size != found.size:
                raise SystolithError(f"{path}: its output has another shape; {FAULT}")
            whole += _agreement("", "", found, wanted)
            tensor = qgraph.tensors[name]
            given[output] = (
                wanted.astype(np.float32) - np.float32(tensor.zero_point)
            ) * np.float32(tensor.scale)
        check_images_apart(path, model, x, theirs.images, ROUNDING)
        if model.end is not None:
            check_end(path, model.end, given, theirs.take_ends(), ROUNDING)
        del theirs
        equal = whole.values - whole.different
        line = f"integers equal onnxruntime's in {equal:,} of {whole.values:,} outputs"
        if not whole.different:
            return line
        line += f", largest difference {whole.largest}"
        if whole.is_rounding:
            return line
        for row in agreements(path, model, qgraph, x):
            if not row.is_rounding:
                raise SystolithError(
                    f"{path}: {row.layer} ({row.kind}) computes something else than onnxruntime: "
                    f"from the same inputs {row.different:,} of its {row.values:,} integers "
                    f"differ, by up to {row.largest}; {FAULT}"
                )
    except MissingExtraError as error:
        return f"not compared: {error}"
    except CannotRunError as error:
        if model.hosted:
            raise SystolithError(f"{path}: onnxruntime cannot run the file: {error}") from None
        return f"not compared with onnxruntime, which cannot run the file: {error}"
    return f"{line}, by rounding: from the same inputs no layer differs by more than 1"


def agreements(path: Path, model: OnnxModel, qgraph: QGraph, x: np.ndarray) -> Iterator[Agreement]:
    """Yield how the input and every layer agree with onnxruntime, from onnxruntime's inputs.

    Where onnxruntime has no integers of a tensor, the golden model's go on. Parameters as of
    :func:`judge_integers`.

    Raises
    ------
    CannotRunError
        If onnxruntime fails.
    """
    names = [qgraph.input, *(layer.output for layer in qgraph.layers)]
    theirs = _Integers(path, model, qgraph, x, names)
    first = quantize_input(qgraph, x)
    wanted = theirs.take(qgraph.input)
    if wanted is not None:
        yield _agreement(qgraph.input, "input", first, wanted)

    def compute(layer: QLayer, inputs: list[np.ndarray]) -> np.ndarray:
        return run_layer(qgraph, layer, *inputs)

    start = {qgraph.input: first if wanted is None else wanted.reshape(first.shape)}
    for layer, _, found, wanted in walk(qgraph.layers, start, compute, theirs.take):
        row = _agreement(layer.name, getattr(layer, "kind", type(layer).__name__), found, wanted)
        table = getattr(layer, "table", None)
        steps = np.abs(np.diff(table.values)).max() if table is not None else 1
        yield replace(row, step=max(1, int(steps)))


def _reference(
    path: Path, model: OnnxModel, x: np.ndarray, names: Sequence[str], ends: Sequence[str]
) -> Reference:
    """Return onnxruntime on tensors, in this network's layouts, and on the host's outputs."""
    layouts = {name: layout for name, layout in model.layouts.items() if name not in ends}
    return Reference(path, x, [*names, *ends], layouts, model.whole, model.row)


class _Integers:
    """Tensors of an integer network as onnxruntime has them; parameters as of judge_integers.

    The host's outputs come from the same run: another one, which gives other tensors, may leave out
    a QuantizeLinear, and saturated values that are equal here are not equal there.
    """

    def __init__(
        self,
        path: Path,
        model: OnnxModel,
        qgraph: QGraph,
        x: np.ndarray,
        names: Sequence[str],
        ends: Sequence[str] = (),
    ) -> None:
        real = {model.graph.input: model.graph.input}
        real |= {layer.node.name: layer.output for layer in fold(model.graph, model.scales)}
        self._scales = {n: model.scales[real[n]] for n in names if real.get(n) in model.scales}
        self._whole = {name for name in names if real.get(name) in model.integers}
        self._sources = {
            name: model.integers.get(real[name]) or model.names[real[name]]
            for name in names
            if name in self._scales and (real[name] in model.integers or real[name] in model.names)
        }
        wanted = list(self._sources.values())
        self._ends = ends
        self._reference = _reference(path, model, x, wanted, ends)
        self.images = self._reference.images

    def take(self, name: str) -> np.ndarray | None:
        """Return a tensor's integers in onnxruntime's shape; None if there is none."""
        if name not in self._sources:
            return None
        values = self._reference.take(self._sources[name])
        if name not in self._whole:  # dequantised before a pool
            values = self._scales[name].quantize(values)
        return values

    def take_ends(self) -> dict[str, np.ndarray]:
        """Return the host's outputs."""
        return {name: self._reference.take(name) for name in self._ends}


def _agreement(layer: str, kind: str, found: np.ndarray, wanted: np.ndarray) -> Agreement:
    difference = np.abs(found.astype(np.int64) - wanted.reshape(found.shape))
    count = int(np.count_nonzero(difference))
    return Agreement(layer, kind, difference.size, count, int(difference.max()))
