"""Where a computation first leaves onnxruntime's: step by step, each from onnxruntime's inputs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.frontend.onnx import OnnxModel
from systolith_host.frontend.reference import Reference
from systolith_host.network.forward import run_node
from systolith_host.network.graph import Clip, Function, LayerWeights, Node, Relu, Weights

__all__ = ["FAULT", "node_differences", "share", "walk"]

FAULT = "this is a fault of Systolith: please report it with the file"

LEAST_OF_FUNCTION = 1e-2
"""Differences of functions are shares of this at least, so that those below 1e-6 are rounding."""


def share(found: np.ndarray, wanted: np.ndarray, size: float | None = None) -> float:
    """Return the largest difference, divided by a size: the largest wanted value if not given.

    It is infinite if the numbers of values differ, or some values are not finite.
    """
    if found.size != wanted.size:
        return np.inf
    difference = float(np.abs(found - wanted.reshape(found.shape)).max())
    if not np.isfinite(difference):
        return np.inf
    size = float(np.abs(wanted).max()) if size is None else size
    return difference / size if size else (np.inf if difference else 0.0)


Step = TypeVar("Step", bound="_HasTensors")


class _HasTensors(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def inputs(self) -> tuple[str, ...]: ...

    @property
    def output(self) -> str: ...


def walk(
    steps: Sequence[Step],
    start: Mapping[str, np.ndarray],
    compute: Callable[[Step, list[np.ndarray]], np.ndarray],
    take: Callable[[str], np.ndarray | None],
) -> Iterator[tuple[Step, list[np.ndarray], np.ndarray, np.ndarray]]:
    """Yield steps with their inputs, what they compute of them, and what onnxruntime has.

    Inputs are onnxruntime's where it has them. A tensor is kept until its last use.
    """
    last_use = {name: index for index, step in enumerate(steps) for name in step.inputs}
    tensors = dict(start)
    for index, step in enumerate(steps):
        inputs = [tensors[name] for name in step.inputs]
        found = compute(step, inputs)
        wanted = take(step.output)
        if wanted is not None and wanted.size != found.size:
            raise SystolithError(
                f"{step.name}: makes {found.size} values where onnxruntime has {wanted.size}; "
                f"{FAULT}"
            )
        if wanted is not None:
            wanted = wanted.reshape(found.shape)
            yield step, inputs, found, wanted
        tensors[step.output] = found if wanted is None else wanted
        for name in set(step.inputs):
            if last_use[name] == index:
                del tensors[name]


def node_differences(path: Path, model: OnnxModel, x: np.ndarray) -> Iterator[tuple[Node, float]]:
    """Yield by how much each node differs, against the root of the sum of its squared terms."""
    graph, names = model.graph, model.names
    wanted = [names[node.output] for node in graph.nodes if node.output in names]
    reference = Reference(path, x, wanted, model.layouts, model.whole, model.row)

    def compute(node: Node, inputs: list[np.ndarray]) -> np.ndarray:
        return run_node(node, model.weights, inputs)

    def take(name: str) -> np.ndarray | None:
        return reference.take(names[name]).astype(np.float32) if name in names else None

    for node, inputs, found, theirs in walk(graph.nodes, {graph.input: x}, compute, take):
        if np.isfinite(theirs).all():
            yield node, share(found, theirs, _size(node, model.weights, inputs))


def _size(node: Node, weights: Weights, inputs: list[np.ndarray]) -> float:
    """Return how large a node's output would be if its terms had random signs."""
    squares = [values * values for values in inputs]
    if isinstance(node, Function):
        # Single precision loses small values where a function passes 1, as in exp(x) - 1.
        return max(float(np.sqrt(squares[0].max())), LEAST_OF_FUNCTION)
    if isinstance(node, Relu | Clip):
        return float(np.sqrt(squares[0].max()))
    if node.name in weights:
        made = weights[node.name]
        bias = np.square(made.bias.astype(np.float64))
        weights = {node.name: LayerWeights(made.weight * made.weight, bias)}
    return float(np.sqrt(run_node(node, weights, squares).max()))
