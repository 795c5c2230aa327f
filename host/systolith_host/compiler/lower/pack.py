"""Packing: weights and parameters in the order in which the accelerator takes them."""

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.network.qgraph import QConv
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.numerics import MAX_SHIFT, fits_signed, sum_bounds

__all__ = [
    "check_scale",
    "conv_params",
    "entries",
    "identity",
    "identity_reach",
    "overflow",
    "pack_blocks",
    "pack_groups",
    "pack_nibbles",
    "pack_taps",
]

LARGEST_WIDTH = 32
"""Of an accumulator, in bits."""


def conv_params(layer: QConv, config: AcceleratorConfig, zero_point: int) -> np.ndarray:
    """Return the parameter entries with the zero point folded in, and prove the sums safe."""
    flat = layer.weight.reshape(len(layer.weight), -1)
    positive = np.maximum(flat, 0).sum(axis=1, dtype=np.int64)
    negative = flat.sum(axis=1, dtype=np.int64) - positive
    folded = layer.bias.astype(np.int64) - zero_point * (positive + negative)
    for channel, bias in enumerate(folded.tolist()):
        low, high = sum_bounds(int(positive[channel]), int(negative[channel]), bias)
        if not (fits_signed(low, config.acc_width) and fits_signed(high, config.acc_width)):
            raise overflow(layer.name, f"sums of channel {channel} reach", max(-low, high), config)
    check_scale(layer.name, layer.multiplier, layer.shift, config)
    return entries(config, folded, layer.multiplier, layer.shift)


def overflow(name: str, what: str, largest: int, config: AcceleratorConfig) -> SystolithError:
    """Return the error of sums that the accumulators could not hold."""
    bits = largest.bit_length() + 1
    way_out = f"build with acc_width {bits}"
    if bits > LARGEST_WIDTH:
        way_out = f"no accelerator has more than {LARGEST_WIDTH}: use fewer input channels"
    return SystolithError(
        f"{name}: {what} {largest:,} and could overflow {config.acc_width} bits; {way_out}"
    )


def check_scale(
    name: str, multiplier: np.ndarray, shift: np.ndarray, config: AcceleratorConfig
) -> None:
    """Refuse multipliers and shifts that the requantiser does not have."""
    limit = (1 << config.multiplier_width) - 1
    if multiplier.min() < 0 or multiplier.max() > limit:
        raise SystolithError(
            f"{name}: multipliers reach {int(multiplier.max())}, beyond the {limit} "
            f"of multiplier_width {config.multiplier_width}; quantise for this configuration"
        )
    if shift.min() < 1 or shift.max() > MAX_SHIFT:
        raise SystolithError(
            f"{name}: shifts must be between 1 and {MAX_SHIFT}; quantise the network again"
        )


def entries(
    config: AcceleratorConfig, bias: np.ndarray, multiplier: np.ndarray, shift: np.ndarray
) -> np.ndarray:
    """Return the packed entries of output channels, padded to whole blocks of columns."""
    count = len(bias)
    padded = -(-count // config.cols) * config.cols
    words = np.zeros((padded, 2), "<u4")
    words[:, 1] = 1 << 24
    words[:count, 0] = bias.astype(np.int64) & 0xFFFFFFFF
    words[:count, 1] = multiplier.astype(np.int64) | shift.astype(np.int64) << 24
    return words.view(np.uint8)


def pack_blocks(weight: np.ndarray, config: AcceleratorConfig) -> np.ndarray:
    """Return weights (K, C, R, S) in the order in which the array takes them."""
    outputs, inputs, *kernel = weight.shape
    rows, cols = config.rows, config.cols
    groups, blocks = -(-outputs // cols), -(-inputs // rows)
    if (groups * cols, blocks * rows) != (outputs, inputs):
        padded = np.zeros((groups * cols, blocks * rows, *kernel), np.int8)
        padded[:outputs, :inputs] = weight
        weight = padded
    weight = weight.reshape(groups, cols, blocks, rows, *kernel)
    return np.ascontiguousarray(weight.transpose(0, 2, 4, 5, 3, 1))


def pack_taps(layer: QConv, config: AcceleratorConfig, pixel_bytes: int) -> np.ndarray:
    """Return weights for a packed input: each pass takes several columns of the kernel."""
    outputs, inputs, height, width = layer.weight.shape
    per_word = config.block // pixel_bytes
    dilated = (width - 1) * layer.dilation[1] + 1
    passes = -(-dilated // per_word)
    taps = np.zeros((outputs, height, passes * per_word, pixel_bytes), np.int8)
    taps[:, :, : dilated : layer.dilation[1], :inputs] = layer.weight.transpose(0, 2, 3, 1)
    taps = taps.reshape(outputs, height, passes, config.block)
    groups = -(-outputs // config.cols)
    words = np.zeros((groups * config.cols, height, passes, config.rows), np.int8)
    words[:outputs, :, :, : config.block] = taps
    words = words.reshape(groups, 1, config.cols, height, passes, config.rows)
    return np.ascontiguousarray(words.transpose(0, 1, 3, 4, 5, 2))


def identity(config: AcceleratorConfig) -> np.ndarray:
    """Return one identity matrix in the pieces that the array takes one after the other."""
    rows, cols = config.rows, config.cols
    matrix = np.eye(max(rows, cols), dtype=np.int8)
    if rows >= cols:
        matrix = matrix.reshape(rows, rows // cols, cols).transpose(1, 0, 2)
        return np.ascontiguousarray(matrix.reshape(rows // cols, 1, 1, 1, rows, cols))
    return matrix.reshape(1, cols // rows, 1, 1, rows, cols)


def identity_reach(channels: int, config: AcceleratorConfig) -> tuple[int, ...]:
    """Return the first input block of each output block of the same channels."""
    return tuple(block * config.cols // config.rows for block in range(-(-channels // config.cols)))


def pack_groups(
    weight: np.ndarray, groups: int, config: AcceleratorConfig
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return weights (K, C / groups, R, S) with zeros between the groups, and their reach."""
    outputs, inputs, *kernel = weight.shape
    rows, cols = config.rows, config.cols
    if inputs == 1 and outputs == groups and (weight == weight.flat[0]).all():
        # A mean or a change of scale: the same diagonal for all blocks and taps.
        taps = np.broadcast_to(weight.flat[0], (1, 1, *kernel, 1, 1))
        return np.ascontiguousarray(identity(config) * taps), identity_reach(outputs, config)
    each = outputs // groups
    blocks = -(-inputs * groups // rows)
    spans = []
    for first in range(0, outputs, cols):
        last = min(first + cols, outputs) - 1
        low = first // each * inputs // rows
        spans.append((low, -(-(last // each + 1) * inputs // rows)))
    reached = max(high - low for low, high in spans)
    reach = tuple(min(low, blocks - reached) for low, _ in spans)
    dense = np.zeros((len(reach), reached * rows, *kernel, cols), np.int8)
    for output in range(outputs):
        block, column = divmod(output, cols)
        first = output // each * inputs - reach[block] * rows
        dense[block, first : first + inputs, ..., column] = weight[output]
    dense = dense.reshape(len(reach), reached, rows, *kernel, cols)
    return np.ascontiguousarray(dense.transpose(0, 1, 3, 4, 2, 5)), reach


def pack_nibbles(words: np.ndarray) -> np.ndarray:
    """Return words of weights, int8 of -8 to 7, two by two in words of memory.

    Parameters
    ----------
    words : ndarray of int8, shape (..., words, cols)
        An even number of words.

    Returns
    -------
    ndarray of uint8, shape (..., words / 2, cols)
        The first word of each two in the low nibbles.
    """
    return (words[..., ::2, :] & 15 | words[..., 1::2, :] << 4).view(np.uint8)
