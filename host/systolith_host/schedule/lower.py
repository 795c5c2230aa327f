"""Lowering: layers of an integer network become operations of the accelerator."""

from dataclasses import dataclass

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.quantize.qgraph import QConv, QGraph, QMaxPool, QTensor
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.numerics import MAX_SHIFT, device_offset, fits_signed, sum_bounds

__all__ = ["LARGEST_SIDE", "Operation", "lower"]

LARGEST_SIDE = (1 << 16) - 1
LARGEST_TAPS = 255


@dataclass(frozen=True, eq=False)
class Operation:
    """A convolution on the array and a maximum over windows of its requantised sums.

    A convolution without pooling has windows of one sum; a pool on its own is a convolution with
    identity weights.

    Parameters
    ----------
    name, kind : str
    covers : tuple of str
        Layers of the network that it computes.
    input, output : str
        Tensors.
    channels, height, width : int
        Of the input.
    out_channels, out_height, out_width : int
        Of the output, windows applied.
    taps : (int, int)
        Passes per block of input channels, vertically and horizontally; a packed operation's
        horizontal passes take `block / pixel_bytes` kernel columns each.
    tap_step : (int, int)
        Pixels from tap to tap.
    extent : (int, int)
        Pixels from the first that the kernel touches to the last, both included.
    stride : (int, int)
    padding : (int, int)
        Top and left; the rest follows from the output's size.
    pad_value : int
    window, window_stride : (int, int)
    pixel_bytes : int
        Of a packed input, else 0.
    depthwise : bool
        An output block needs only the input blocks of the same channels.
    zero_point, low, high : int
        Of the output, as int8 in the accelerator.
    weights : ndarray of int8, shape (weight groups, input blocks, vertical, horizontal, rows, cols)
        Weight groups repeat over the output blocks.
    params : ndarray of uint8, shape (output channels, padded to cols, 8)
    macs, compulsory : int
        Multiply-accumulates and elements of activations of one image.
    weight_elements : int
        Elements of weights that the network has.
    """

    name: str
    kind: str
    covers: tuple[str, ...]
    input: str
    output: str
    channels: int
    height: int
    width: int
    out_channels: int
    out_height: int
    out_width: int
    taps: tuple[int, int]
    tap_step: tuple[int, int]
    extent: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    pad_value: int
    window: tuple[int, int]
    window_stride: tuple[int, int]
    pixel_bytes: int
    depthwise: bool
    zero_point: int
    low: int
    high: int
    weights: np.ndarray
    params: np.ndarray
    macs: int
    compulsory: int
    weight_elements: int

    @property
    def linear(self) -> bool:
        """Whether one output pixel takes each input pixel once, in the order of memory."""
        return (
            not self.pixel_bytes
            and self.taps == self.extent == (self.height, self.width)
            and self.padding == (0, 0)
            and (self.out_height, self.out_width) == self.window == (1, 1)
        )

    def sums(self, axis: int, count: int) -> int:
        """Return the sums along an axis (0 vertical) that `count` windows need."""
        return (count - 1) * self.window_stride[axis] + self.window[axis]


def lower(qgraph: QGraph, config: AcceleratorConfig, *, fuse_pool: bool = True) -> list[Operation]:
    """Return the operations of a network, in its order.

    Zero points of inputs are folded into biases, weights and parameters packed as the array takes
    them, and a pool joins the convolution before it where that is possible.

    Raises
    ------
    SystolithError
        If a layer cannot run on this accelerator, or a sum could overflow.
    """
    if not qgraph.layers:
        raise SystolithError(f"{qgraph.name}: has no layers")
    users: dict[str, list[QConv | QMaxPool]] = {}
    layers: list[QConv | QMaxPool] = []
    for layer in qgraph.layers:
        if not isinstance(layer, QConv | QMaxPool):
            raise SystolithError(
                f"{layer.name}: a layer of type {type(layer).__name__} cannot be compiled; only "
                "convolutions, fully connected layers and max-pools can"
            )
        layers.append(layer)
        users.setdefault(layer.input, []).append(layer)
        _check_shapes(qgraph, layer)
    pixel_bytes = _packed_pixel(qgraph, config, users[qgraph.input])
    fused: set[str] = set()
    operations = []
    for layer in layers:
        if layer.name in fused:
            continue
        if isinstance(layer, QMaxPool):
            operations.append(_lower_pool(qgraph, config, layer))
            continue
        pool = None
        followers = users.get(layer.output, [])
        if fuse_pool and len(followers) == 1 and layer.output != qgraph.output:
            pool = _fusible(followers[0], config)
        if pool is not None:
            _check_same_numbers(pool, qgraph.tensors[pool.input], qgraph.tensors[pool.output])
            fused.add(pool.name)
        packed = pixel_bytes if layer.input == qgraph.input else 0
        operations.append(_lower_conv(qgraph, config, layer, pool, packed))
    return operations


def _check_shapes(qgraph: QGraph, layer: QConv | QMaxPool) -> None:
    source, target = qgraph.tensors[layer.input], qgraph.tensors[layer.output]
    channels, height, width = source.shape
    if isinstance(layer, QConv):
        outputs, inputs, *kernel = layer.weight.shape
        dilation = layer.dilation
        if inputs != channels:
            raise SystolithError(
                f"{layer.name}: weights take {inputs} channels, but {layer.input} has {channels}"
            )
    else:
        outputs, kernel, dilation = channels, list(layer.kernel), (1, 1)
    top, bottom, left, right = layer.padding
    size = []
    for axis, (length, pad) in enumerate(((height, top + bottom), (width, left + right))):
        room = length + pad - dilation[axis] * (kernel[axis] - 1) - 1
        size.append(room // layer.stride[axis] + 1)
    if target.shape != (outputs, *size):
        raise SystolithError(
            f"{layer.name}: its output is {(outputs, *size)}, but {layer.output} has the shape "
            f"{target.shape}"
        )
    if min(*source.shape, *target.shape) < 1 or max(height, width) > LARGEST_SIDE:
        raise SystolithError(
            f"{layer.name}: sides of tensors must be between 1 and {LARGEST_SIDE}; "
            f"cut the input of {height}x{width} into smaller images"
        )


def _fusible(layer: QConv | QMaxPool, config: AcceleratorConfig) -> QMaxPool | None:
    """Return the layer if it is a pool whose windows tile its input and fit the accumulators."""
    if (
        isinstance(layer, QMaxPool)
        and layer.kernel == layer.stride
        and not any(layer.padding)
        and layer.kernel[0] * layer.kernel[1] <= config.acc_depth
        and max(layer.kernel) <= LARGEST_TAPS
    ):
        return layer
    return None


def _packed_pixel(qgraph: QGraph, config: AcceleratorConfig, users: list[QConv | QMaxPool]) -> int:
    """Return the bytes of a pixel of the network's input if packing it saves passes, else 0."""
    channels = qgraph.tensors[qgraph.input].shape[0]
    sizes = [size for size in config.pack_sizes if size >= channels]
    if not sizes or qgraph.input == qgraph.output:
        return 0
    per_word = config.block // sizes[0]
    for user in users:
        if not isinstance(user, QConv):
            return 0
        width = user.weight.shape[3]
        if -(-((width - 1) * user.dilation[1] + 1) // per_word) >= width:
            return 0
    return sizes[0]


def _lower_conv(
    qgraph: QGraph,
    config: AcceleratorConfig,
    layer: QConv,
    pool: QMaxPool | None,
    pixel_bytes: int,
) -> Operation:
    source = qgraph.tensors[layer.input]
    target = qgraph.tensors[pool.output if pool else layer.output]
    sums = qgraph.tensors[layer.output]
    channels, height, width = source.shape
    kernel = layer.weight.shape[2:]
    extent = tuple((k - 1) * d + 1 for k, d in zip(kernel, layer.dilation, strict=True))
    window = pool.kernel if pool else (1, 1)
    offset = device_offset(target.unsigned)
    zero_point = source.zero_point - device_offset(source.unsigned)
    if pixel_bytes:
        weights = _pack_taps(layer, config, pixel_bytes)
        tap_step = (layer.dilation[0], config.block // pixel_bytes)
    else:
        weights = _pack_blocks(layer.weight, config)
        tap_step = layer.dilation
    out_channels, out_height, out_width = target.shape
    macs = layer.weight.size * out_height * window[0] * out_width * window[1]
    operation = Operation(
        name=layer.name,
        kind=layer.kind,
        covers=(layer.name, pool.name) if pool else (layer.name,),
        input=layer.input,
        output=target.name,
        channels=channels,
        height=height,
        width=width,
        out_channels=out_channels,
        out_height=out_height,
        out_width=out_width,
        taps=weights.shape[2:4],
        tap_step=tap_step,
        extent=(extent[0], extent[1]),
        stride=layer.stride,
        padding=(layer.padding[0], layer.padding[2]),
        pad_value=zero_point,
        window=window,
        window_stride=window,
        pixel_bytes=pixel_bytes,
        depthwise=False,
        zero_point=sums.zero_point - offset,
        low=layer.low - offset,
        high=layer.high - offset,
        weights=weights,
        params=_params(layer, config, zero_point),
        macs=macs,
        compulsory=channels * height * width + out_channels * out_height * out_width,
        weight_elements=layer.weight.size,
    )
    _check_fields(operation)
    return operation


def _check_fields(operation: Operation) -> None:
    if max(operation.taps) > LARGEST_TAPS and not operation.linear:
        raise SystolithError(
            f"{operation.name}: a kernel of {operation.extent[0]}x{operation.extent[1]} exceeds "
            f"the {LARGEST_TAPS} taps of an instruction; use smaller kernels"
        )
    for name in ("zero_point", "low", "high", "pad_value"):
        if not -128 <= getattr(operation, name) <= 127:
            raise SystolithError(
                f"{operation.name}: {name} must fit the tensor's type; quantise the network again"
            )


def _params(layer: QConv, config: AcceleratorConfig, zero_point: int) -> np.ndarray:
    """Return the parameter entries with the zero point folded in, and prove the sums safe."""
    flat = layer.weight.reshape(len(layer.weight), -1)
    positive = np.maximum(flat, 0).sum(axis=1, dtype=np.int64)
    negative = flat.sum(axis=1, dtype=np.int64) - positive
    folded = layer.bias.astype(np.int64) - zero_point * (positive + negative)
    for channel, bias in enumerate(folded.tolist()):
        low, high = sum_bounds(int(positive[channel]), int(negative[channel]), bias)
        if not (fits_signed(low, config.acc_width) and fits_signed(high, config.acc_width)):
            raise SystolithError(
                f"{layer.name}: sums of channel {channel} reach {max(-low, high)} and could "
                f"overflow {config.acc_width} bits; build with a larger acc_width"
            )
    limit = (1 << config.multiplier_width) - 1
    if layer.multiplier.min() < 0 or layer.multiplier.max() > limit:
        raise SystolithError(
            f"{layer.name}: multipliers reach {int(layer.multiplier.max())}, beyond the {limit} "
            f"of multiplier_width {config.multiplier_width}; quantise for this configuration"
        )
    if layer.shift.min() < 1 or layer.shift.max() > MAX_SHIFT:
        raise SystolithError(
            f"{layer.name}: shifts must be between 1 and {MAX_SHIFT}; quantise the network again"
        )
    return _entries(config, folded, layer.multiplier, layer.shift)


def _entries(
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


def _pack_blocks(weight: np.ndarray, config: AcceleratorConfig) -> np.ndarray:
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


def _pack_taps(layer: QConv, config: AcceleratorConfig, pixel_bytes: int) -> np.ndarray:
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


def _lower_pool(qgraph: QGraph, config: AcceleratorConfig, layer: QMaxPool) -> Operation:
    source, target = qgraph.tensors[layer.input], qgraph.tensors[layer.output]
    if max(layer.kernel) > LARGEST_TAPS or layer.kernel[0] * layer.kernel[1] > config.acc_depth:
        raise SystolithError(
            f"{layer.name}: a window of {layer.kernel[0]}x{layer.kernel[1]} exceeds the "
            f"accumulators ({config.acc_depth} pixels); build with a larger acc_depth"
        )
    _check_same_numbers(layer, source, target)
    channels, height, width = source.shape
    _, out_height, out_width = target.shape
    rows, cols = config.rows, config.cols
    # One identity matrix, in the pieces that the array takes one after the other.
    identity = np.eye(max(rows, cols), dtype=np.int8)
    if rows >= cols:
        weights = identity.reshape(rows, rows // cols, cols).transpose(1, 0, 2)
        weights = weights.reshape(rows // cols, 1, 1, 1, rows, cols)
    else:
        weights = identity.reshape(1, cols // rows, 1, 1, rows, cols)
    ones = np.ones(channels, np.int64)
    return Operation(
        name=layer.name,
        kind="pool",
        covers=(layer.name,),
        input=layer.input,
        output=layer.output,
        channels=channels,
        height=height,
        width=width,
        out_channels=channels,
        out_height=out_height,
        out_width=out_width,
        taps=(1, 1),
        tap_step=(1, 1),
        extent=(1, 1),
        stride=(1, 1),
        padding=(layer.padding[0], layer.padding[2]),
        pad_value=-128,
        window=layer.kernel,
        window_stride=layer.stride,
        pixel_bytes=0,
        depthwise=True,
        zero_point=0,
        low=-128,
        high=127,
        weights=np.ascontiguousarray(weights),
        # (2 * sum + 1) >> 1 is the sum.
        params=_entries(config, 0 * ones, 2 * ones, ones),
        macs=0,
        compulsory=channels * (height * width + out_height * out_width),
        weight_elements=0,
    )


def _check_same_numbers(layer: QMaxPool, source: QTensor, target: QTensor) -> None:
    if (source.unsigned, source.zero_point) != (target.unsigned, target.zero_point):
        raise SystolithError(
            f"{layer.name}: input and output of a pool must share type and zero point"
        )
