"""The golden model of an integer network: every tensor, layer by layer."""

from collections.abc import Callable

import numpy as np

from systolith_host.network.host import run_integers
from systolith_host.network.mosaic import put_together
from systolith_host.network.qgraph import (
    QAdd,
    QConcat,
    QConv,
    QGraph,
    QHost,
    QLayer,
    QMosaic,
    QTable,
    QTake,
    QTensor,
)
from systolith_host.network.scales import held_type
from systolith_sim.golden.ops import add, conv2d, look_up, max_pool

__all__ = ["layer_macs", "run_golden", "run_layer", "tensor_dtype"]

Progress = Callable[[str, int, int], None]
"""Called with what is under way, the work done, and all the work."""


def tensor_dtype(tensor: QTensor | QTable) -> np.dtype:
    """Return the NumPy type of a tensor's values."""
    if isinstance(tensor, QTensor):
        return held_type(tensor)
    return np.dtype(np.uint8 if tensor.unsigned else np.int8)


def layer_macs(qgraph: QGraph, layer: QLayer) -> int:
    """Return the multiply-accumulates of a layer for one image; a pool has none."""
    if not isinstance(layer, QConv) or layer.kind == "pool":
        return 0
    _, height, width = qgraph.tensors[layer.output].shape
    return layer.weight.size * height * width


def run_layer(qgraph: QGraph, layer: QLayer, *inputs: np.ndarray) -> np.ndarray:
    """Return the output of one layer, shape (N, K, P, Q), from its inputs, shape (N, C, H, W)."""
    sources = [qgraph.tensors[name] for name in layer.inputs]
    target = qgraph.tensors[layer.output]
    for source, x in zip(sources, inputs, strict=True):
        if x.dtype != tensor_dtype(source) or x.shape[1:] != source.shape:
            raise ValueError(
                f"input of {layer.name} must be {tensor_dtype(source)} (N, *{source.shape}), "
                f"not {x.dtype} {x.shape}"
            )
    table = layer.table if isinstance(layer, QConv | QAdd) else None
    sums = table or target
    if isinstance(layer, QConv):
        y = conv2d(
            inputs[0],
            layer.weight,
            layer.bias,
            layer.multiplier,
            layer.shift,
            stride=layer.stride,
            padding=layer.padding,
            dilation=layer.dilation,
            input_zero_point=sources[0].zero_point,
            output_zero_point=sums.zero_point,
            low=layer.low,
            high=layer.high,
            dtype=tensor_dtype(sums),
            groups=layer.groups,
        )
    elif isinstance(layer, QAdd):
        y = add(
            (inputs[0], inputs[1]),
            layer.factors,
            layer.multiplier,
            layer.shift,
            input_zero_points=(sources[0].zero_point, sources[1].zero_point),
            output_zero_point=sums.zero_point,
            low=layer.low,
            high=layer.high,
            dtype=tensor_dtype(sums),
        )
    elif isinstance(layer, QConcat):
        y = np.concatenate(inputs, axis=1)
    elif isinstance(layer, QMosaic):
        y = put_together(inputs, layer.grids)
    elif isinstance(layer, QTake):
        chosen = inputs[0][:, list(layer.channels)]
        y = np.ascontiguousarray(chosen[:, :, slice(*layer.rows), slice(*layer.columns)])
    elif isinstance(layer, QHost):
        y = run_integers(layer.part, inputs, sources, target).reshape(-1, *target.shape)
    else:
        y = max_pool(inputs[0], layer.kernel, layer.stride, layer.padding)
    if table is not None:
        y = look_up(y, table.values, tensor_dtype(target))
    if y.shape[1:] != target.shape:
        raise ValueError(f"output of {layer.name} must be {target.shape}, not {y.shape[1:]}")
    return y


def run_golden(
    qgraph: QGraph, x: np.ndarray, progress: Progress | None = None
) -> dict[str, np.ndarray]:
    """Compute every tensor of the network.

    Parameters
    ----------
    qgraph : QGraph
    x : ndarray of the input tensor's type, shape (N, C, H, W)
    progress : callable, optional
        Called before each layer with its name, the multiply-accumulates done and those of all.

    Returns
    -------
    dict of str to ndarray, shape (N, C, H, W)
        Input included.
    """
    total = sum(layer_macs(qgraph, layer) for layer in qgraph.layers)
    done = 0
    tensors = {qgraph.input: np.ascontiguousarray(x)}
    for layer in qgraph.layers:
        if progress is not None:
            progress(layer.name, done, total)
        tensors[layer.output] = run_layer(qgraph, layer, *(tensors[name] for name in layer.inputs))
        done += layer_macs(qgraph, layer)
    return tensors
