"""Cross-layer equalisation: brings channels of a tensor to similar ranges, where it helps."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from systolith_host.network.forward import input_windows, run_float
from systolith_host.network.graph import (
    AveragePool,
    Clip,
    Conv,
    Flatten,
    Graph,
    LayerWeights,
    Linear,
    MaxPool,
    Node,
    Relu,
    Weights,
)
from systolith_host.network.scales import activation_scale, quantize_weight

__all__ = ["Equalised", "Pair", "divide_channels", "equalisable", "equalise"]

SHARES = (0.25, 0.5, 0.75)
"""Shares of a tensor's unevenness that go into the weights behind it."""

LEAST_GAIN = 0.1
"""Decibels below which a pair is left as it is: less is noise of the sample."""

_PIXELS = 512
"""Outputs of a layer on which it is judged."""

_CHANNELS = 64
"""Output channels, likewise."""

_LARGEST = 1e4
"""Largest factor of a channel."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Pair:
    """Two layers between which channels may be scaled without any change of the output.

    Parameters
    ----------
    first, second : Conv or Linear
        Only ReLUs, pools and flattenings stand between them, and nothing else uses their tensors.
    """

    first: Conv | Linear
    second: Conv | Linear


@dataclass(frozen=True)
class Equalised:
    """The result for a pair.

    Parameters
    ----------
    first, second : str
        The layers.
    before, after : float
        Signal over noise at the output of `second`, in decibels, of the rounding of its input and
        its weights alone; the same number twice if the pair was left as it was.
    way : str
        The one that was best, "weights" or "tensor" with its share; "" if none was good enough.
    """

    first: str
    second: str
    before: float
    after: float
    way: str


def equalisable(graph: Graph) -> Iterator[Pair]:
    """Yield all pairs of layers of a graph between which channels may be scaled.

    A positive factor goes through a ReLU, a max-pool and a mean; it does not go through a clamp
    at any other value, nor to a sum or concatenation, whose other inputs would need it, too.
    """
    users: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in node.inputs:
            users.setdefault(name, []).append(node)
    for first in graph.weighted:
        node: Node = first
        while True:
            behind = users.get(node.output, [])
            if len(behind) != 1 or node.output in graph.outputs:
                break
            (node,) = behind
            if isinstance(node, Conv | Linear):
                yield Pair(first, node)
                break
            open_clip = (
                isinstance(node, Clip) and node.low in (0, -math.inf) and node.high == (math.inf)
            )
            if not (open_clip or isinstance(node, Relu | MaxPool | AveragePool | Flatten)):
                break


def equalise(
    graph: Graph, weights: Weights, images: np.ndarray, progress: Progress | None = None
) -> tuple[dict[str, LayerWeights], tuple[Equalised, ...]]:
    """Return weights of the same float network that lose less when they are quantised.

    After Nagel et al., "Data-free quantization through weight equalization and bias correction"
    (ICCV 2019), which divides channel i by sqrt(v_i / w_i), v_i being its largest weight before
    and w_i its largest weight behind. Here weights have a scale for each output channel, so that
    the tensor between counts: t_i**a / w_i**(1 - a) is tried, too, as in Xiao et al.,
    "SmoothQuant" (ICML 2023), t_i being the channel's largest value on the images. Each pair is
    judged by the noise of rounding its tensor and the weights behind, on a sample of outputs of
    images that the factors were not chosen by. A pair is left alone unless that noise shrinks.

    Parameters
    ----------
    graph : Graph
    weights : mapping of str to LayerWeights
        In floats. Layers that were quantised before are left alone.
    images : ndarray of float32, shape (N, channels, height, width)
        For calibration.
    progress : callable, optional
        Called as by calibration.

    Returns
    -------
    weights : dict of str to LayerWeights
    pairs : tuple of Equalised
    """
    pairs = [
        pair
        for pair in equalisable(graph)
        if weights[pair.first.name].scale is None and weights[pair.second.name].scale is None
    ]
    seen = {pair.second.input: _Sample(pair, len(images)) for pair in pairs}
    for number, image in enumerate(images if pairs else images[:0]):

        def report(name: str, done: int, total: int, number: int = number) -> None:
            if progress is not None:
                progress(name, number * total + done, len(images) * total)

        for name, values in run_float(graph, weights, image[None], report):
            if name in seen:
                seen[name].take(values)
    result = dict(weights)
    found = []
    for pair in pairs:
        sample = seen[pair.second.input]
        outcome, scale = sample.judge(
            result[pair.first.name].weight, result[pair.second.name].weight
        )
        found.append(outcome)
        if outcome.way:
            result |= divide_channels(result, pair, scale)
    return result, tuple(found)


class _Sample:
    """The values before a pair's second layer on the images.

    Images go to two parts by turns, so that factors of one part can be judged on the other.

    Parameters
    ----------
    pair : Pair
    images : int
        Number of images.
    """

    def __init__(self, pair: Pair, images: int) -> None:
        first = pair.first
        self.pair = pair
        self.channels = first.features if isinstance(first, Linear) else first.channels
        self.each = max(1, _PIXELS // images)
        self.largest = np.zeros((2, self.channels))
        self.signed = False
        self.patches: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        self._rng = np.random.default_rng(0)
        self._count = 0

    def take(self, values: np.ndarray) -> None:
        """Add the tensor of an image, shape (1, C, H, W) or (1, features)."""
        part = self._count % 2
        self._count += 1
        by_channel = values.reshape(self.channels, -1)
        lows, highs = by_channel.min(axis=1), by_channel.max(axis=1)
        self.largest[part] = np.maximum(self.largest[part], np.maximum(highs, -lows))
        self.signed |= bool(lows.min() < 0)
        node = self.pair.second
        if isinstance(node, Linear):
            self.patches[part].append(values.reshape(1, -1))
            return
        windows = input_windows(node, values)[0]
        _, height, width, *_ = windows.shape
        chosen = self._rng.choice(height * width, min(self.each, height * width), replace=False)
        self.patches[part].append(windows[:, chosen // width, chosen % width].swapaxes(0, 1))

    def judge(self, before: np.ndarray, behind: np.ndarray) -> tuple[Equalised, np.ndarray]:
        """Return the noise with the best way, and the factors of the channels.

        Parameters
        ----------
        before, behind : ndarray
            Weights of the pair's layers.
        """
        node = self.pair.second
        groups = node.groups if isinstance(node, Conv) else 1
        rows = before.reshape(len(before), -1)
        first = np.maximum(rows.max(axis=1), -rows.min(axis=1)).astype(np.float64)
        second = _column_ranges(behind, groups, self.channels)
        none = np.ones(self.channels)
        # One image would be judged by itself.
        folds = ((0, 1), (1, 0)) if self.patches[1] else ((0, 0),)
        plain = best = self._ratio(behind, groups, [(none, *fold) for fold in folds])
        way, scale = "", none
        ways: dict[str, Callable[[np.ndarray], np.ndarray]] = {
            "weights": lambda _: _factors(first, second, 0.5)
        }
        if self.patches[1]:
            ways |= {
                f"tensor, {share:g}": lambda tensor, share=share: _factors(tensor, second, share)
                for share in SHARES
            }
        for name, factors in ways.items():
            tried = [(factors(self.largest[known]), known, unseen) for known, unseen in folds]
            ratio = self._ratio(behind, groups, tried)
            if ratio > best and ratio >= plain + LEAST_GAIN:
                best, way, scale = ratio, name, factors(self.largest.max(axis=0))
        return Equalised(self.pair.first.name, node.name, plain, best, way), scale

    def _ratio(
        self, weight: np.ndarray, groups: int, tried: list[tuple[np.ndarray, int, int]]
    ) -> float:
        """Return signal over noise of some output channels, in decibels.

        Parameters
        ----------
        weight : ndarray, shape (K, C / groups, R, S) or (K, features)
        groups : int
        tried : list of (ndarray, int, int)
            Factors of the channels, the part whose range is known, and the part to judge on.
        """
        rows = np.linspace(0, len(weight) - 1, min(len(weight), _CHANNELS)).astype(int)
        group_of = rows * groups // len(weight)
        per_group = weight.shape[1]
        signal = noise = 0.0
        for scale, known, unseen in tried:
            patches = np.concatenate(self.patches[unseen]).astype(np.float32)
            wide = _per_element(scale, patches.shape[1]).astype(np.float32)
            shape = (1, -1, *[1] * (patches.ndim - 2))
            largest = float((self.largest[known] / scale).max())
            step = activation_scale(-largest if self.signed else 0.0, largest)
            steps = step.quantize(patches / wide.reshape(shape)).astype(np.float32)
            rounded = (steps - step.zero_point) * step.scale
            for group in np.unique(group_of):
                part = slice(group * per_group, (group + 1) * per_group)
                real = weight[rows[group_of == group]]
                stretched = real * wide[part].reshape(shape)
                whole, _, sizes = quantize_weight(stretched, np.zeros(len(real)), step.scale)
                coarse = whole.reshape(len(real), -1) * sizes[:, None]
                exact = _rows(patches[:, part]) @ _rows(real).T
                error = _rows(rounded[:, part]) @ coarse.T - exact
                signal += float((exact.astype(np.float64) ** 2).sum())
                noise += float((error**2).sum())
        return 10 * math.log10(signal / noise) if signal and noise else math.inf


def _rows(values: np.ndarray) -> np.ndarray:
    return values.reshape(len(values), -1)


def _per_element(scale: np.ndarray, size: int) -> np.ndarray:
    """Return the factor of each element of a vector that may be flattened images."""
    return np.repeat(scale, size // len(scale))


def _column_ranges(weight: np.ndarray, groups: int, channels: int) -> np.ndarray:
    """Return the largest weight behind each channel, whose elements are alike."""
    others = tuple(axis for axis in range(weight.ndim) if axis != 1)
    if groups > 1:
        parts = np.split(weight, groups)
        found = [np.maximum(part.max(axis=others), -part.min(axis=others)) for part in parts]
        return np.concatenate(found).astype(np.float64)
    columns = np.maximum(weight.max(axis=others), -weight.min(axis=others))
    return columns.reshape(channels, -1).max(axis=1).astype(np.float64)


def _factors(tensor: np.ndarray, weight: np.ndarray, share: float) -> np.ndarray:
    """Return what each channel is divided by; 1 for those that carry nothing."""
    alive = (tensor > 0) & (weight > 0)
    factors = np.ones(len(tensor))
    if not alive.any():
        return factors
    found = tensor[alive] ** share / weight[alive] ** (1 - share)
    found /= np.exp(np.log(found).mean())
    factors[alive] = np.clip(found, 1 / _LARGEST, _LARGEST)
    return factors


def divide_channels(weights: Weights, pair: Pair, factors: np.ndarray) -> dict[str, LayerWeights]:
    """Return the weights of a pair between which each channel is divided by a positive factor.

    Parameters
    ----------
    weights : mapping of str to LayerWeights
    pair : Pair
    factors : ndarray of float64, shape (K,)
        One for each output channel of the first layer.
    """
    first, second = weights[pair.first.name], weights[pair.second.name]
    # In float32: the largest weights have a hundred million elements.
    narrow = factors.astype(np.float32)
    rows = narrow.reshape(-1, *[1] * (first.weight.ndim - 1))
    divided = replace(first, weight=first.weight / rows, bias=first.bias / factors)
    count, inputs, *kernel = second.weight.shape
    groups = pair.second.groups if isinstance(pair.second, Conv) else 1
    wide = _per_element(narrow, groups * inputs).reshape(groups, 1, inputs, *[1] * len(kernel))
    weight = second.weight.reshape(groups, count // groups, inputs, *kernel) * wide
    multiplied = replace(second, weight=weight.reshape(second.weight.shape))
    return {pair.first.name: divided, pair.second.name: multiplied}
