"""How far a network's integers may be from its float network, layer by layer; for tests."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from systolith_host.network.fold import FoldedLayer, fold
from systolith_host.network.forward import run_float, run_node
from systolith_host.network.functions import evaluate
from systolith_host.network.graph import Conv, Function, Graph, LayerWeights, Linear, Node, Weights
from systolith_host.network.qgraph import QAdd, QConv, QGraph, QTable, QTensor
from systolith_host.network.scales import quantize_weight

__all__ = ["Integers", "check_correction"]

_HALF = 0.501
"""Half a step, and a little for the rounding of the computation."""

_ROUNDING = 1e-6
"""Of float32, as a share of the largest value."""


@dataclass
class Integers:
    """The golden model's integers, to be checked against the float nodes layer by layer.

    The bound is the effect of rounding on one layer with its inputs as they are: half a step of
    its output, half a step of every weight and of the bias, and of the multiplier one part in
    2**(width - 1). A network of any depth is near its float network if every layer is within it;
    no bound on the whole would notice as much.

    Parameters
    ----------
    graph, weights
        The float network.
    qgraph : QGraph
    golden : mapping of str to ndarray, shape (N, C, H, W)
    width : int
        Bits of the multipliers.
    """

    graph: Graph
    weights: Weights
    qgraph: QGraph
    golden: Mapping[str, np.ndarray]
    width: int

    def check(self) -> None:
        """Raise an AssertionError that names the first node beyond the bound."""
        graph = self.graph
        folded = {layer.output: layer for layer in fold(graph)}
        names = {graph.input: graph.input}
        names |= {output: layer.node.name for output, layer in folded.items()}
        tensors = {graph.input: self._real(names[graph.input], graph.input)}
        bounds: dict[str, np.ndarray] = {graph.input: np.zeros(1)}
        for node in graph.nodes:
            inputs = [tensors[name] for name in node.inputs]
            found = run_node(node, self.weights, inputs)
            slack = self._slack(node, inputs, names, found)
            if slack is None:  # a clamp inside of a layer, or another name
                slack = bounds[node.inputs[0]]
                slack = slack.reshape(found.shape) if slack.size == found.size else slack
            tensors[node.output], bounds[node.output] = found, slack
            if node.output not in names:
                continue
            integers = self._real(names[node.output], node.output)
            if isinstance(node, Function):
                self._check_table(folded[node.output], inputs[0], bounds[node.input], integers)
            else:
                self._check_values(node, names[node.output], found, slack, integers)
            tensors[node.output], bounds[node.output] = integers, np.zeros(1)

    def _check_values(
        self, node: Node, name: str, found: np.ndarray, slack: np.ndarray, integers: np.ndarray
    ) -> None:
        tensor = self.qgraph.tensors[name]
        # A divisor may round to 0; a quotient that is no number becomes 0, as is defined.
        wanted = np.clip(np.where(np.isnan(found), 0, found), *_ends(tensor))
        error = np.abs(integers - wanted)
        most = np.abs(found[np.isfinite(found)]).max(initial=0)
        limit = slack + tensor.scale * _HALF + _ROUNDING * most
        assert (error <= limit).all(), (node, (error / limit).max(), tensor)

    def _check_table(
        self, layer: FoldedLayer, before: np.ndarray, slack: np.ndarray, integers: np.ndarray
    ) -> None:
        """Check a function of values that may be off by `slack` and half a step of their own.

        A result must be that of one of the steps within this reach, or lie between two of them.
        """
        made = next(each for each in self.qgraph.layers if each.name == layer.node.name)
        assert isinstance(made, QConv | QAdd), made
        table, tensor = made.table, self.qgraph.tensors[made.output]
        assert table is not None, made
        low, _ = _ends(table)
        steps = np.arange(256) * table.scale + low
        values = np.clip(evaluate(layer.steps, steps), *_ends(tensor))
        reach = slack + _HALF * table.scale + _ROUNDING * np.abs(before).max()
        first = np.ceil(np.clip((before - reach - low) / table.scale, 0, 255))
        last = np.floor(np.clip((before + reach - low) / table.scale, 0, 255))
        rounding = _HALF * tensor.scale + _ROUNDING * np.abs(values).max()
        places = np.broadcast(integers, before, first.astype(int), last.astype(int))
        for y, x, one, other in places:
            within = values[one : other + 1]
            near_enough = within.min() - rounding <= y <= within.max() + rounding
            assert near_enough, (layer.node, x, y, within)

    def _real(self, name: str, tensor: str) -> np.ndarray:
        """Return the golden model's integers as the real values that they stand for."""
        made = self.qgraph.tensors[name]
        values = (self.golden[name].astype(np.float64) - made.zero_point) * made.scale
        return values.reshape(len(values), *self.graph.shapes[tensor])

    def _slack(
        self, node: Node, inputs: list[np.ndarray], names: Mapping[str, str], found: np.ndarray
    ) -> np.ndarray | None:
        """Return by how much a node's weights and multiplier may miss; None if it has none."""
        relative = 2.0 ** (1 - self.width)
        if isinstance(node, Conv | Linear):
            made = self.weights[node.name]
            source = node.input
            while source not in names:
                (source,) = [n.input for n in self.graph.nodes if n.output == source]
            step = self.qgraph.tensors[names[source]].scale
            _, _, scale = quantize_weight(made.weight, made.bias, step)
            half = np.broadcast_to(
                (scale / 2).reshape(-1, *[1] * (made.weight.ndim - 1)), made.weight.shape
            )
            absolute = [np.abs(x) for x in inputs]
            rounding = {node.name: LayerWeights(half, step * scale / 2)}
            whole = {node.name: LayerWeights(np.abs(made.weight), np.abs(made.bias))}
            return run_node(node, rounding, absolute) + relative * run_node(node, whole, absolute)
        if type(node).__name__ in ("Relu", "Clip", "Flatten"):
            return None
        return relative * np.full(1, sum(np.abs(x).max() for x in inputs))


def _ends(tensor: QTensor | QTable) -> np.ndarray:
    """Return the real values of the least and the largest integer."""
    ends = np.array([0, 255]) if tensor.unsigned else np.array([-128, 127])
    return (ends - tensor.zero_point) * tensor.scale


def check_correction(
    graph: Graph,
    weights: Weights,
    qgraph: QGraph,
    golden: Mapping[str, np.ndarray],
    images: np.ndarray,
) -> None:
    """Check that the mean of each channel of corrected sums, before clamps, is the float network's.

    It may miss by half a step of the bias. Channels that a clamp or the type's end holds somewhere
    are left out: there the means behind the clamps count.
    """
    nodes = {node.name: node for node in graph.weighted}
    floats = dict(run_float(graph, weights, images))
    for layer in qgraph.layers:
        node = nodes.get(layer.name)
        if not isinstance(layer, QConv) or node is None:
            continue
        source, target = qgraph.tensors[layer.input], layer.table or qgraph.tensors[layer.output]
        real = weights[node.name]
        integers = golden[layer.input].astype(np.float64) - source.zero_point
        whole = LayerWeights(layer.weight.reshape(real.weight.shape), layer.bias)
        shape = floats[node.input].shape
        sums = run_node(node, {node.name: whole}, [integers.reshape(shape)])
        wanted = run_node(node, weights, [floats[node.input]])
        axes = (0, *range(2, wanted.ndim))
        step = np.ldexp(layer.multiplier.astype(np.float64), -layer.shift) * target.scale
        missed = np.abs(sums.mean(axis=axes) * step - wanted.mean(axis=axes))
        # Not where a step of the sums vanishes in the output, or crosses all of it.
        free = (step > 2.0**-31 * target.scale) & (step < 255 * target.scale)
        free &= np.abs(layer.bias.astype(np.int64)) < (1 << 31) - 1
        wide = step.reshape(-1, *[1] * (wanted.ndim - 2))
        for values in (sums * wide, wanted):
            steps = values / target.scale + target.zero_point
            free &= ((steps > layer.low) & (steps < layer.high)).all(axis=axes)
        limit = step * 0.51 + 1e-4 * np.abs(wanted).max()
        assert (missed <= limit)[free].all(), (layer.name, missed / limit)
