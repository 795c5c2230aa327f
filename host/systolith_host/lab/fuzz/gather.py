"""Random fully connected layers, and configurations that gather their weights."""

import random
from dataclasses import replace

import numpy as np

from systolith_host.lab.fuzz.networks import random_config
from systolith_host.network.qgraph import QConv, QGraph, QTensor
from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["dense_qgraph", "random_dense_qgraph", "random_gather_config"]


def random_gather_config(rng: random.Random) -> AcceleratorConfig:
    """Return a small configuration of any shape with units that gather."""
    config = random_config(rng)
    return replace(config, gather=config.block * rng.choice([6, 40, 400]))


def random_dense_qgraph(rng: random.Random) -> QGraph:
    """Return a fully connected layer of random size, zero point and range of its inputs."""
    zero = rng.choice([-128, 0, rng.randint(-127, 127)])
    low, high = rng.choice([(zero, 127), (max(zero - 128, -128), min(zero + 127, 127))])
    return dense_qgraph(
        rng,
        zero=zero,
        low=low,
        high=high,
        channels=rng.randint(1, 40),
        size=(rng.randint(1, 4), rng.randint(1, 4)),
        outputs=rng.randint(1, 150),
        silent=rng.choice([0, 0, 0.3, 0.7, 0.9, 0.97, 1]),
    )


def dense_qgraph(
    rng: random.Random,
    *,
    zero: int = -128,
    low: int = -128,
    high: int = 127,
    channels: int = 40,
    size: tuple[int, int] = (3, 2),
    outputs: int = 37,
    silent: float = 0,
) -> QGraph:
    """Return a fully connected layer behind a 1x1 convolution of five channels.

    Parameters
    ----------
    zero, low, high : int
        Zero point and clamp of the layer's input.
    channels, size
        Of the layer's input.
    outputs : int
    silent : float
        Share of the input's channels that are at their zero point, whatever the image.
    """
    numbers = np.random.default_rng(rng.getrandbits(32))
    shapes = {"image": (5, *size), "middle": (channels, *size), "out": (outputs, 1, 1)}
    zeros = {"image": 7, "middle": zero, "out": -3}
    tensors = {
        name: QTensor(name, shape, False, 1.0, zeros[name]) for name, shape in shapes.items()
    }

    def layer(name: str, source: str, kernel: tuple[int, int], low: int, high: int) -> QConv:
        count, inputs = shapes[name][0], shapes[source][0]
        terms = inputs * kernel[0] * kernel[1]
        weight = numbers.integers(-127, 128, (count, inputs, *kernel)).astype(np.int8)
        bias = numbers.integers(-9000, 9000, count).astype(np.int32)
        if name == "middle":
            still = numbers.random(count) < silent
            weight[still], bias[still] = 0, 0
        return QConv(
            name=f"{name}_layer",
            input=source,
            output=name,
            kind="fc" if name == "out" else "conv",
            weight=weight,
            bias=bias,
            multiplier=numbers.integers(1024, 4096, count),
            # Sums vary by about 5400 * sqrt(terms); outputs neither vanish nor saturate all.
            shift=np.full(count, 17 + round(terms**0.5).bit_length()),
            low=low,
            high=high,
        )

    layers = (
        layer("middle", "image", (1, 1), low, high),
        layer("out", "middle", size, -128, 127),
    )
    return QGraph("dense", tensors, layers, "image", "out")
