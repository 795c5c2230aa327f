"""Weights of 9 bits: shared among copies of their input, each with weights of 8 bits.

A file may have unsigned weights with any zero point. Minus that point they reach from -255 to 255,
and the zero point times the sum of the inputs differs from pixel to pixel. Copies of the input keep
everything exact.
"""

import math

import numpy as np

from systolith_host.frontend.problems import UnsupportedError
from systolith_host.frontend.reader import Reader
from systolith_host.network.graph import Conv, Flatten, LayerWeights, Linear

__all__ = ["copied_image", "copied_vector", "copies", "shared"]

_LEAST, _MOST = -128, 127

_LARGEST_VECTOR = 4096
"""Features of a vector that a matrix may copy."""


def copies(weight: np.ndarray, scale: np.ndarray | None) -> int:
    """Return among how many copies of the input weights must be shared, 1 if they fit.

    Parameters
    ----------
    weight : ndarray of floats, shape (K, ...)
    scale : ndarray of float64, shape (K,), optional
        Their steps, if they were quantised before.
    """
    if scale is None or not weight.size:
        return 1
    flat = weight.reshape(len(weight), -1)
    most = int(np.rint(flat.max(axis=1) / scale).max())
    least = int(np.rint(flat.min(axis=1) / scale).min())
    return max(1, math.ceil(most / _MOST), math.ceil(least / _LEAST))


def shared(weight: np.ndarray, scale: np.ndarray, count: int) -> np.ndarray:
    """Return weights for `count` copies of each input channel; their sum is the weight.

    Parameters
    ----------
    weight : ndarray of floats, shape (K, C, ...)

    Returns
    -------
    ndarray of float64, shape (K, C * count, ...)
        A channel's copies stand next to one another.
    """
    step = scale.reshape(-1, *[1] * (weight.ndim - 1))
    rest = np.rint(weight / step)
    parts = []
    for _ in range(count):
        parts.append(np.clip(rest, _LEAST, _MOST))
        rest = rest - parts[-1]
    stacked = np.stack(parts, axis=2) * step[..., None]
    return stacked.reshape(len(weight), -1, *weight.shape[2:])


def copied_image(reader: Reader, name: str, source: str, count: int) -> str:
    """Append a layer that copies each channel of a quantised image; return its output."""
    channels, *size = reader.shapes[source]
    output = f"{name}.copies"
    node = Conv(output, (source,), output, count * channels, (1, 1), groups=channels)
    ones = np.ones((count * channels, 1, 1, 1), np.float32)
    _append(reader, node, (count * channels, *size), ones, source)
    return output


def copied_vector(reader: Reader, name: str, source: str, count: int) -> tuple[str, int]:
    """Append what copies a quantised vector, or the image that it was; return it, and its pixels.

    Returns
    -------
    str
        A vector: each channel's pixels `count` times.
    int
        Pixels of a channel.
    """
    image = reader.root(source)
    if len(reader.shapes[image]) == 3:
        made = copied_image(reader, name, image, count)
        output = f"{name}.copies.flat"
        size = math.prod(reader.shapes[made])
        reader.append(Flatten(output, (made,), output), (size,))
        return output, math.prod(reader.shapes[image][1:])
    (features,) = reader.shapes[source]
    if features > _LARGEST_VECTOR:
        raise UnsupportedError(
            f"has weights beyond int8 on a vector of {features}, more than {_LARGEST_VECTOR}; "
            "quantise weights as signed and symmetric"
        )
    output = f"{name}.copies"
    node = Linear(output, (source,), output, count * features)
    reader.take(count * features * features)
    ones = np.repeat(np.eye(features, dtype=np.float32), count, axis=0)
    _append(reader, node, (count * features,), ones, source)
    return output, 1


def _append(
    reader: Reader, node: Conv | Linear, shape: tuple[int, ...], ones: np.ndarray, source: str
) -> None:
    reader.append(node, shape)
    reader.weights[node.name] = LayerWeights(ones, np.zeros(len(ones)), np.ones(len(ones)))
    reader.scales[node.output] = reader.scales[reader.root(source)]
