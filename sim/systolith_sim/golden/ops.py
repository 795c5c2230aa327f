"""Operators on whole integer tensors, exact, from the specification alone."""

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike

__all__ = ["add", "conv2d", "conv_output_size", "look_up", "max_pool"]

COLUMN_BYTES = 64 << 20
"""Memory for the columns of one matrix product, and for the weights of one."""

_INT32_TAPS = 1 << 15
"""Products of an input, 9 bits with sign, and a weight of 8 that 32 bits can add up, at least."""


def conv_output_size(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
    dilation: tuple[int, int] = (1, 1),
) -> tuple[int, int]:
    """Return height and width of a kernel's output for an image of `size` (height, width).

    `padding` is (top, bottom, left, right), everything else (vertical, horizontal). Raises
    ValueError if the kernel does not fit.
    """
    top, bottom, left, right = padding
    padded = (size[0] + top + bottom, size[1] + left + right)
    span = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
    if padded[0] < span[0] or padded[1] < span[1]:
        raise ValueError(
            f"kernel must fit the padded input of {padded[0]}x{padded[1]}, "
            f"not span {span[0]}x{span[1]}"
        )
    return (padded[0] - span[0]) // stride[0] + 1, (padded[1] - span[1]) // stride[1] + 1


def conv2d(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    multiplier: np.ndarray,
    shift: np.ndarray,
    *,
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
    dilation: tuple[int, int],
    input_zero_point: int,
    output_zero_point: int,
    low: int,
    high: int,
    dtype: type[np.integer] | np.dtype = np.int16,
    groups: int = 1,
) -> np.ndarray:
    """Convolve, requantise per output channel and clamp.

    Every sum and its bias must be below 2**38 in magnitude, which any accumulator of 32 bits
    keeps: then float64 products and int64 scaling are exact.

    Parameters
    ----------
    x : ndarray of int8 or uint8, shape (N, C, H, W)
    weight : ndarray of int8, shape (K, C / groups, R, S)
    bias, multiplier, shift : ndarray of integers, shape (K,)
        Zero points are not folded into the bias.
    stride, dilation : (vertical, horizontal)
    padding : (top, bottom, left, right)
        Of the input's zero point.
    low, high : int
        Clamp of the result, zero point included.
    dtype : integer type
        Of the result; must hold `low` to `high`.
    groups : int
        Divides C and K: outputs of the g-th K / groups see inputs of the g-th C / groups only.

    Returns
    -------
    ndarray of `dtype`, shape (N, K, P, Q)
    """
    info = np.iinfo(np.empty(0, dtype).dtype)
    if not info.min <= low <= high <= info.max:
        raise ValueError(f"low and high must be ordered and fit {info.dtype}, not {low} and {high}")
    if groups > 1 and weight.shape[1] == 1 and weight.shape[2] * weight.shape[3] <= _INT32_TAPS:
        sums = _depthwise_sums(
            x, weight, groups, stride, padding, dilation, np.int16(input_zero_point)
        ).astype(np.int64)
        scaled = [np.asarray(v, np.int64).reshape(-1, 1, 1) for v in (bias, multiplier, shift)]
        values = _requantize(sums, *scaled)
        values += output_zero_point
        return np.clip(values, low, high, out=values).astype(dtype)
    if groups > 1:
        parts = zip(
            *(np.split(values, groups) for values in (weight, bias, multiplier, shift)),
            np.split(x, groups, axis=1),
            strict=True,
        )
        results = [
            conv2d(
                part,
                *numbers,
                stride=stride,
                padding=padding,
                dilation=dilation,
                input_zero_point=input_zero_point,
                output_zero_point=output_zero_point,
                low=low,
                high=high,
                dtype=dtype,
            )
            for *numbers, part in parts
        ]
        return np.concatenate(results, axis=1)
    images, channels, height, width = x.shape
    outputs, weight_channels, *kernel = weight.shape
    if weight_channels != channels:
        raise ValueError(f"weight must have {channels} input channels, not {weight_channels}")
    p, q = conv_output_size((height, width), (kernel[0], kernel[1]), stride, padding, dilation)
    top, bottom, left, right = padding
    centred = np.pad(
        x.astype(np.int16) - np.int16(input_zero_point),
        ((0, 0), (0, 0), (top, bottom), (left, right)),
    )
    span = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
    windows = sliding_window_view(centred, span, axis=(2, 3))  # type: ignore[arg-type]
    # (N, C, P, Q, R, S), a view: nothing is copied before a chunk becomes columns.
    windows = windows[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]

    taps = channels * kernel[0] * kernel[1]
    flat = weight.reshape(outputs, taps)
    parameters = [np.asarray(value, np.int64).reshape(-1, 1) for value in (bias, multiplier, shift)]
    step = max(1, min(outputs, COLUMN_BYTES // (8 * taps)))
    kept = flat.astype(np.float64) if step >= outputs else None
    result = np.empty((outputs, images, p, q), dtype)
    for image, rows in _chunks(images, p, COLUMN_BYTES // (8 * taps * q)):
        chunk = windows[image, :, rows]
        # (N, C, P, Q, R, S) -> (C, R, S, N, P, Q)
        columns = chunk.transpose(1, 4, 5, 0, 2, 3).astype(np.float64, order="C")
        columns = columns.reshape(taps, -1)
        for first in range(0, outputs, step):
            part = slice(first, first + step)
            block = kept if kept is not None else flat[part].astype(np.float64)
            sums = (block @ columns).astype(np.int64)
            values = _requantize(sums, *(value[part] for value in parameters))
            values += output_zero_point
            np.clip(values, low, high, out=values)
            target = result[part, image, rows]
            target[...] = values.reshape(target.shape)
    return np.ascontiguousarray(result.transpose(1, 0, 2, 3))


def _depthwise_sums(
    x: np.ndarray,
    weight: np.ndarray,
    groups: int,
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
    dilation: tuple[int, int],
    zero_point: np.int16,
) -> np.ndarray:
    """Return the sums of a convolution whose groups have one input channel each, tap after tap."""
    outputs, _, *kernel = weight.shape
    p, q = conv_output_size(
        (x.shape[2], x.shape[3]), (kernel[0], kernel[1]), stride, padding, dilation
    )
    top, bottom, left, right = padding
    sides = ((0, 0), (0, 0), (top, bottom), (left, right))
    centred = np.pad(x.astype(np.int16) - zero_point, sides).astype(np.int32)
    sums = np.zeros((len(x), outputs, p, q), np.int32)
    for number in range(outputs // groups):  # of a group's outputs
        part = sums[:, number :: outputs // groups]
        for r in range(kernel[0]):
            for s in range(kernel[1]):
                down, across = r * dilation[0], s * dilation[1]
                rows = slice(down, down + stride[0] * (p - 1) + 1, stride[0])
                pixels = slice(across, across + stride[1] * (q - 1) + 1, stride[1])
                tap = weight[number :: outputs // groups, 0, r, s].astype(np.int32)
                part += centred[:, :, rows, pixels] * tap[:, None, None]
    return sums


def add(
    inputs: tuple[np.ndarray, np.ndarray],
    factors: tuple[int, int],
    multiplier: int,
    shift: int,
    *,
    input_zero_points: tuple[int, int],
    output_zero_point: int,
    low: int,
    high: int,
    dtype: type[np.integer] | np.dtype = np.int16,
) -> np.ndarray:
    """Add two tensors, each times its factor, requantise and clamp.

    Parameters
    ----------
    inputs : two ndarrays of int8 or uint8, shape (N, C, H, W)
    factors : (int, int)
        Below 2**16 in magnitude.
    multiplier, shift : int
    others
        As in :func:`conv2d`.

    Returns
    -------
    ndarray of `dtype`, shape (N, C, H, W)
    """
    sums = np.zeros(inputs[0].shape, np.int64)
    for x, factor, zero_point in zip(inputs, factors, input_zero_points, strict=True):
        sums += factor * (x.astype(np.int64) - zero_point)
    scale = np.array([0, multiplier, shift], np.int64)
    values = _requantize(sums, scale[0], scale[1], scale[2]) + output_zero_point
    return np.clip(values, low, high).astype(dtype)


def look_up(x: np.ndarray, entries: ArrayLike, dtype: type[np.integer] | np.dtype) -> np.ndarray:
    """Replace every value by its entry of a table.

    Parameters
    ----------
    x : ndarray of int8 or uint8
    entries : array_like of int, shape (256,)
        For the least value of x's type, the next one, and so on.
    dtype : integer type
        Of the entries; must hold them.

    Returns
    -------
    ndarray of `dtype`, x's shape
    """
    return np.asarray(entries).astype(dtype)[x.astype(np.int64) - np.iinfo(x.dtype).min]


def _requantize(
    sums: np.ndarray,
    bias: np.ndarray | np.int64,
    multiplier: np.ndarray | np.int64,
    shift: np.ndarray | np.int64,
) -> np.ndarray:
    """Return ``((sums + bias) * multiplier + half) >> shift``, in place of int64 `sums`."""
    sums += bias
    sums *= multiplier
    sums += np.int64(1) << (shift - 1)
    sums >>= shift
    return sums


def _chunks(images: int, rows: int, limit: int) -> Iterator[tuple[slice, slice]]:
    """Cut images x rows into slices of at most `limit` rows: whole images, or rows of one."""
    if limit >= rows:
        step = limit // rows
        for first in range(0, images, step):
            yield slice(first, min(first + step, images)), slice(0, rows)
        return
    step = max(1, limit)
    for image in range(images):
        for first in range(0, rows, step):
            yield slice(image, image + 1), slice(first, min(first + step, rows))


def max_pool(
    x: np.ndarray,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
) -> np.ndarray:
    """Return the largest value of each window; padding never wins.

    Parameters
    ----------
    x : ndarray of an integer type, shape (N, C, H, W)
    kernel, stride : (vertical, horizontal)
    padding : (top, bottom, left, right)
        Less than the kernel on each side, so that no window is padding alone.

    Returns
    -------
    ndarray of x's type, shape (N, C, P, Q)
    """
    top, bottom, left, right = padding
    if max(top, bottom) >= kernel[0] or max(left, right) >= kernel[1]:
        raise ValueError(f"padding must be smaller than the kernel {kernel}, not {padding}")
    p, q = conv_output_size((x.shape[2], x.shape[3]), kernel, stride, padding)
    least: ArrayLike = np.iinfo(x.dtype).min
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=least)
    result: np.ndarray | None = None
    for r in range(kernel[0]):
        for s in range(kernel[1]):
            rows = slice(r, r + stride[0] * (p - 1) + 1, stride[0])
            pixels = slice(s, s + stride[1] * (q - 1) + 1, stride[1])
            tap = padded[:, :, rows, pixels]
            result = tap.copy() if result is None else np.maximum(result, tap, out=result)
    assert result is not None
    return result
