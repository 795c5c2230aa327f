"""Layer by layer, on calibration images: rounds weights together, and corrects biases."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from systolith_host.network.forward import input_windows, run_float
from systolith_host.network.golden import run_layer
from systolith_host.network.graph import Conv, Graph, Linear, Weights
from systolith_host.network.qgraph import QConv, QGraph
from systolith_host.network.scales import WEIGHT_LIMIT, as_held, weight_limit
from systolith_host.quantize.compensate import compensation
from systolith_host.quantize.rounding import round_columns, round_taps

__all__ = ["MOST_IMAGES", "Correction", "correct"]

MOST_IMAGES = 32
"""Calibration images that are used: all of them are in memory at once, layer after layer."""

_BIAS_LIMIT = (1 << 31) - 1

_LEAST_STEP, _LARGEST_STEP = 2.0**-31, 255
"""Steps of the output that a step of the sums may make where a layer is corrected."""

_SAMPLES = 2048
"""Windows that the weights of a layer are rounded on, of all images."""

_STEPS = 32
"""Of the search for a bias at most. It takes one where no value meets a clamp."""

_SETTLED = 1e-3
"""Steps of the output: a search ends where no channel's bias moves by more."""

_LEAST_SAMPLES = 0.25
"""Windows for each weight of an output channel; with fewer, weights are rounded one by one."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Correction:
    """The correction of a layer.

    Parameters
    ----------
    layer : str
    steps : float
        Root mean square of the corrections of its channels, in steps of its output.
    rounded : bool
        Whether its weights were rounded together.
    """

    layer: str
    steps: float
    rounded: bool = False


def correct(
    graph: Graph,
    weights: Weights,
    qgraph: QGraph,
    images: np.ndarray,
    progress: Progress | None = None,
    *,
    rounding: bool = True,
    biases: bool = True,
) -> tuple[QGraph, tuple[Correction, ...]]:
    """Return the integer network with weights and biases that suit its inputs.

    Layers are taken in order, so that a layer's inputs come from corrected layers.

    Weights are rounded as :mod:`systolith_host.quantize.rounding` says, on a sample of the layer's
    own input windows. Before that they make up for the errors of these inputs, as
    :mod:`systolith_host.quantize.compensate` says. Layers with too few windows, as fully connected
    ones on few images, keep weights that are rounded to nearest.

    Biases are corrected after Nagel et al., "Data-free quantization through weight equalization
    and bias correction" (ICCV 2019), section 4.2, with images: the mean of each channel of sums,
    before any clamp, is compared with the float network's, and the difference is added to the bias.
    A convolution is linear: its mean is that of its weights with its mean input window.

    Parameters
    ----------
    graph, weights
        The float network.
    qgraph : QGraph
        The integer network made from it.
    images : ndarray of float32, shape (N, channels, height, width)
        For calibration; the first MOST_IMAGES are used.
    progress : callable, optional
        Called with what is under way, how much of it is done, and all.
    rounding, biases : bool
        Which of the two is done.
    """
    images = images[:MOST_IMAGES]
    nodes = {node.name: node for node in graph.weighted}
    wanted = _float_outputs(graph, weights, images, progress)
    last_use = {name: i for i, layer in enumerate(qgraph.layers) for name in layer.inputs}
    source = qgraph.tensors[qgraph.input]
    tensors = {qgraph.input: as_held(source, images).reshape(len(images), *source.shape)}
    layers = []
    done = []
    for index, layer in enumerate(qgraph.layers):
        if progress is not None:
            progress(layer.name, index, len(qgraph.layers))
        node = nodes.get(layer.name)
        if isinstance(layer, QConv) and node is not None:
            inputs = _Inputs(qgraph, layer, node, tensors[layer.input])
            rounded = None
            if rounding and weights[node.name].scale is None:
                real = weights[node.name]
                limit = weight_limit(real.bits)
                rounded = inputs.rounded(layer, real.weight, limit, wanted[layer.name])
            if rounded is not None:
                layer = replace(layer, weight=rounded)
            steps = 0.0
            if biases:
                layer, steps = inputs.corrected(layer, wanted[layer.name])
            done.append(Correction(layer.name, steps, rounded is not None))
        layers.append(layer)
        if index + 1 < len(qgraph.layers):
            parts = [
                run_layer(qgraph, layer, *(tensors[name][i : i + 1] for name in layer.inputs))
                for i in range(len(images))
            ]
            tensors[layer.output] = np.concatenate(parts)
        for name in set(layer.inputs):
            if last_use[name] == index:
                del tensors[name]
    return replace(qgraph, layers=tuple(layers)), tuple(done)


def _float_outputs(
    graph: Graph, weights: Weights, images: np.ndarray, progress: Progress | None
) -> dict[str, np.ndarray]:
    """Return outputs of every layer with weights, before its clamp, at the sampled pixels.

    Returns
    -------
    dict of str to ndarray of float32, shape (K, N)
    """
    nodes = {node.output: node for node in graph.weighted}
    found: dict[str, list[np.ndarray]] = {node.name: [] for node in graph.weighted}
    for number, image in enumerate(images):
        if progress is not None:
            progress("float network", number, len(images))
        for name, values in run_float(graph, weights, image[None]):
            if node := nodes.get(name):
                channels = values.reshape(values.shape[1], -1)
                chosen = _pixels(node, number, len(images), channels.shape[1])
                found[node.name].append(channels[:, chosen])
    return {name: np.concatenate(parts, axis=1) for name, parts in found.items()}


def _pixels(node: Conv | Linear, image: int, images: int, count: int) -> np.ndarray:
    """Return the sampled pixels of an image, of `count` outputs: the same for the same layer."""
    each = max(1, _SAMPLES // images)
    if count <= each:
        return np.arange(count)
    return np.random.default_rng([image, *node.name.encode()]).choice(count, each, replace=False)


def _tell(made: np.ndarray, wanted: np.ndarray, low: int, high: int) -> np.ndarray:
    """Return which values say something: not those that both clamps hold at one end."""
    return ((made > low) & (made < high)) | ((wanted > low) & (wanted < high))


class _Inputs:
    """The inputs of a layer of the integer network, as numbers of steps around zero.

    Parameters
    ----------
    qgraph : QGraph
    layer : QConv
    node : Conv or Linear
        Of the float network.
    values : ndarray of integers, shape (N, C, H, W)
    """

    def __init__(
        self, qgraph: QGraph, layer: QConv, node: Conv | Linear, values: np.ndarray
    ) -> None:
        # Before a function: biases are compared there.
        self._source = qgraph.tensors[layer.input]
        self._target = layer.table or qgraph.tensors[layer.output]
        self._node, self._values = node, values
        self._groups = node.groups if isinstance(node, Conv) else 1
        # Real value of a step of the sums, which is that of the inputs times that of the weights.
        self._step = np.ldexp(layer.multiplier.astype(np.float64), -layer.shift)
        self._step *= self._target.scale
        # Where a step crosses the whole output, or vanishes in it, nothing can be corrected.
        scale = self._target.scale
        self._alive = (self._step > _LEAST_STEP * scale) & (self._step < _LARGEST_STEP * scale)
        self._weight = layer.weight
        self._windows = self._sample()

    def corrected(self, layer: QConv, wanted: np.ndarray) -> tuple[QConv, float]:
        """Return the layer with better biases, and their mean change in steps of its output.

        Parameters
        ----------
        layer : QConv
        wanted : ndarray of float32, shape (K, N)
            Of the float network, at the sampled pixels.
        """
        factor = (self._step / self._target.scale)[:, None]
        made = self._outputs(layer, layer.weight)
        wanted = wanted / np.float32(self._target.scale)
        low, high = self._ends(layer)
        clamped = np.clip(wanted, low, high)
        moved = np.zeros((len(made), 1))
        for _ in range(_STEPS):
            now = made + moved
            counts = _tell(now, wanted, low, high)
            error = ((clamped - np.clip(now, low, high)) * counts).sum(axis=1, keepdims=True)
            change = error / np.maximum(counts.sum(axis=1, keepdims=True), 1)
            moved += change
            if np.abs(change).max() < _SETTLED:
                break
        moved[~self._alive] = 0
        steps = moved[:, 0] / np.where(self._alive, factor[:, 0], 1)
        bias = np.clip(np.rint(layer.bias + steps), -_BIAS_LIMIT, _BIAS_LIMIT).astype(np.int32)
        return replace(layer, bias=bias), float(np.sqrt((moved**2).mean()))

    def _outputs(self, layer: QConv, weight: np.ndarray) -> np.ndarray:
        """Return what weights make of the windows, in steps of the output, shape (K, N)."""
        each = weight.reshape(self._groups, len(weight) // self._groups, -1)
        sums = np.matmul(each.astype(np.float32), self._windows).reshape(len(weight), -1)
        return (sums + layer.bias[:, None]) * (self._step / self._target.scale)[:, None]

    def _ends(self, layer: QConv) -> tuple[int, int]:
        """Return the layer's clamp, in steps of the output from 0.0."""
        return layer.low - self._target.zero_point, layer.high - self._target.zero_point

    def rounded(
        self, layer: QConv, real: np.ndarray, limit: int, wanted: np.ndarray
    ) -> np.ndarray | None:
        """Return weights rounded on a sample of the windows; None where there are too few.

        Parameters
        ----------
        layer : QConv
        real : ndarray of float32, shape (K, C / groups, R, S) or (K, features)
        limit : int
            Largest weight.
        wanted : ndarray of float32, shape (K, N)
            Of the float network, at the sampled pixels.
        """
        windows = self._windows
        taps = self._weight[0].size
        if windows.shape[-1] < max(2, _LEAST_SAMPLES * taps):
            return None
        rows = real.reshape(len(real), -1)
        scale = np.where(self._alive, self._step / self._source.scale, 1.0)
        steps = rows / scale[:, None]
        steps = np.where(np.abs(steps) < 2 * WEIGHT_LIMIT, steps, 0.0)
        windows = windows - windows.mean(axis=-1, keepdims=True)
        change = compensation(windows, self._lacking(layer, steps, wanted), self._second)
        if change is not None:
            factor = np.where(self._alive, self._step / self._target.scale, 1.0)
            steps = steps + change.reshape(steps.shape) / factor[:, None]
        count = len(real) // self._groups
        if self._node_is_depthwise:
            found = round_taps(steps, np.repeat(windows, count, axis=0), limit)
        else:
            parts = zip(np.split(steps, self._groups), windows, strict=True)
            found = np.concatenate([round_columns(*part, limit) for part in parts])
        found = found.astype(np.int8).reshape(self._weight.shape)
        return np.where(self._alive.reshape(-1, 1, 1, 1), found, self._weight)

    def _lacking(self, layer: QConv, steps: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """Return what sums lack, centred, in steps of the output: shape (groups, K / groups, N)."""
        low, high = self._ends(layer)
        wanted = wanted / np.float32(self._target.scale)
        made = self._outputs(layer, steps)
        counts = _tell(made, wanted, low, high) & self._alive[:, None]
        lacking = np.where(counts, wanted - made, 0.0)
        lacking -= lacking.sum(axis=1, keepdims=True) / np.maximum(counts.sum(axis=1)[:, None], 1)
        lacking[~counts] = 0.0
        return lacking.astype(np.float32).reshape(self._groups, len(steps) // self._groups, -1)

    @property
    def _second(self) -> np.ndarray:
        """Which of the windows are of every second image."""
        each = self._windows.shape[-1] // len(self._values)
        return np.repeat(np.arange(len(self._values)) % 2 == 1, each)

    @property
    def _node_is_depthwise(self) -> bool:
        return self._groups > 1 and self._weight.shape[1] == 1

    def _centred(self, image: np.ndarray) -> np.ndarray:
        shape = (1, -1) if isinstance(self._node, Linear) else (1, *self._source.shape)
        return (image.astype(np.float32) - self._source.zero_point).reshape(shape)

    def _sample(self) -> np.ndarray:
        """Return windows at random pixels, shape (groups, weights of a channel, N)."""
        parts = []
        for number, image in enumerate(self._values):
            values = self._centred(image)
            if isinstance(self._node, Linear):
                parts.append(values)
                continue
            windows = input_windows(self._node, values)[0]
            _, height, width, *_ = windows.shape
            pixels = _pixels(self._node, number, len(self._values), height * width)
            found = windows[:, pixels // width, pixels % width].swapaxes(0, 1)
            parts.append(found.reshape(len(pixels), -1))
        rows = np.concatenate(parts)
        return np.ascontiguousarray(rows.T.reshape(self._groups, -1, len(rows)))
