"""Passes that only move values: concatenations and parts of tensors that are copied."""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from systolith_host.compiler.lower.elementwise import check_same_numbers
from systolith_host.compiler.lower.operation import Operation
from systolith_host.compiler.lower.pack import entries, identity, identity_reach
from systolith_host.network.mosaic import repeats
from systolith_host.network.qgraph import QConcat, QGraph, QMosaic, QTake
from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["lower_gather", "lower_repeat", "lower_take"]


def lower_gather(qgraph: QGraph, config: AcceleratorConfig, layer: QConcat) -> Operation:
    """Return a concatenation by identity weights that move channels between blocks."""
    sources = [qgraph.tensors[name] for name in layer.inputs]
    target = qgraph.tensors[layer.output]
    for source in sources:
        check_same_numbers(layer, source, target)
    channels, height, width = target.shape
    rows, cols = config.rows, config.cols
    widest = max(source.shape[0] for source in sources)
    blocks, groups = -(-widest // rows), -(-channels // cols)
    parts = sum(qgraph.tensors[name].shape[0] for name in set(layer.inputs))
    moves = np.zeros((len(sources), blocks * rows, groups * cols), np.int8)
    first = 0
    for number, source in enumerate(sources):
        count = source.shape[0]
        moves[number, np.arange(count), first + np.arange(count)] = 1
        first += count
    weights = moves.reshape(len(sources) * blocks, rows, groups, cols).transpose(2, 0, 1, 3)
    weights = weights.reshape(groups, len(sources) * blocks, 1, 1, rows, cols)
    return _copy(
        layer,
        (widest, height, width),
        target.shape,
        config,
        reach=(),
        sweeps=tuple((number, False) for number in range(len(sources))),
        weights=np.ascontiguousarray(weights),
        activations=(parts + channels) * height * width,
    )


def lower_take(qgraph: QGraph, config: AcceleratorConfig, layer: QTake) -> Operation:
    """Return a copy of some channels and pixels: identity weights, and padding below zero."""
    source, target = qgraph.tensors[layer.input], qgraph.tensors[layer.output]
    check_same_numbers(layer, source, target)
    weights, reach = _chosen(np.array(layer.channels), source.shape[0], config)
    return _copy(
        layer,
        source.shape,
        target.shape,
        config,
        stride=(layer.rows[2], layer.columns[2]),
        padding=(-layer.rows[0], -layer.columns[0]),
        reach=reach,
        sweeps=((0, False),),
        weights=weights,
        activations=2 * math.prod(target.shape),
    )


def lower_repeat(qgraph: QGraph, config: AcceleratorConfig, layer: QMosaic) -> Operation:
    """Return a copy that stores each value several times: a mosaic of one tensor."""
    name = layer.inputs[0]
    source, target = qgraph.tensors[name], qgraph.tensors[layer.output]
    check_same_numbers(layer, source, target)
    repeat = repeats(layer.inputs, layer.grids)
    assert repeat is not None
    made = _copy(
        layer,
        source.shape,
        source.shape,
        config,
        reach=identity_reach(source.shape[0], config),
        sweeps=((0, False),),
        weights=identity(config),
        activations=math.prod(source.shape) + math.prod(target.shape),
    )
    return replace(made, inputs=(name,), repeat=repeat)


def _copy(
    layer: QConcat | QMosaic | QTake,
    read: tuple[int, int, int],
    made: tuple[int, int, int],
    config: AcceleratorConfig,
    **fields: Any,
) -> Operation:
    """Return an operation that multiplies nothing and keeps every value; `fields` say which."""
    channels, height, width = read
    out_channels, out_height, out_width = made
    ones = np.ones(out_channels, np.int64)
    return Operation(
        name=layer.name,
        kind="copy",
        covers=(layer.name,),
        inputs=layer.inputs,
        output=layer.output,
        channels=channels,
        height=height,
        width=width,
        out_channels=out_channels,
        out_height=out_height,
        out_width=out_width,
        zero_point=0,
        low=-128,
        high=127,
        # (2 * sum + 1) >> 1 is the sum.
        params=entries(config, 0 * ones, 2 * ones, ones),
        macs=0,
        weight_elements=0,
        **fields,
    )


def _chosen(
    chosen: np.ndarray, channels: int, config: AcceleratorConfig
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return weights that choose channels, and the first input block of each output block.

    Parameters
    ----------
    chosen : ndarray of int, shape (output channels,)
    channels : int
        Of the input.
    """
    rows, cols = config.rows, config.cols
    blocks = -(-channels // rows)
    groups = [chosen[first : first + cols] for first in range(0, len(chosen), cols)]
    reached = max(int(group.max() // rows - group.min() // rows) + 1 for group in groups)
    reach = tuple(min(int(group.min() // rows), blocks - reached) for group in groups)
    weights = np.zeros((len(groups), reached * rows, cols), np.int8)
    for number, (group, first) in enumerate(zip(groups, reach, strict=True)):
        weights[number, group - first * rows, np.arange(len(group))] = 1
    return weights.reshape(len(groups), reached, 1, 1, rows, cols), reach
