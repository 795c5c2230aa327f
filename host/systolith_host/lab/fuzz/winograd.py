"""Random 3x3 layers with the worst values of Winograd's lanes, configurations and tilings."""

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest import mock

import numpy as np

from systolith_host.compiler.schedule.tile import schedule_candidates
from systolith_host.lab.fuzz.networks import random_config
from systolith_host.network.golden import tensor_dtype
from systolith_host.network.qgraph import QConv, QGraph, QLayer, QMaxPool, QTensor
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.numerics import device_offset
from systolith_hw.spec.winograd import B_T, KERNEL, LANES, OUTPUTS, PATCH, G

__all__ = ["random_tilings", "random_winograd_case", "random_winograd_config"]

LARGEST_WORK = 400_000
"""Multiply-accumulates of an image's layer, more or less."""

LARGEST_SIDE = 40

CHANNELS = (1, 2, 3, 4, 5, 7, 8, 13, 16, 20, 33, 64)
WIDE = (512, 2048)
"""Input channels; the wide ones make sums that come close to the accumulators' limits."""

LARGEST_TERM = 127 * 128
DATA = np.array(B_T)
POINTS = np.array(G)


def random_winograd_config(rng: random.Random) -> AcceleratorConfig:
    """Return a small configuration with Winograd's units and room for at least one tile."""
    config = random_config(rng)
    patches = rng.choice([4, 5, 8, 16, 30])
    return replace(
        config,
        act_depth=rng.choice([500, 1024, 4096]),
        weight_depth=config.rows * rng.choice([18, 27, 40, 100]) + rng.choice([0, 0, 1]),
        acc_depth=LANES * patches + rng.choice([0, 0, 9, 300]),
        acc_width=rng.choice([28, 30, 32]),
        winograd=patches,
    )


@contextmanager
def random_tilings(rng: random.Random, winograd: float = 0.0) -> Iterator[None]:
    """Let the compiler take any of a layer's possible tilings instead of the best ones.

    Parameters
    ----------
    rng : Random
    winograd : float
        Probability that a layer which has tilings of patches is left with no others.
    """

    def shuffled(*args, **kwargs):
        found = schedule_candidates(*args, **kwargs)
        if rng.random() < winograd:
            found = [schedule for schedule in found if schedule.winograd] or found
        rng.shuffle(found)
        return [replace(schedule, estimate=0.0) for schedule in found]

    with (
        mock.patch("systolith_host.compiler.compile.schedule_candidates", shuffled),
        mock.patch("systolith_host.compiler.compile.TRIALS", 1),
    ):
        yield


def random_winograd_case(
    rng: random.Random, config: AcceleratorConfig, *, wide: bool = False
) -> tuple[QGraph, np.ndarray]:
    """Return a network of one or two 3x3 layers and a pool now and then, and images.

    Values are random, all extreme, the same throughout, or those that bring a lane to its limit: a
    lane for each output channel in the weights, one for each second patch in the images. Biases
    bring some outputs of each channel close to 0, and some channels are not scaled down, so that a
    sum which is off by one shows.

    Parameters
    ----------
    rng : Random
    config : AcceleratorConfig
        Whose accumulators hold the sums.
    wide : bool
        512 or 2,048 input channels, as far as the accumulators hold their sums.

    Returns
    -------
    network : QGraph
    images : ndarray of the input's type, shape (N, C, H, W)
    """
    numbers = np.random.default_rng(rng.getrandbits(64))
    room = (1 << config.acc_width - 1) // (KERNEL**2 * LARGEST_TERM)
    channels = rng.choice([count for count in (WIDE if wide else CHANNELS) if count < room])
    height, width, outputs = _sizes(rng, channels)
    # Zero point and bias add up to two more sums of the largest size.
    bounded = 3 * channels >= room
    unsigned = rng.random() < 0.5
    source = _tensor(rng, "x", (channels, height, width), unsigned, plain=bounded)
    padding = rng.choice([(1, 1, 1, 1), (0, 0, 0, 0), tuple(rng.randint(0, 3) for _ in range(4))])
    padding = (max(padding[0], 3 - height), padding[1], max(padding[2], 3 - width), padding[3])
    kind = rng.choice(["random", "extreme", "constant", "lanes", "lanes"])
    lanes = numbers.integers(LANES, size=rng.choice([1, 2, 6, 40]))
    images = _images(numbers, source, rng.choice([1, 1, 2, 3, 5]), padding, kind, lanes)
    tensors, layers = {"x": source}, list[QLayer]()
    groups = 1
    if rng.random() < 0.15:
        groups = rng.choice([g for g in range(1, min(channels, 64) + 1) if channels % g == 0])
        outputs = groups * rng.choice([1, 2])
    target = _output(rng, "c", source, outputs, padding)
    weight = _weights(numbers, (outputs, channels // groups), kind, lanes)
    bias = _biases(numbers, source, weight, images[0], padding) * (not bounded)
    layers.append(_conv(rng, "c", (source, target), weight, bias, padding))
    tensors["c"] = target
    pool = rng.choice([None, None, (2, 2), (2, 2), (1, 2), (3, 3)])
    if pool and target.shape[1] >= pool[0] and target.shape[2] >= pool[1]:
        shape = (outputs, target.shape[1] // pool[0], target.shape[2] // pool[1])
        tensors["p"] = replace(target, name="p", shape=shape)
        layers.append(QMaxPool("pool", "c", "p", pool, pool))
        target = tensors["p"]
    if rng.random() < 0.25 and outputs <= 20:
        tensors["d"] = _output(rng, "d", target, 8, (1, 1, 1, 1))
        weight = _weights(numbers, (8, outputs), "random", lanes)
        bias = numbers.integers(-100_000, 100_000, 8)
        layers.append(_conv(rng, "d", (target, tensors["d"]), weight, bias, (1, 1, 1, 1)))
        target = tensors["d"]
    return QGraph("net", tensors, tuple(layers), "x", target.name), images


def _sizes(rng: random.Random, channels: int) -> tuple[int, int, int]:
    """Return height, width, and output channels."""
    outputs = rng.choice([1, 3, 4, 8, 13, 20, 32])
    height, width = rng.randint(1, LARGEST_SIDE), rng.randint(1, LARGEST_SIDE)
    while height * width * channels * outputs * KERNEL**2 > LARGEST_WORK:
        if height * width <= 20:
            if outputs == 1:
                break
            outputs = outputs // 2
        elif height > width:
            height = rng.randint(1, height - 1)
        else:
            width = rng.randint(1, width - 1)
    return height, width, outputs


def _tensor(
    rng: random.Random, name: str, shape: tuple[int, int, int], unsigned: bool, *, plain: bool
) -> QTensor:
    """Return a tensor with any zero point, or with the one that is 0 in the accelerator."""
    offset = device_offset(unsigned)
    zero_point = rng.choice([-128, 127, 0, rng.randint(-128, 127)]) * (not plain)
    return QTensor(name, shape, unsigned, 1.0, zero_point + offset)


def _output(
    rng: random.Random,
    name: str,
    source: QTensor,
    outputs: int,
    padding: tuple[int, int, int, int],
) -> QTensor:
    _, height, width = source.shape
    reach = KERNEL - 1
    shape = (outputs, height + sum(padding[:2]) - reach, width + sum(padding[2:]) - reach)
    return _tensor(rng, name, shape, rng.random() < 0.5, plain=False)


def _extreme(numbers: np.random.Generator, signs: np.ndarray) -> np.ndarray:
    """Return the int8 limit of each sign, any of them for 0."""
    signs = np.where(signs == 0, numbers.choice([-1, 1], signs.shape), signs)
    return np.where(signs > 0, 127, -128)


def _values(numbers: np.random.Generator, shape: tuple[int, ...], kind: str) -> np.ndarray:
    """Return int8 values: random, or limits, the same all over an image or output channel."""
    if kind == "random":
        return numbers.integers(-128, 128, shape)
    alike = (shape[0], *(1 for _ in shape[1:])) if kind == "constant" else shape
    return np.broadcast_to(_extreme(numbers, np.zeros(alike, int)), shape).copy()


def _images(
    numbers: np.random.Generator,
    source: QTensor,
    count: int,
    padding: tuple[int, int, int, int],
    kind: str,
    lanes: np.ndarray,
) -> np.ndarray:
    """Return images; patches begin at multiples of 4 pixels of the padded image."""
    shape = (count, *source.shape)
    values = _values(numbers, shape, kind)
    if kind == "lanes":
        top, _, left, _ = padding
        for y in range(-top, shape[2], 2 * OUTPUTS):
            for x in range(-left, shape[3], 2 * OUTPUTS):
                lane, sign = numbers.choice(lanes), numbers.choice([-1, 1])
                factors = np.outer(DATA[lane // PATCH], DATA[lane % PATCH])
                there = values[:, :, max(y, 0) : y + PATCH, max(x, 0) : x + PATCH]
                part = factors[max(-y, 0) :, max(-x, 0) :][: there.shape[2], : there.shape[3]]
                there[:] = _extreme(numbers, np.broadcast_to(sign * np.sign(part), there.shape))
    return (values + device_offset(source.unsigned)).astype(tensor_dtype(source))


def _weights(
    numbers: np.random.Generator, size: tuple[int, int], kind: str, lanes: np.ndarray
) -> np.ndarray:
    """Return int8 weights of shape (outputs, channels, 3, 3)."""
    shape = (*size, KERNEL, KERNEL)
    values = _values(numbers, shape, kind)
    if kind == "lanes":
        lane, signs = numbers.choice(lanes, size[0]), numbers.choice([-1, 1], size[0])
        factors = np.einsum("kr,ks->krs", POINTS[lane // PATCH], POINTS[lane % PATCH])
        wanted = np.sign(factors)[:, None] * signs[:, None, None, None]
        values = _extreme(numbers, np.broadcast_to(wanted, shape))
    return values.astype(np.int8)


def _biases(
    numbers: np.random.Generator,
    source: QTensor,
    weight: np.ndarray,
    image: np.ndarray,
    padding: tuple[int, int, int, int],
) -> np.ndarray:
    """Return biases: random ones, and ones that bring a pixel of the image close to 0."""
    outputs, channels = weight.shape[:2]
    top, bottom, left, right = padding
    centred = np.pad(
        image.astype(np.int64) - source.zero_point, ((0, 0), (top, bottom), (left, right))
    )
    bias = numbers.integers(-200_000, 200_000, outputs)
    for channel in np.flatnonzero(numbers.random(outputs) < 0.7):
        first = channel * len(image) // channels // outputs * channels
        y, x = (numbers.integers(size - KERNEL + 1) for size in centred.shape[1:])
        there = centred[first : first + channels, y : y + KERNEL, x : x + KERNEL]
        bias[channel] = numbers.integers(-20, 20) - (there * weight[channel]).sum()
    return bias


def _conv(
    rng: random.Random,
    name: str,
    ends: tuple[QTensor, QTensor],
    weight: np.ndarray,
    bias: np.ndarray,
    padding: tuple[int, int, int, int],
) -> QConv:
    """Return the layer, with a clamp at 0 or none, each channel scaled in one of three ways."""
    numbers = np.random.default_rng(rng.getrandbits(64))
    source, target = ends
    outputs, channels = weight.shape[:2]
    terms = channels * KERNEL**2
    # Multipliers have about 11 bits. A sum of 1 stays 1, usual ones or the largest ones fill the
    # range of the output.
    usual, largest = 5400 * math.sqrt(terms), LARGEST_TERM * terms
    shifts = [11, *(round(math.log2(32 * value)) for value in (usual, usual, largest / 4, largest))]
    low = target.zero_point if rng.random() < 0.5 else device_offset(target.unsigned) - 128
    return QConv(
        name=f"conv_{name}",
        input=source.name,
        output=target.name,
        kind="conv",
        weight=weight,
        bias=bias.astype(np.int32),
        multiplier=numbers.integers(1024, 4096, outputs),
        shift=numbers.choice(shifts, outputs),
        low=low,
        high=device_offset(target.unsigned) + 127,
        padding=padding,
        groups=source.shape[0] // channels,
    )
