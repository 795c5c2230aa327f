"""The float network computed with NumPy, for calibration and comparison."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from systolith_host.network.functions import evaluate
from systolith_host.network.graph import (
    Add,
    AveragePool,
    Clip,
    Concat,
    Conv,
    Flatten,
    Function,
    Graph,
    Host,
    Linear,
    MaxPool,
    Mosaic,
    Node,
    Relu,
    Take,
    Weights,
    node_macs,
)
from systolith_host.network.mosaic import put_together
from systolith_host.network.scales import ActivationScale

__all__ = ["input_windows", "run_float", "run_node"]

Progress = Callable[[str, int, int], None]
"""Called with what is under way, the work done, and all the work."""

_COLUMN_BYTES = 64 << 20

_ALIGNED_BYTES = 8 << 20


def run_float(
    graph: Graph,
    weights: Weights,
    x: np.ndarray,
    progress: Progress | None = None,
    *,
    scales: Mapping[str, ActivationScale] | None = None,
) -> Iterator[tuple[str, np.ndarray]]:
    """Compute the network in float32 and yield every tensor, name and values, in order.

    A tensor is kept only until its last use.

    Parameters
    ----------
    graph : Graph
    weights : mapping of str to LayerWeights
    x : ndarray of float32, shape (N, channels, height, width)
    progress : callable, optional
        Called before each node with its name, the multiply-accumulates done and those of all.
    scales : mapping of str to ActivationScale, optional
        Of a network that was quantised before. Its tensors saturate where their integers do,
        without being rounded: a ReLU may exist as the end of such a range alone.
    """
    scales = scales or {}
    last_use = {name: index for index, node in enumerate(graph.nodes) for name in node.inputs}
    last_use |= dict.fromkeys(graph.outputs, len(graph.nodes))
    total = sum(node_macs(graph, node) for node in graph.nodes) * len(x)
    done = 0
    tensors = {graph.input: _saturated(x, scales.get(graph.input))}
    yield graph.input, tensors[graph.input]
    for index, node in enumerate(graph.nodes):
        if progress is not None:
            progress(node.name, done, total)
        y = run_node(node, weights, [tensors[name] for name in node.inputs])
        y = _saturated(y, scales.get(node.output))
        yield node.output, y
        tensors[node.output] = y
        for name in set(node.inputs):
            if last_use[name] == index:
                del tensors[name]
        done += node_macs(graph, node) * len(x)


def _saturated(values: np.ndarray, scale: ActivationScale | None) -> np.ndarray:
    return values if scale is None else scale.saturate(values)


def run_node(node: Node, weights: Weights, inputs: list[np.ndarray]) -> np.ndarray:
    """Return the output of a node for its inputs, shape (N, ...)."""
    x = inputs[0]
    if isinstance(node, Conv):
        return _conv(node, weights[node.name].weight, weights[node.name].bias, x)
    if isinstance(node, Linear):
        return _product(x, weights[node.name].weight) + weights[node.name].bias
    if isinstance(node, Relu):
        return np.maximum(x, 0)
    if isinstance(node, Clip):
        return np.clip(x, node.low, node.high).astype(np.float32)
    if isinstance(node, Function):
        return evaluate(node.steps, x).astype(np.float32)
    if isinstance(node, Add):
        return x + inputs[1]
    if isinstance(node, Concat):
        return np.concatenate(inputs, axis=1)
    if isinstance(node, Mosaic):
        return put_together(inputs, node.grids)
    if isinstance(node, Take):
        chosen = x[:, list(node.channels)]
        return chosen if x.ndim == 2 else chosen[:, :, slice(*node.rows), slice(*node.columns)]
    if isinstance(node, AveragePool):
        windows = _windows(_pad(x, node.padding, 0), node.kernel, node.stride, (1, 1))
        return windows.mean(axis=(4, 5), dtype=np.float32)
    if isinstance(node, Flatten):
        return x.reshape(len(x), -1)
    if isinstance(node, Host):
        return node.part.run(inputs)
    if isinstance(node, MaxPool):
        padded = _pad(x, node.padding, -np.inf)
        windows = _windows(padded, node.kernel, node.stride, (1, 1))
        result = windows[..., 0, 0].copy()
        for r in range(node.kernel[0]):
            for s in range(node.kernel[1]):
                np.maximum(result, windows[..., r, s], out=result)
        return result
    raise TypeError(f"node {node.name!r} must be of a known kind, not {type(node).__name__}")


def _product(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return x @ weight.T; weights that a file holds at an odd address are copied by and by."""
    if weight.flags.aligned:
        return x @ weight.T
    rows = max(1, _ALIGNED_BYTES // (weight.itemsize * weight.shape[1]))
    block = np.empty((min(rows, len(weight)), weight.shape[1]), weight.dtype)
    result = np.empty((len(x), len(weight)), np.float32)
    for first in range(0, len(weight), rows):
        part = block[: len(weight) - first]
        np.copyto(part, weight[first : first + rows])
        result[:, first : first + rows] = x @ part.T
    return result


def _conv(node: Conv, weight: np.ndarray, bias: np.ndarray, x: np.ndarray) -> np.ndarray:
    if node.groups > 1 and weight.shape[1] == 1:
        return _depthwise(node, weight, bias, x)
    if node.groups > 1:
        one = replace(node, groups=1)
        parts = zip(
            np.split(weight, node.groups),
            np.split(bias, node.groups),
            np.split(x, node.groups, axis=1),
            strict=True,
        )
        return np.concatenate([_conv(one, *part) for part in parts], axis=1)
    flat = weight.reshape(len(weight), -1)
    if node.kernel == (1, 1) and node.stride == (1, 1) and not any(node.padding):
        sums = np.matmul(flat, x.reshape(*x.shape[:2], -1))
        sums += bias[:, None]
        return sums.reshape(len(x), len(weight), *x.shape[2:])
    windows = input_windows(node, x)
    images, _, p, q, *_ = windows.shape
    step = max(1, _COLUMN_BYTES // (4 * flat.shape[1] * q))
    result = np.empty((images, len(weight), p, q), np.float32)
    for image in range(images):
        for first in range(0, p, step):
            chunk = windows[image, :, first : first + step]
            columns = chunk.transpose(0, 3, 4, 1, 2).reshape(flat.shape[1], -1)
            sums = flat @ columns + bias[:, None]
            result[image, :, first : first + step] = sums.reshape(len(weight), -1, q)
    return result


def _depthwise(node: Conv, weight: np.ndarray, bias: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the convolution whose groups have one input channel each, tap after tap."""
    windows = input_windows(node, x)
    outputs = len(weight) // node.groups  # of a group
    result = np.empty((len(x), len(weight), *windows.shape[2:4]), np.float32)
    result[...] = bias.reshape(-1, 1, 1)
    for number in range(outputs):
        part = result[:, number::outputs]
        taps = weight[number::outputs, 0].reshape(-1, *node.kernel, 1, 1)
        for r in range(node.kernel[0]):
            for s in range(node.kernel[1]):
                part += windows[..., r, s] * taps[:, r, s]
    return result


def input_windows(node: Conv, x: np.ndarray) -> np.ndarray:
    """Return the window of each output pixel, shape (N, C, P, Q, R, S), as a view."""
    return _windows(_pad(x, node.padding, 0), node.kernel, node.stride, node.dilation)


def _pad(x: np.ndarray, padding: tuple[int, int, int, int], value: float) -> np.ndarray:
    top, bottom, left, right = padding
    return np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=value)


def _windows(
    x: np.ndarray, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]
) -> np.ndarray:
    """Return a view of shape (N, C, P, Q, R, S)."""
    span = (dilation[0] * (kernel[0] - 1) + 1, dilation[1] * (kernel[1] - 1) + 1)
    view: np.ndarray = sliding_window_view(x, span, axis=(2, 3))  # pyright: ignore
    return view[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
