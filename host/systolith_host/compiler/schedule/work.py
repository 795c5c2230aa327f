"""The work of a layer: its CONVs and STOREs in order, and what the buffers hold for them."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from systolith_host.compiler.lower.operation import LARGEST_SIDE, Operation
from systolith_host.compiler.schedule.geometry import (
    LARGEST_PADDING,
    Shape,
    Span,
    input_span,
    split,
)
from systolith_host.compiler.schedule.schedule import LayerSchedule
from systolith_host.errors import SystolithError
from systolith_host.program.program import Place
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import PARAM_BYTES, Buffer, walk_steps

__all__ = [
    "MOST_STEPS",
    "Addresses",
    "Chunk",
    "Item",
    "Step",
    "Store",
    "TooManyStepsError",
    "Work",
    "chunks_of",
    "make_work",
    "params_share",
    "tile_span",
]

MOST_STEPS = 200_000
"""CONVs of a layer: some minutes of compiling and a hundred megabytes of instructions."""


@dataclass(frozen=True)
class Addresses:
    """Where an operation finds its inputs, weights and parameters, and puts its output."""

    sources: tuple[Place, ...]
    target: Place
    weights: int
    params: int


@dataclass(frozen=True)
class Chunk:
    """A CONV's share of the passes.

    Parameters
    ----------
    group : (first, count)
        Blocks of input channels that are loaded together.
    block, blocks : int
        First block within the group, and their number.
    row, rows, column, columns : int
        Kernel taps.
    weight_pass : int
        Number of the first pass among those of the output block.
    source : int
        Number of the input.
    shift : bool
        The sums are shifted before.
    """

    group: tuple[int, int]
    block: int
    blocks: int
    row: int
    rows: int
    column: int
    columns: int
    weight_pass: int
    source: int = 0
    shift: bool = False

    @property
    def passes(self) -> int:
        """Number of passes."""
        return self.blocks * self.rows * self.columns


@dataclass(eq=False, slots=True)
class Item:
    """Something that is loaded into a buffer and used by some CONVs or STOREs.

    `first` and `last` are numbers of CONVs (of tiles, for parameters). `address`, `after` and
    `position` are set when room is allocated: the first word, the last user of what was there
    before (-1 if nobody), and the number of its last LOAD plus 1.
    """

    buffer: Buffer
    words: int
    size: int
    loads: list[dict[str, int]]
    first: int
    last: int
    address: int = 0
    after: int = -1
    position: int = 0
    start: float = 0.0
    ready: float = -1.0


@dataclass(eq=False, slots=True)
class Step:
    """A CONV, the `first` of its tile or not; `offset` is relative to the activations' address.

    With `shift` it shifts the sums before it adds to them.
    """

    tile: int
    act: Item
    weight: Item
    offset: int
    fields: dict[str, int]
    cycles: int
    first: bool
    shift: bool = False
    start: float = 0.0


@dataclass(eq=False, slots=True)
class Store:
    """A STORE of a tile, after CONV number `step`."""

    tile: int
    step: int
    param: Item
    param_offset: int
    fields: dict[str, int]
    cycles: int
    size: int
    start: float = 0.0


@dataclass(eq=False)
class Work:
    """All of a layer: what runs, in order, and the items of each buffer in order of first use."""

    sequence: list[Step | Store] = field(default_factory=list)
    items: dict[Buffer, list[Item]] = field(
        default_factory=lambda: {buffer: [] for buffer in Buffer}
    )


@dataclass(frozen=True)
class _Region:
    """An input tile: its images, and its place in the output."""

    images: tuple[int, int]
    row: int
    stack: tuple[tuple[int, int], ...]
    column: int
    columns: int


def chunks_of(
    operation: Operation,
    schedule: LayerSchedule,
    config: AcceleratorConfig,
    sources: tuple[Place, ...],
    out_block: int,
) -> Iterator[Chunk]:
    """Yield the CONVs' shares of one output block, in order."""
    shape = Shape.of(operation, config)
    vertical, horizontal = operation.taps
    taps = vertical * horizontal
    if schedule.linear:
        for first, count in split(shape.in_blocks * taps, schedule.chunk_blocks):
            yield Chunk((0, shape.in_blocks), first, count, 0, 1, 0, 1, first)
        return
    for sweep, (source, shift) in enumerate(operation.sweeps):
        base = sweep * operation.reached * taps
        channels = 1 if operation.pixel_bytes else sources[source].channels
        blocks = -(-channels // config.rows)
        for chunk in _sweep_chunks(operation, schedule, out_block, blocks):
            yield replace(chunk, weight_pass=base + chunk.weight_pass, source=source, shift=shift)
            shift = False


def _sweep_chunks(
    operation: Operation,
    schedule: LayerSchedule,
    out_block: int,
    blocks: int,
) -> Iterator[Chunk]:
    """Yield the CONVs' shares of one sweep over an input of so many blocks."""
    vertical, horizontal = operation.taps
    taps = vertical * horizontal
    start = operation.reach[out_block] if operation.reach else 0
    blocks = min(operation.reached, blocks - start)
    if schedule.chunk_blocks:
        for first, count in split(blocks, schedule.chunk_blocks):
            group = (start + first, count)
            yield Chunk(group, 0, count, 0, vertical, 0, horizontal, first * taps)
        return
    high = max(1, schedule.chunk_taps // horizontal)
    wide = min(schedule.chunk_taps, horizontal)
    for block in range(blocks):
        for row, rows in split(vertical, high):
            for column, columns in split(horizontal, wide):
                first = block * taps + row * horizontal + column
                yield Chunk((start + block, 1), 0, 1, row, rows, column, columns, first)


def tile_span(
    operation: Operation, axis: int, first: int, count: int, config: AcceleratorConfig
) -> Span:
    """Return the input pixels of a tile along an axis, as :func:`input_span`.

    Raises
    ------
    SystolithError
        If its padding does not fit an instruction.
    """
    span = input_span(operation, axis, first, count, config)
    if max(span.before, span.after) > LARGEST_PADDING:
        raise SystolithError(
            f"{operation.name}: padding of {max(span.before, span.after)} exceeds the "
            f"{LARGEST_PADDING} of an instruction; use less padding"
        )
    return span


def params_share(entries: int, config: AcceleratorConfig) -> int:
    """Return the parameter entries that are loaded at once: all of them if they fit.

    Otherwise a quarter of the buffer: one in use, the others on their way.
    """
    if entries <= config.param_depth:
        return entries
    return max(config.param_depth // config.cols // 4, 1) * config.cols


class TooManyStepsError(Exception):
    """A schedule of so many CONVs that neither the host nor the accelerator should be given it."""

    def __init__(self, steps: int) -> None:
        super().__init__(f"{steps} CONVs")
        self.steps = steps


def make_work(
    operation: Operation,
    schedule: LayerSchedule,
    config: AcceleratorConfig,
    addresses: Addresses,
) -> Work:
    """Return the work of an operation under a schedule.

    Raises
    ------
    TooManyStepsError
        If it has more than MOST_STEPS CONVs.
    """
    return _Builder(operation, schedule, config, addresses).build()


class _Builder:
    def __init__(
        self,
        operation: Operation,
        schedule: LayerSchedule,
        config: AcceleratorConfig,
        addresses: Addresses,
    ) -> None:
        self.operation = operation
        self.schedule = schedule
        self.config = config
        self.addresses = addresses
        self.shape = Shape.of(operation, config)
        self.work = Work()
        self.found: dict[tuple, Item] = {}
        self.walks: dict[tuple, dict[str, int]] = {}
        self.steps = 0
        self.tiles = 0

    def build(self) -> Work:
        operation, schedule = self.operation, self.schedule
        shares: dict[int, list[Chunk]] = {}  # blocks of equal reach share them
        chunks = []
        for block in range(self.shape.out_blocks):
            start = operation.reach[block] if operation.reach else 0
            if start not in shares:
                found = chunks_of(operation, schedule, self.config, self.addresses.sources, block)
                shares[start] = list(found)
            chunks.append(shares[start])
        regions = list(self._regions())
        steps = sum(len(region.stack) for region in regions) * sum(map(len, chunks))
        if steps > MOST_STEPS:
            raise TooManyStepsError(steps)
        for region in regions:
            self._forget(region)
            for out_block, parts in enumerate(chunks):
                for number, (row, rows) in enumerate(region.stack):
                    self._tile(region, out_block, parts, number, row, rows)
        return self.work

    def _regions(self) -> Iterator[_Region]:
        operation, schedule = self.operation, self.schedule
        batch = self.addresses.target.batch
        for images in split(batch, schedule.images):
            if schedule.linear:
                yield _Region(images, 0, ((0, 1),), 0, 1)
                continue
            for column, columns in split(operation.out_width, schedule.columns):
                for first, count in split(operation.out_height, schedule.rows * schedule.stack):
                    stack = tuple((first + row, rows) for row, rows in split(count, schedule.rows))
                    yield _Region(images, first, stack, column, columns)

    def _forget(self, region: _Region) -> None:
        """Drop what does not outlive an input tile."""
        keep = {Buffer.PARAM: len(self.operation.params) <= self.config.param_depth}
        keep[Buffer.WEIGHT] = self.schedule.weights == "layer"
        self.found = {key: item for key, item in self.found.items() if keep.get(key[0], False)}

    def _item(self, key: tuple, number: int) -> Item | None:
        item = self.found.get(key)
        if item is not None:
            item.last = number
        return item

    def _keep(self, key: tuple, item: Item) -> Item:
        self.found[key] = item
        self.work.items[item.buffer].append(item)
        return item

    def _tile(
        self,
        region: _Region,
        out_block: int,
        chunks: list[Chunk],
        number: int,
        row: int,
        rows: int,
    ) -> None:
        operation = self.operation
        images = region.images[1]
        grid = (operation.sums(0, rows), operation.sums(1, region.columns))
        vertical, horizontal = self._spans(region, number)
        across = 1 if self.schedule.linear else horizontal.size
        # The first row of this tile, in rows of the buffer.
        top = vertical.skip
        if self.schedule.resident:
            below = (row - region.row) * operation.window_stride[0] * operation.stride[0]
            top += below
        plane = vertical.size * horizontal.size
        for chunk in chunks:
            act = self._activations(region, chunk, out_block, number, vertical, horizontal)
            weight = self._weights(chunk, out_block, number)
            if self.schedule.linear:
                offset = chunk.block
                pixels = images
                levels = [(images, self.shape.in_blocks * plane), *[(1, 0)] * 4]
                levels.append((chunk.blocks, 1))
            else:
                offset = (
                    chunk.block * plane
                    + (top + chunk.row * operation.tap_step[0]) * across
                    + horizontal.skip
                    + chunk.column * operation.tap_step[1]
                )
                pixels = images * grid[0] * grid[1]
                levels = [
                    (grid[1], operation.stride[1]),
                    (grid[0], operation.stride[0] * across),
                    (images, chunk.group[1] * plane),
                    (chunk.columns, operation.tap_step[1]),
                    (chunk.rows, operation.tap_step[0] * across),
                    (chunk.blocks, plane),
                ]
            walk = tuple(levels)
            if walk not in self.walks:
                self.walks[walk] = _walk("xynsrc", levels)
            self.work.sequence.append(
                Step(
                    self.tiles,
                    act,
                    weight,
                    offset,
                    self.walks[walk],
                    chunk.passes * max(pixels, self.config.least_pass),
                    chunk is chunks[0],
                    chunk.shift,
                )
            )
            self.steps += 1
        self._drain(region, out_block, row, rows, grid)
        self.tiles += 1

    def _spans(self, region: _Region, number: int) -> tuple[Span, Span]:
        """Return the input pixels that stand in the buffer for a tile."""
        operation = self.operation
        if self.schedule.linear:
            return (
                Span(0, operation.height, 0, 0, 0),
                Span(0, operation.width, 0, 0, 0),
            )
        parts = region.stack if self.schedule.resident else region.stack[number : number + 1]
        rows = sum(count for _, count in parts)
        return (
            tile_span(operation, 0, parts[0][0], rows, self.config),
            tile_span(operation, 1, region.column, region.columns, self.config),
        )

    def _activations(
        self,
        region: _Region,
        chunk: Chunk,
        out_block: int,
        number: int,
        vertical: Span,
        horizontal: Span,
    ) -> Item:
        key: tuple = (Buffer.ACT, chunk.source, chunk.group)
        if not self.schedule.resident:
            key += (out_block, number)
        item = self._item(key, self.steps)
        if item is not None:
            return item
        operation, config = self.operation, self.config
        source = self.addresses.sources[chunk.source]
        source_blocks = 1 if operation.pixel_bytes else source.blocks
        first, count = chunk.group
        plane = vertical.size * horizontal.size
        per_pixel = operation.pixel_bytes or config.block
        row_words = -(-horizontal.length * per_pixel // config.block)
        whole = row_words * config.block == source.row_bytes
        shared = {
            "buffer": Buffer.ACT,
            "run_words": row_words * (vertical.length if whole else 1),
            "runs": 1 if whole else vertical.length,
            "run_pitch": source.row_bytes,
            "planes": 1,
            "rows": vertical.length,
            "pixels": horizontal.length,
            "pad_top": vertical.before,
            "pad_bottom": vertical.after,
            "pad_left": horizontal.before,
            "pad_right": horizontal.after,
            "pad_value": operation.pad_value,
            "pixel_bytes": operation.pixel_bytes,
        }
        groups = 1 if operation.pixel_bytes else config.row_groups
        corner = source.address + vertical.start * source.row_bytes + horizontal.start * per_pixel
        loads = []
        for image in range(region.images[1]):
            for lane in range(groups):
                block = first * groups + lane
                planes = min(count, -(-(source_blocks - block) // groups))
                if planes < 1:
                    continue
                address = (
                    corner
                    + (region.images[0] + image) * source.image_bytes
                    + block * source.plane_bytes
                )
                place = {"addr": address, "lane": lane, "dest": image * count * plane}
                if planes > 1:
                    place |= {"planes": planes, "plane_pitch": groups * source.plane_bytes}
                    if groups == 1 and whole:
                        place |= self._joined(shared, planes)
                loads.append({**shared, **place})
        size = sum(load["planes"] * load["runs"] * load["run_words"] for load in loads)
        size *= config.block
        item = Item(
            Buffer.ACT, region.images[1] * count * plane, size, loads, self.steps, self.steps
        )
        return self._keep(key, item)

    def _joined(self, load: dict[str, int], planes: int) -> dict[str, int]:
        """Return the fields of a LOAD that takes whole planes as one run, if it may."""
        rows = load["rows"] * planes
        if (
            load["rows"] != self.operation.height
            or load["pad_top"]
            or load["pad_bottom"]
            or rows > LARGEST_SIDE
        ):
            return {}
        fields = {"planes": 1, "plane_pitch": 0, "run_words": load["run_words"] * planes}
        return {**fields, "rows": rows}

    def _weights(self, chunk: Chunk, out_block: int, number: int) -> Item:
        config = self.config
        weights = self.operation.weights
        group = out_block % len(weights)
        key: tuple = (Buffer.WEIGHT, group, chunk.weight_pass, chunk.passes)
        if self.schedule.weights == "stream":
            key += (out_block, number)
        item = self._item(key, self.steps)
        if item is not None:
            return item
        words = chunk.passes * config.rows
        block_words = weights[0].size // config.cols
        start = group * block_words + chunk.weight_pass * config.rows
        load = {
            "buffer": Buffer.WEIGHT,
            "addr": self.addresses.weights + start * config.cols,
            "run_words": words,
            "runs": 1,
            "planes": 1,
            "dest": 0,
        }
        item = Item(Buffer.WEIGHT, words, words * config.cols, [load], self.steps, self.steps)
        return self._keep(key, item)

    def _params(self, out_block: int) -> tuple[Item, int]:
        """Return the item of an output block's parameters and the first entry in it."""
        config = self.config
        entries = len(self.operation.params)
        first = out_block * config.cols
        share = params_share(entries, config)
        start = first // share * share
        count = min(share, entries - start)
        key = (Buffer.PARAM, start)
        item = self._item(key, self.tiles)
        if item is None:
            load = {
                "buffer": Buffer.PARAM,
                "addr": self.addresses.params + start * PARAM_BYTES,
                "run_words": count,
                "runs": 1,
                "planes": 1,
                "dest": 0,
            }
            item = Item(Buffer.PARAM, count, count * PARAM_BYTES, [load], self.tiles, self.tiles)
            self._keep(key, item)
        return item, first - start

    def _drain(
        self, region: _Region, out_block: int, row: int, rows: int, grid: tuple[int, int]
    ) -> None:
        operation, config, target = self.operation, self.config, self.addresses.target
        first = out_block * config.col_groups
        blocks = min(config.col_groups, self.shape.target_blocks - first)
        images, columns = region.images[1], region.columns
        address = (
            target.address
            + region.images[0] * target.image_bytes
            + first * target.plane_bytes
            + (row * operation.out_width + region.column) * config.block
        )
        if images > 1:
            run_words, runs, pitch = rows * columns, images, target.image_bytes
        elif columns == operation.out_width:
            run_words, runs, pitch = rows * columns, 1, 0
        else:
            run_words, runs, pitch = columns, rows, target.row_bytes
        window, step = operation.window, operation.window_stride
        fields = {
            "addr": address,
            "run_words": run_words,
            "runs": runs,
            "run_pitch": pitch,
            "planes": blocks,
            "plane_pitch": target.plane_bytes if blocks > 1 else 0,
            "bank": self.tiles % 2,
            "blocks": blocks,
            "zero_point": operation.zero_point,
            "low": operation.low,
            "high": operation.high,
        }
        fields.update(_walk(("dx", "dy"), [(window[1], 1), (window[0], grid[1])]))
        if self.schedule.linear:
            levels = [(images, 1), (1, 0), (1, 0)]
        else:
            levels = [
                (columns, step[1]),
                (rows, step[0] * grid[1]),
                (images, grid[0] * grid[1]),
            ]
        fields.update(_walk("xyn", levels))
        words = images * rows * columns * blocks
        param, offset = self._params(out_block)
        self.work.sequence.append(
            Store(
                self.tiles,
                self.steps - 1,
                param,
                offset,
                fields,
                words * window[0] * window[1] * (config.block // config.post_lanes),
                words * config.block,
            )
        )


def _walk(names: str | tuple[str, ...], levels: list[tuple[int, int]]) -> dict[str, int]:
    steps = walk_steps([count for count, _ in levels], [stride for _, stride in levels])
    fields = {}
    for name, (count, _), step in zip(names, levels, steps, strict=True):
        fields[f"{name}_count"] = count
        fields[f"{name}_step"] = step
    return fields
