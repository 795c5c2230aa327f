"""Lowering of layers without weights: pools and sums."""

from typing import Any

import numpy as np

from systolith_host.compiler.lower.operation import LARGEST_TAPS, Operation
from systolith_host.compiler.lower.pack import (
    check_scale,
    entries,
    identity,
    identity_reach,
    overflow,
)
from systolith_host.compiler.schedule.touched import touched
from systolith_host.compiler.shortage import ShortageError, depth_change
from systolith_host.errors import SystolithError
from systolith_host.network.qgraph import (
    QAdd,
    QConcat,
    QConv,
    QGraph,
    QMaxPool,
    QMosaic,
    QTake,
    QTensor,
)
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import TABLE_ENTRIES
from systolith_hw.spec.numerics import device_offset, fits_signed

__all__ = ["check_same_numbers", "device_result", "lower_add", "lower_pool"]


def device_result(
    layer: QConv | QAdd, target: QTensor, config: AcceleratorConfig
) -> dict[str, Any]:
    """Return zero point, clamp and table of a layer's results, as they are in the accelerator."""
    table = layer.table
    sums = table or target
    offset = device_offset(sums.unsigned)
    found = {
        "zero_point": sums.zero_point - offset,
        "low": layer.low - offset,
        "high": layer.high - offset,
    }
    if table is None:
        return found
    if not config.functions:
        raise SystolithError(
            f"{layer.name}: its {table.function} needs the stage that looks functions up, which "
            f"{config.name} leaves out; build with functions 1"
        )
    entries = np.array(table.values, np.int64) - device_offset(target.unsigned)
    if entries.shape != (TABLE_ENTRIES,) or entries.min() < -128 or entries.max() > 127:
        raise SystolithError(
            f"{layer.name}: the table of its {table.function} must have {TABLE_ENTRIES} values of "
            "the output's type; quantise the network again"
        )
    return {**found, "table": entries.astype(np.int8)}


def lower_pool(qgraph: QGraph, config: AcceleratorConfig, layer: QMaxPool) -> Operation:
    source, target = qgraph.tensors[layer.input], qgraph.tensors[layer.output]
    window = f"a window of {layer.kernel[0]}x{layer.kernel[1]}"
    if max(layer.kernel) > LARGEST_TAPS:
        raise SystolithError(
            f"{layer.name}: {window} exceeds the {LARGEST_TAPS} of an instruction; use smaller ones"
        )
    pixels = layer.kernel[0] * layer.kernel[1]
    if pixels > config.acc_depth:
        problem = f"{window} exceeds the accumulators ({config.acc_depth} pixels)"
        raise ShortageError(layer.name, problem, (depth_change(config, "acc_depth", pixels),))
    check_same_numbers(layer, source, target)
    channels, height, width = source.shape
    _, out_height, out_width = target.shape
    ones = np.ones(channels, np.int64)
    used = [
        touched(
            source.shape[1 + axis],
            target.shape[1 + axis],
            kernel=layer.kernel[axis],
            stride=layer.stride[axis],
            padding=layer.padding[2 * axis],
        )
        for axis in (0, 1)
    ]
    return Operation(
        name=layer.name,
        kind="pool",
        covers=(layer.name,),
        inputs=layer.inputs,
        output=layer.output,
        channels=channels,
        height=height,
        width=width,
        out_channels=channels,
        out_height=out_height,
        out_width=out_width,
        padding=(layer.padding[0], layer.padding[2]),
        pad_value=-128,
        window=layer.kernel,
        window_stride=layer.stride,
        reach=identity_reach(channels, config),
        sweeps=((0, False),),
        zero_point=0,
        low=-128,
        high=127,
        weights=identity(config),
        # (2 * sum + 1) >> 1 is the sum.
        params=entries(config, 0 * ones, 2 * ones, ones),
        macs=0,
        activations=channels * (used[0] * used[1] + out_height * out_width),
        weight_elements=0,
    )


def lower_add(qgraph: QGraph, config: AcceleratorConfig, layer: QAdd) -> Operation:
    """Return a sum: each input goes through a diagonal of its factor's high byte, then low byte."""
    sources = [qgraph.tensors[name] for name in layer.inputs]
    target = qgraph.tensors[layer.output]
    channels, height, width = target.shape
    halves: tuple[list[int], list[int]] = ([], [])
    bias = largest = 0
    for source, factor in zip(sources, layer.factors, strict=True):
        low = (factor + 128) % 256 - 128
        high = (factor - low) // 256
        if not -128 <= high <= 127:
            raise SystolithError(f"{layer.name}: factor {factor} exceeds 16 bits")
        halves[0].append(high)
        halves[1].append(low)
        bias -= factor * (source.zero_point - device_offset(source.unsigned))
        largest += 128 * (256 * abs(high) + abs(low))
    if not fits_signed(largest + abs(bias), config.acc_width):
        raise overflow(layer.name, "its sum reaches", largest + abs(bias), config)
    numbers = [np.full(channels, value, np.int64) for value in (layer.multiplier, layer.shift)]
    check_scale(layer.name, numbers[0], numbers[1], config)
    diagonal = identity(config)
    weights = np.concatenate(
        [diagonal * np.int8(factor) for half in halves for factor in half], axis=1
    )
    return Operation(
        name=layer.name,
        kind="add",
        covers=(layer.name,),
        inputs=layer.inputs,
        output=layer.output,
        channels=channels,
        height=height,
        width=width,
        out_channels=channels,
        out_height=height,
        out_width=width,
        reach=identity_reach(channels, config),
        sweeps=((0, False), (1, False), (0, True), (1, False)),
        **device_result(layer, target, config),
        weights=weights,
        params=entries(config, np.full(channels, bias), *numbers),
        macs=0,
        activations=(len(set(layer.inputs)) + 1) * channels * height * width,
        weight_elements=0,
    )


def check_same_numbers(
    layer: QMaxPool | QConcat | QMosaic | QTake, source: QTensor, target: QTensor
) -> None:
    if (source.unsigned, source.zero_point) != (target.unsigned, target.zero_point):
        what = {
            QMaxPool: "a pool",
            QConcat: "a concatenation",
            QMosaic: "a mosaic",
            QTake: "a slice",
        }[type(layer)]
        raise SystolithError(
            f"{layer.name}: input and output of {what} must share type and zero point"
        )
