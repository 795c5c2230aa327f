"""The rough model: cycles and traffic of a cut, by formulas quick enough to rank thousands."""

import math
from typing import NamedTuple

from systolith_host.compiler.lower.operation import Operation
from systolith_host.compiler.schedule.geometry import Shape, input_span, patches, split
from systolith_host.compiler.schedule.order import (
    LATENCY,
    PATCH_LEAD,
    RUN,
    read_rate,
    store_rate,
    write_rate,
)
from systolith_host.compiler.schedule.schedule import TRAFFIC_WEIGHT, LayerSchedule, Weights
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import INSTRUCTION_BYTES
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.timing import conv_cycles
from systolith_hw.spec.winograd import LANES

__all__ = ["Cut", "RoughModel"]


class Cut(NamedTuple):
    """How a layer is cut; see LayerSchedule."""

    images: int
    rows: int
    columns: int
    stack: int
    chunk_blocks: int
    chunk_taps: int
    resident: bool
    weights: Weights


class _TileCosts(NamedTuple):
    """The costs of a size of tiles: cycles of the array and of the drain, and their number.

    `across` input tiles stand side by side, images included, in `strips` columns; `pixels` are the
    accumulators of a tile.
    """

    compute: int
    drain: int
    tiles: int
    across: int
    strips: int
    pixels: int


class RoughModel:
    """Rates the cuts of an operation.

    Parameters
    ----------
    operation : Operation
    config : AcceleratorConfig
    batch : int
    memory : Memory
        That the program will run on.
    winograd : bool
        Whether tiles are cut into patches.
    """

    def __init__(
        self,
        operation: Operation,
        config: AcceleratorConfig,
        batch: int,
        memory: Memory,
        *,
        winograd: bool = False,
    ) -> None:
        self.winograd = winograd
        self.operation = operation
        self.config = config
        self.batch = batch
        self.rate = memory.rate(config.bus_bytes)
        self.read_rate = read_rate(config, memory)
        runs = config.block if operation.pixels_apart else 0
        self.write_rate = write_rate(config, memory)
        self.store_rate = store_rate(config, memory, runs)
        self.latency = LATENCY + memory.latency
        self.shape = Shape.of(operation, config)
        self.taps = operation.taps[0] * operation.taps[1]
        self.weight_groups = len(operation.weights)
        self.blocks = operation.reached
        """Input blocks that an output block needs, of each input."""
        self.sweeps = len(operation.sweeps)
        self.sources = len(operation.inputs)
        self.repeats = operation.repeat[0] * operation.repeat[1]
        self.groups = config.row_groups if not operation.pixel_bytes else 1
        self._costs: dict[tuple[int, int, int], _TileCosts] = {}
        self._spans: dict[tuple[int, int], tuple[int, int, int]] = {}

    def rate_linear(
        self, images: int, chunk: int, parts: int, stack: int = 1, group: int = 0
    ) -> LayerSchedule:
        """Return the schedule of a fully connected layer.

        Parameters
        ----------
        images : int
            Images of a tile.
        chunk : int
            Passes of a CONV.
        parts : int
            Chunks for which the weight buffer has room.
        stack : int
            Output blocks whose sums are in a bank at the same time.
        group : int
            Blocks of input channels that are loaded together, for each stack anew; 0 for all.
        """
        operation, config = self.operation, self.config
        words = self.shape.in_blocks * self.taps
        weight_words = self.shape.out_blocks * words * config.rows
        tiles = -(-self.batch // images)
        once = weight_words <= config.weight_depth
        loads = weight_words * (1 if once else tiles)
        compute = sum(
            conv_cycles(count, self.shape.out_blocks * words, config.least_pass)
            for _, count in split(self.batch, images)
        )
        stacks = -(-self.shape.out_blocks // stack) if group else 1
        act = self.batch * words * self.groups * stacks
        read = self._weight_bytes(loads) + act * config.block + self._param_bytes(tiles)
        read_cycles = max(loads + act, read / self.read_rate)
        write = self.batch * self.shape.target_blocks * config.block
        chunks = -(-words // chunk) * self.shape.out_blocks * tiles
        fetch = 2 * INSTRUCTION_BYTES * chunks
        held = min(group * self.taps, words) if group else words
        first = self._weight_bytes(chunk * config.rows) / self.rate
        startup = max(chunk * config.rows, first) + held * images
        stall = tiles * words * images if 2 * held * images > config.act_depth else 0
        # Few pieces cannot hide the memory's latency behind each other.
        stall += chunks * self.latency * (4 / parts if parts < 4 else 0)
        total = self._transfer(read + fetch, write)
        return LayerSchedule(
            name=operation.name,
            linear=True,
            images=images,
            rows=1,
            columns=1,
            stack=stack,
            chunk_blocks=chunk,
            chunk_taps=0,
            resident=not group,
            weights="layer" if once else "stream",
            pixels=images * stack,
            compute_cycles=compute,
            read_bytes=read,
            write_bytes=write,
            estimate=max(compute, read_cycles, total) + startup + stall + TRAFFIC_WEIGHT * total,
            group_blocks=group,
        )

    def rate_cut(
        self,
        cut: Cut,
        chunks: int,
        act_words: int,
        act_slots: int,
        weight_chunk: int,
        weight_slots: int,
    ) -> LayerSchedule:
        """Return the schedule of a cut.

        Parameters
        ----------
        cut : Cut
        chunks : int
            Activations that an output block takes, one after the other.
        act_words, weight_chunk : int
            Words of the largest of them, and of the weights of a CONV.
        act_slots, weight_slots : int
            Number of them that fit the buffers.
        """
        operation, config, shape = self.operation, self.config, self.shape
        height, width = operation.out_height, operation.out_width
        rows, columns = cut.rows, cut.columns
        costs = self._tile_costs(cut.images, rows, columns)
        compute, drain, tiles = costs.compute, costs.drain, costs.tiles
        passes = shape.out_blocks * self.sweeps * self.blocks * self.taps
        region_rows = min(rows * cut.stack, height)
        _, read_rows, held_rows = self.spans(0, region_rows)
        _, read_words, held_columns = self.spans(1, columns)
        regions = costs.across * -(-height // region_rows)
        times = 1 if cut.resident else shape.out_blocks
        blocks = self.sources * shape.source_blocks
        if operation.reach and not cut.resident:
            reached = min(self.blocks * config.row_groups, shape.source_blocks)
            times, blocks = 1, self.sources * reached * shape.out_blocks
        # In memory, lanes of blocks that do not exist are not read.
        act_read = self.batch * read_rows * read_words * config.block * blocks * times
        act_held = self.batch * held_rows * held_columns * blocks * times
        if columns < width:
            runs = self.batch * read_rows * costs.strips * blocks
            act_held += RUN * runs * times
        repeats = {"layer": 1, "tile": regions, "stream": tiles}[cut.weights]
        if cut.weights == "layer":
            weights = self.weight_groups * self.sweeps * self.blocks * self.taps * config.rows
        else:
            weights = passes * config.rows * repeats
        param = self._param_bytes(regions)
        read = act_read + self._weight_bytes(weights) + param
        write = self.batch * height * width * self.repeats * shape.target_blocks * config.block
        steps = tiles * shape.out_blocks * (chunks if cut.chunk_blocks else 0)
        steps = steps * self.sweeps // self.sources
        if not cut.chunk_blocks:
            steps = tiles * passes // max(cut.chunk_taps, 1)
        loads = (0 if cut.weights == "layer" else steps * repeats // max(tiles, 1)) + (
            regions * chunks * times * cut.images * self.groups
        )
        fetch = INSTRUCTION_BYTES * (steps + loads + tiles * shape.out_blocks)
        load_cycles = max(act_held + weights + param // 8, read / self.read_rate)
        total = self._transfer(read + fetch, write)
        first = act_words * config.block * self.groups + self._weight_bytes(weight_chunk)
        first /= self.rate
        startup = max(first, act_words * self.groups + weight_chunk) + self.latency
        if self.winograd:
            startup += costs.pixels + PATCH_LEAD
        tail = (drain + write / self.write_rate) / max(tiles * shape.out_blocks, 1)
        stall = self._stalls(cut, chunks, act_slots, act_held, regions, times, compute)
        if weight_slots < 2 and cut.weights != "layer":
            stall += max(weights, self._weight_bytes(weights) / self.rate) + steps * self.latency
        stored = write / self.store_rate
        cycles = max(compute, load_cycles, total, drain, stored) + startup + tail + stall
        return LayerSchedule(
            name=operation.name,
            linear=False,
            images=cut.images,
            rows=rows,
            columns=columns,
            stack=cut.stack,
            chunk_blocks=cut.chunk_blocks,
            chunk_taps=cut.chunk_taps,
            resident=cut.resident,
            weights=cut.weights,
            pixels=costs.pixels,
            compute_cycles=compute,
            read_bytes=math.ceil(read),
            write_bytes=write,
            estimate=cycles + TRAFFIC_WEIGHT * total,
            winograd=self.winograd,
        )

    def spans(self, axis: int, count: int) -> tuple[int, int, int]:
        """Return pixels in the buffer of the largest tile, and what all read and hold.

        They read rows, or the memory words of a row; what they hold are pixels.

        Parameters
        ----------
        axis : int
            0 for rows, 1 for columns.
        count : int
            Outputs of a tile.
        """
        key = (axis, count)
        if key not in self._spans:
            # numba takes a second to import.
            from systolith_host.compiler.schedule.lanes import read_row

            operation, block = self.operation, self.config.block
            size = (operation.out_height, operation.out_width)[axis]
            per_pixel = operation.pixel_bytes if axis == 1 and operation.pixel_bytes else block
            spans = [
                input_span(operation, axis, first, number, self.config, winograd=self.winograd)
                for first, number in split(size, count)
            ]
            self._spans[key] = (
                max(span.size for span in spans),
                sum(read_row(span.length, per_pixel, block, 0)[0] for span in spans),
                sum(span.size for span in spans),
            )
        return self._spans[key]

    def pieces(self, axis: int, count: int) -> int:
        """Return the sums along an axis of a tile of `count` outputs, or the patches."""
        sums = self.operation.sums(axis, count)
        return patches(sums) if self.winograd else sums

    def _weight_bytes(self, words: int) -> int:
        """Return the bytes that so many words of weights take in memory."""
        return words * self.config.cols * self.operation.weight_bits // 8

    def _transfer(self, read: float, write: float) -> float:
        """Return the cycles in which the memory moves so many bytes."""
        return read / self.rate + write / self.write_rate

    def _param_bytes(self, tiles: int) -> int:
        fits = len(self.operation.params) <= self.config.param_depth
        return self.operation.params.size * (1 if fits else tiles)

    def _tile_costs(self, images: int, rows: int, columns: int) -> _TileCosts:
        """Return the costs that depend on the size of tiles alone; many candidates share them."""
        key = (images, rows, columns)
        if key in self._costs:
            return self._costs[key]
        operation, config, shape = self.operation, self.config, self.shape
        groups_of_images = split(self.batch, images)
        row_parts = _counts(operation.out_height, rows)
        column_parts = _counts(operation.out_width, columns)
        passes = shape.out_blocks * self.sweeps * self.blocks * self.taps
        depth, window = 1, operation.window[0] * operation.window[1]
        if self.winograd:
            passes, depth = passes // self.taps * LANES, LANES
        compute = drain = tiles = 0
        per_sum = config.block // config.post_lanes
        for count, image_groups in _histogram(count for _, count in groups_of_images):
            for down, many in row_parts:
                for across, much in column_parts:
                    number = image_groups * many * much
                    pixels = count * self.pieces(0, down) * self.pieces(1, across)
                    compute += number * conv_cycles(pixels, passes, config.least_pass)
                    reads = count * down * across * window * self.repeats
                    drain += number * (pixels * LANES if self.winograd else reads)
                    tiles += number
        self._costs[key] = found = _TileCosts(
            compute=compute,
            drain=drain * shape.target_blocks * per_sum,
            tiles=tiles,
            across=len(groups_of_images) * sum(many for _, many in column_parts),
            strips=sum(many for _, many in column_parts),
            pixels=images * self.pieces(0, rows) * self.pieces(1, columns) * depth,
        )
        return found

    def _stalls(
        self,
        cut: Cut,
        chunks: int,
        slots: int,
        held: int,
        regions: int,
        times: int,
        compute: int,
    ) -> float:
        """Return the cycles in which the array waits because too little fits the buffer."""
        if regions * times <= 1:
            return 0.0
        load = held / (regions * times)
        load = max(load, load * self.config.block / self.rate)
        spare = min((slots - chunks) / chunks, 1.0)
        last = compute / (regions * times * self.shape.out_blocks ** (1 if times == 1 else 0))
        last /= cut.stack
        hidden = last * (chunks - 1) / chunks
        return max(load * (1 - spare) - hidden, 0.0) * regions * times


def _counts(size: int, step: int) -> list[tuple[int, int]]:
    """Return (length, how many) of the pieces into which `step` cuts `size`."""
    return _histogram(count for _, count in split(size, step))


def _histogram(values) -> list[tuple[int, int]]:
    found: dict[int, int] = {}
    for value in values:
        found[value] = found.get(value, 0) + 1
    return list(found.items())
