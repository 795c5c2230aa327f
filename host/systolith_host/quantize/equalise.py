"""Cross-layer equalisation: brings channels of tensors to similar ranges, where it helps."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from systolith_host.network.forward import input_windows, run_float
from systolith_host.network.graph import Conv, Graph, LayerWeights, Linear, Weights
from systolith_host.network.scales import activation_scale, quantize_weight
from systolith_host.quantize.groups import Group, divide_channels, equalisable, per_element

__all__ = ["Equalised", "equalise"]

SHARES = (0.25, 0.5, 0.75, 1.0)
"""Shares of a tensor's unevenness that go into the weights behind it."""

LEAST_GAIN = 0.1
"""Decibels below which a group is left as it is: less is noise of the sample."""

_PIXELS = 512
"""Outputs of a layer on which it is judged."""

_CHANNELS = 64
"""Output channels, likewise."""

_LARGEST = 1e4
"""Largest factor of a channel."""

_TOUCHES = 1 - 1e-6
"""Share of a clamp at which a channel reaches it."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Equalised:
    """The result for a group.

    Parameters
    ----------
    first, second : tuple of str
        The layers.
    before, after : float
        Signal over noise at the outputs of `second`, in decibels, of the rounding of its inputs
        and weights alone; the same number twice if the group was left as it was.
    way : str
        The one that was best, "weights" or "tensor" with its share; "" if none was good enough.
    """

    first: tuple[str, ...]
    second: tuple[str, ...]
    before: float
    after: float
    way: str


def equalise(
    graph: Graph, weights: Weights, images: np.ndarray, progress: Progress | None = None
) -> tuple[dict[str, LayerWeights], tuple[Equalised, ...]]:
    """Return weights that lose less when they are quantised.

    On the given images the float network stays the same. On others it does, too, but for channels
    in front of a clamp from above: they may saturate where they leave the range that they had on
    the images, as all quantised tensors do. That counts as noise on the images that judge.

    After Nagel et al., "Data-free quantization through weight equalization and bias correction"
    (ICCV 2019), which divides channel i by sqrt(v_i / w_i), v_i being its largest weight before
    and w_i its largest weight behind. Here weights have a scale for each output channel, so that
    the tensor between counts: t_i**a / w_i**(1 - a) is tried, too, as in Xiao et al.,
    "SmoothQuant" (ICML 2023), t_i being the channel's largest value on the images. Each group is
    judged by the noise of rounding its tensors and the weights behind, on a sample of outputs of
    images that the factors were not chosen by. A group is left alone unless that noise shrinks.

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
    groups : tuple of Equalised
    """
    groups = [
        group
        for group in equalisable(graph)
        if all(weights[node.name].scale is None for node in (*group.first, *group.second))
    ]
    samples = [_Samples(group, len(images)) for group in groups]
    takers: dict[str, list[Callable[[np.ndarray, int], None]]] = {}
    for sample in samples:
        for name, take in sample.takers():
            takers.setdefault(name, []).append(take)
    for number, image in enumerate(images if groups else images[:0]):

        def report(name: str, done: int, total: int, number: int = number) -> None:
            if progress is not None:
                progress(name, number * total + done, len(images) * total)

        for name, values in run_float(graph, weights, image[None], report):
            for take in takers.get(name, ()):
                take(values, number % 2)
    result = dict(weights)
    found = []
    for sample in samples:
        outcome, scale = sample.judge(result)
        found.append(outcome)
        if outcome.way:
            result |= divide_channels(result, sample.group, scale)
    return result, tuple(found)


class _Reader:
    """The values before a layer, on images that go to two parts by turns."""

    def __init__(self, node: Conv | Linear, channels: int, each: int) -> None:
        self.node = node
        self.each = each
        self.largest = np.zeros((2, channels))
        self.signed = False
        self.patches: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        self._rng = np.random.default_rng(0)

    def take(self, values: np.ndarray, part: int) -> None:
        """Add the tensor of an image, shape (1, C, H, W) or (1, features)."""
        lows, highs = _ends(values, self.largest.shape[1])
        self.largest[part] = np.maximum(self.largest[part], np.maximum(highs, -lows))
        self.signed |= bool(lows.min() < 0)
        if isinstance(self.node, Linear):
            self.patches[part].append(values.reshape(1, -1))
            return
        windows = input_windows(self.node, values)[0]
        _, height, width, *_ = windows.shape
        chosen = self._rng.choice(height * width, min(self.each, height * width), replace=False)
        self.patches[part].append(windows[:, chosen // width, chosen % width].swapaxes(0, 1))

    def noise(
        self, weight: np.ndarray, high: float, tried: list[tuple[np.ndarray, int, int]]
    ) -> float:
        """Return noise over signal of some output channels.

        Parameters
        ----------
        weight : ndarray, shape (K, C / groups, R, S) or (K, features)
        high : float
            Clamp that the values have passed, and that they pass when they are divided.
        tried : list of (ndarray, int, int)
            Factors of the channels, the part whose range is known, and the part to judge on.
        """
        groups = self.node.groups if isinstance(self.node, Conv) else 1
        rows = np.linspace(0, len(weight) - 1, min(len(weight), _CHANNELS)).astype(int)
        group_of = rows * groups // len(weight)
        per_group = weight.shape[1]
        signal = noise = 0.0
        for scale, known, unseen in tried:
            patches = np.concatenate(self.patches[unseen]).astype(np.float32)
            wide = per_element(scale, patches.shape[1]).astype(np.float32)
            shape = (1, -1, *[1] * (patches.ndim - 2))
            largest = float((self.largest[known] / scale).max())
            step = activation_scale(-largest if self.signed else 0.0, largest)
            steps = step.quantize(np.minimum(patches / wide.reshape(shape), high))
            steps = steps.astype(np.float32)
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
        return noise / signal if signal else 0.0


class _Samples:
    """What a group's tensors are on the images."""

    def __init__(self, group: Group, images: int) -> None:
        self.group = group
        each = max(1, _PIXELS // images)
        self._readers = [_Reader(node, group.channels, each) for node in group.second]
        self._summed = np.zeros((2, group.channels))
        self._clamped = np.zeros((2, group.channels))

    def takers(self) -> list[tuple[str, Callable[[np.ndarray, int], None]]]:
        """Return the names of tensors, each with what takes an image's values of it."""
        found = [(reader.node.input, reader.take) for reader in self._readers]
        found += [(name, self._take_summed) for name in self.group.summed]
        return found + [(name, self._take_clamped) for name in self.group.clamped]

    def _take_summed(self, values: np.ndarray, part: int) -> None:
        lows, highs = _ends(values, self.group.channels)
        self._summed[part] = np.maximum(self._summed[part], np.maximum(highs, -lows))

    def _take_clamped(self, values: np.ndarray, part: int) -> None:
        highs = _ends(values, self.group.channels)[1]
        self._clamped[part] = np.maximum(self._clamped[part], highs)

    def judge(self, weights: Weights) -> tuple[Equalised, np.ndarray]:
        """Return the noise with the best way, and the factors of the channels."""
        channels = self.group.channels
        first = np.max([_row_ranges(weights[n.name].weight) for n in self.group.first], axis=0)
        columns = [
            _column_ranges(weights[node.name].weight, node, channels) for node in self.group.second
        ]
        second = np.max([_evened(column) for column in columns], axis=0)
        tensor = np.maximum(self._summed, np.max([r.largest for r in self._readers], axis=0))
        none = np.ones(channels)
        # One image would be judged by itself.
        several = bool(self._readers[0].patches[1])
        folds = ((0, 1), (1, 0)) if several else ((0, 0),)
        plain = best = self._ratio(weights, [(none, *fold) for fold in folds])
        way, scale = "", none
        firsts = tuple(node.name for node in self.group.first)
        seconds = tuple(node.name for node in self.group.second)
        if self.group.high < math.inf and not several:
            # Nothing shows whether a channel goes farther than on this image.
            return Equalised(firsts, seconds, plain, plain, way), none
        ways: dict[str, Callable[[np.ndarray], np.ndarray]] = {
            "weights": lambda _: _factors(first, second, 0.5)
        }
        if several:
            ways |= {
                f"tensor, {share:g}": lambda tensor, share=share: _factors(tensor, second, share)
                for share in SHARES
            }
        for name, factors in ways.items():
            tried = [
                (self._held(factors(tensor[known]), self._clamped[known]), known, unseen)
                for known, unseen in folds
            ]
            ratio = self._ratio(weights, tried)
            if ratio > best and ratio >= plain + LEAST_GAIN:
                highs = self._clamped.max(axis=0)
                best, way, scale = ratio, name, self._held(factors(tensor.max(axis=0)), highs)
        return Equalised(firsts, seconds, plain, best, way), scale

    def _held(self, factors: np.ndarray, clamped: np.ndarray) -> np.ndarray:
        """Return factors under which no clamp from above acts where it did not, nor the reverse.

        A channel that was never above 0 keeps its scale: what it may reach is unknown.

        Parameters
        ----------
        factors : ndarray, shape (K,)
        clamped : ndarray, shape (K,)
            Largest value of each channel behind the clamp.
        """
        high = self.group.high
        if high == math.inf:
            return factors
        share = np.where(clamped > 0, clamped / high, 1.0)
        held = np.clip(factors / factors.max(), np.maximum(share, 1 / _LARGEST), 1.0)
        held[share >= _TOUCHES] = 1.0
        return held

    def _ratio(self, weights: Weights, tried: list[tuple[np.ndarray, int, int]]) -> float:
        noise = sum(
            reader.noise(weights[reader.node.name].weight, self.group.high, tried)
            for reader in self._readers
        )
        return -10 * math.log10(noise) if noise else math.inf


def _rows(values: np.ndarray) -> np.ndarray:
    return values.reshape(len(values), -1)


def _ends(values: np.ndarray, channels: int) -> tuple[np.ndarray, np.ndarray]:
    by_channel = values.reshape(channels, -1)
    return by_channel.min(axis=1), by_channel.max(axis=1)


def _row_ranges(weight: np.ndarray) -> np.ndarray:
    rows = _rows(weight)
    return np.maximum(rows.max(axis=1), -rows.min(axis=1)).astype(np.float64)


def _column_ranges(weight: np.ndarray, node: Conv | Linear, channels: int) -> np.ndarray:
    """Return the largest weight behind each channel, whose elements are alike."""
    groups = node.groups if isinstance(node, Conv) else 1
    others = (1, *range(3, weight.ndim + 1))
    grouped = weight.reshape(groups, len(weight) // groups, *weight.shape[1:])
    columns = np.maximum(grouped.max(axis=others), -grouped.min(axis=others))
    return columns.reshape(channels, -1).max(axis=1).astype(np.float64)


def _evened(column: np.ndarray) -> np.ndarray:
    """Return a layer's column ranges around 1, so that those of several can be compared."""
    alive = column > 0
    return column / np.exp(np.log(column[alive]).mean()) if alive.any() else column


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
