"""Lowering: layers of an integer network become operations of the accelerator."""

from dataclasses import replace

from systolith_host.compiler.lower.divide import divided, part_of
from systolith_host.compiler.lower.elementwise import (
    check_same_numbers,
    device_result,
    lower_add,
    lower_pool,
)
from systolith_host.compiler.lower.moves import lower_gather, lower_repeat, lower_take
from systolith_host.compiler.lower.operation import LARGEST_SIDE, LARGEST_TAPS, Operation
from systolith_host.compiler.lower.pack import conv_params, pack_blocks, pack_groups, pack_taps
from systolith_host.compiler.lower.ranges import value_ranges
from systolith_host.compiler.schedule.touched import touched
from systolith_host.errors import SystolithError
from systolith_host.network.joins import Arrangement, Views, arrange, views_of
from systolith_host.network.mosaic import check_cover, repeats, standing
from systolith_host.network.qgraph import (
    QAdd,
    QConcat,
    QConv,
    QGraph,
    QHost,
    QLayer,
    QMaxPool,
    QMosaic,
    QTake,
)
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.numerics import device_offset

__all__ = ["LARGEST_SIDE", "Operation", "arranged", "lower"]


def lower(qgraph: QGraph, config: AcceleratorConfig, *, fuse_pool: bool = True) -> list[Operation]:
    """Return the operations of a network, in its order.

    Zero points of inputs are folded into biases. Weights and parameters are packed as the array
    takes them. A pool joins the convolution before it where that is possible. Concatenations and
    slices are operations only if :func:`arranged` has them copied, mosaics only if they repeat a
    tensor. The host's parts are none. Weights of 4 bits are nibbles in memory wherever the
    accelerator takes them apart.

    Raises
    ------
    SystolithError
        If a layer cannot run on this accelerator, or a sum could overflow.
    """
    if all(isinstance(layer, QHost) for layer in qgraph.layers):
        raise SystolithError(f"{qgraph.name}: has no layers")
    users: dict[str, list[QLayer]] = {}
    for layer in qgraph.layers:
        for name in layer.inputs:
            users.setdefault(name, []).append(layer)
        _check_shapes(qgraph, layer)
    pixel_bytes = _packed_pixel(qgraph, config, users[qgraph.input])
    places = arranged(qgraph, config)
    views = _views(qgraph, places).keys() - set(places.copied)
    ranges = value_ranges(qgraph)
    parts = divided(qgraph, config, users, places)
    fused = {whole.name for whole in parts.values()}
    operations = []
    for layer in qgraph.layers:
        if layer.name in fused or layer.output in views or isinstance(layer, QHost):
            continue
        if isinstance(layer, QMaxPool):
            operations.append(lower_pool(qgraph, config, layer))
        elif isinstance(layer, QAdd):
            operations.append(lower_add(qgraph, config, layer))
        elif isinstance(layer, QConcat):
            operations.append(lower_gather(qgraph, config, layer))
        elif isinstance(layer, QMosaic):
            if repeats(layer.inputs, layer.grids):
                operations.append(lower_repeat(qgraph, config, layer))
        elif isinstance(layer, QTake) and layer.name in parts:
            check_same_numbers(layer, qgraph.tensors[layer.input], qgraph.tensors[layer.output])
            whole = parts[layer.name]
            made = part_of(whole, layer)
            packed = pixel_bytes if made.input == qgraph.input else 0
            part = _lower_conv(qgraph, config, made, None, packed, ranges[made.input])
            if not any(whole.name in one.covers for one in operations):
                part = replace(part, covers=(whole.name, layer.name))
            operations.append(part)
        elif isinstance(layer, QTake):
            operations.append(lower_take(qgraph, config, layer))
        else:
            pool = None
            followers = users.get(layer.output, [])
            if fuse_pool and len(followers) == 1 and layer.output not in qgraph.outputs:
                pool = _fusible(followers[0], config)
            if pool is not None:
                check_same_numbers(pool, qgraph.tensors[pool.input], qgraph.tensors[pool.output])
                fused.add(pool.name)
            packed = pixel_bytes if layer.input == qgraph.input else 0
            values = ranges[layer.input]
            operations.append(_lower_conv(qgraph, config, layer, pool, packed, values))
    if not operations:
        raise SystolithError(f"{qgraph.name}: has no layers for the array")
    for operation in operations:
        _check_fields(operation)
    operations = [_placed(qgraph, operation, places) for operation in operations]
    if config.nibbles:
        operations = [replace(one, nibbles=one.fits_nibbles) for one in operations]
    return operations


def arranged(qgraph: QGraph, config: AcceleratorConfig) -> Arrangement:
    """Return which tensors stand inside others, and which have to be copied for that.

    Parts begin at whole channel blocks. The network's input stands in no other: it may be packed.
    Of a network that has nothing else, one is copied, so that there is a pass to run.
    """
    grids = standing(qgraph.layers, qgraph.input)
    for layer in qgraph.layers:
        if isinstance(layer, QMosaic) and not repeats(layer.inputs, layer.grids):
            for name in layer.inputs:
                if name not in grids:
                    raise SystolithError(f"{layer.name}: {name} cannot stand in it without a copy")
    views = views_of(qgraph.layers, qgraph.tensors, grids)
    passes = [layer for layer in qgraph.layers if not isinstance(layer, QHost)]
    only = [views.popitem()[0]] if len(views) == len(passes) else []
    found = arrange(
        views,
        {name: tensor.shape[0] for name, tensor in qgraph.tensors.items()},
        {qgraph.input, *grids},
        config.block,
    )
    return replace(found, copied=(*found.copied, *only), grids=grids)


def _views(qgraph: QGraph, places: Arrangement) -> Views:
    return views_of(qgraph.layers, qgraph.tensors, places.grids)


def _placed(qgraph: QGraph, operation: Operation, places: Arrangement) -> Operation:
    """Return an operation that knows how its output stands in memory."""
    rows = pixels = False
    name = operation.output
    while name in places.grids:
        parent, grid = places.grids[name]
        pixels = pixels or grid.across > 1
        wider = qgraph.tensors[parent].shape[2] > qgraph.tensors[name].shape[2]
        rows = rows or grid.down > 1 or wider
        name = parent
    return replace(operation, rows_apart=rows, pixels_apart=pixels) if rows else operation


def _check_shapes(qgraph: QGraph, layer: QLayer) -> None:
    shapes = [qgraph.tensors[name].shape for name in layer.inputs]
    target = qgraph.tensors[layer.output].shape
    channels, height, width = shapes[0]
    if isinstance(layer, QTake):
        result = (len(layer.channels), len(range(*layer.rows)), len(range(*layer.columns)))
    elif isinstance(layer, QAdd):
        result = shapes[0] if shapes[0] == shapes[1] else (0, 0, 0)
    elif isinstance(layer, QConcat):
        same = all(shape[1:] == (height, width) for shape in shapes)
        result = (sum(shape[0] for shape in shapes), height, width) if same else (0, 0, 0)
    elif isinstance(layer, QHost):
        result = target
    elif isinstance(layer, QMosaic):
        result = target
        try:
            check_cover(shapes, layer.grids, target)
        except ValueError as error:
            raise SystolithError(f"{layer.name}: {error}") from None
    else:
        result = _window_shape(layer, shapes[0])
    if target != result:
        raise SystolithError(
            f"{layer.name}: its output is {result}, but {layer.output} has the shape {target}"
        )
    if min(channels, height, width, *target) < 1 or max(height, width) > LARGEST_SIDE:
        raise SystolithError(
            f"{layer.name}: sides of tensors must be between 1 and {LARGEST_SIDE}; "
            f"cut the input of {height}x{width} into smaller images"
        )


def _window_shape(layer: QConv | QMaxPool, source: tuple[int, int, int]) -> tuple[int, int, int]:
    channels, height, width = source
    if isinstance(layer, QConv):
        outputs, inputs, *kernel = layer.weight.shape
        dilation = layer.dilation
        if inputs * layer.groups != channels:
            raise SystolithError(
                f"{layer.name}: weights take {inputs * layer.groups} channels, but {layer.input} "
                f"has {channels}"
            )
    else:
        outputs, kernel, dilation = channels, list(layer.kernel), (1, 1)
    top, bottom, left, right = layer.padding
    size = []
    for axis, (length, pad) in enumerate(((height, top + bottom), (width, left + right))):
        room = length + pad - dilation[axis] * (kernel[axis] - 1) - 1
        size.append(room // layer.stride[axis] + 1)
    return outputs, size[0], size[1]


def _fusible(layer: QLayer, config: AcceleratorConfig) -> QMaxPool | None:
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


def _packed_pixel(qgraph: QGraph, config: AcceleratorConfig, users: list[QLayer]) -> int:
    """Return the bytes of a pixel of the network's input if packing it saves passes, else 0."""
    channels = qgraph.tensors[qgraph.input].shape[0]
    sizes = [size for size in config.pack_sizes if size >= channels]
    if not sizes or qgraph.input == qgraph.output:
        return 0
    per_word = config.block // sizes[0]
    for user in users:
        if not isinstance(user, QConv) or user.groups > 1:
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
    values: tuple[int, int],
) -> Operation:
    source = qgraph.tensors[layer.input]
    target = qgraph.tensors[pool.output if pool else layer.output]
    channels, height, width = source.shape
    kernel = layer.weight.shape[2:]
    extent = tuple((k - 1) * d + 1 for k, d in zip(kernel, layer.dilation, strict=True))
    window = pool.kernel if pool else (1, 1)
    zero_point = source.zero_point - device_offset(source.unsigned)
    reach: tuple[int, ...] = ()
    if layer.groups > 1:
        weights, reach = pack_groups(layer.weight, layer.groups, config)
        tap_step = layer.dilation
    elif pixel_bytes:
        weights = pack_taps(layer, config, pixel_bytes)
        tap_step = (layer.dilation[0], config.block // pixel_bytes)
    else:
        weights = pack_blocks(layer.weight, config)
        tap_step = layer.dilation
    out_channels, out_height, out_width = target.shape
    elements = 0 if layer.kind == "pool" else layer.weight.size
    macs = elements * out_height * window[0] * out_width * window[1]
    used = [
        touched(
            source.shape[1 + axis],
            target.shape[1 + axis] * window[axis],
            kernel=kernel[axis],
            stride=layer.stride[axis],
            padding=layer.padding[2 * axis],
            dilation=layer.dilation[axis],
        )
        for axis in (0, 1)
    ]
    return Operation(
        name=layer.name,
        kind=layer.kind,
        covers=(layer.name, pool.name) if pool else (layer.name,),
        inputs=layer.inputs,
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
        reach=reach,
        sweeps=((0, False),),
        **device_result(layer, qgraph.tensors[layer.output], config),
        weights=weights,
        params=conv_params(layer, config, zero_point),
        macs=macs,
        activations=channels * used[0] * used[1] + out_channels * out_height * out_width,
        weight_elements=min(elements, weights.size),
        differences=(values[0] - zero_point, values[1] - zero_point),
    )


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
