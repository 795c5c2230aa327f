"""The search for a layer's schedule: the candidates, ranked by the rough model."""

from collections.abc import Iterator

from systolith_host.compiler.lower.operation import Operation
from systolith_host.compiler.schedule.rough import Cut, RoughModel
from systolith_host.compiler.schedule.schedule import LayerSchedule, Weights
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.winograd import OUTPUTS, STRIP_PATCHES

__all__ = ["schedule_candidates"]

LARGEST_HEIGHT = 255
"""Rows of sums of a tile of patches, see STORE's ``height``."""


def schedule_candidates(
    operation: Operation,
    config: AcceleratorConfig,
    batch: int,
    memory: Memory,
) -> list[LayerSchedule]:
    """Return possible schedules of an operation, the most promising first; none if none fits.

    Parameters
    ----------
    memory : Memory
        That the program will run on.
    """
    found = list(_Search(RoughModel(operation, config, batch, memory)).candidates())
    if config.winograd and operation.winograd:
        model = RoughModel(operation, config, batch, memory, winograd=True)
        found += _Search(model).candidates()
    return sorted(found, key=lambda schedule: schedule.estimate)


def _even_steps(size: int, most: int) -> list[int]:
    """Return the pieces, at most `most` long, that cut `size` evenly, the longest first."""
    steps = {-(-size // count) for count in range(-(-size // max(most, 1)), size + 1)}
    return sorted(steps, reverse=True)


class _Search:
    def __init__(self, model: RoughModel) -> None:
        self.model = model
        self.operation = model.operation
        self.config = model.config
        self.batch = model.batch

    def candidates(self) -> Iterator[LayerSchedule]:
        if self.operation.linear:
            yield from self._linear()
        for images, rows, columns in self._patches() if self.model.winograd else self._tiles():
            for stack in self._stacks(rows):
                for chunk_blocks, chunk_taps in self._chunks():
                    yield from self._modes(images, rows, columns, stack, chunk_blocks, chunk_taps)

    def _linear(self) -> Iterator[LayerSchedule]:
        config = self.config
        shape, taps = self.model.shape, self.model.taps
        words = shape.in_blocks * taps
        most = min(self.batch, config.acc_depth)
        whole = min(most, config.act_depth // words)
        room = config.weight_depth // config.rows
        for images in _even_steps(self.batch, whole)[:4] if whole else ():
            for parts in (4, 6, 8, 3, 2, 1):
                chunk = min(max(room // parts, 1), words)
                yield self.model.rate_linear(images, chunk, parts)
        if whole == most:
            return
        # More images than there is room for all of their inputs: a part of them at a time.
        for images in _even_steps(self.batch, most)[:4]:
            fits = config.act_depth // (images * taps)
            for group in _even_steps(shape.in_blocks, max(fits // 2, 1))[:1] if fits else ():
                for stack in _even_steps(shape.out_blocks, config.acc_depth // images)[:2]:
                    for parts in (4, 6, 8, 3):
                        chunk = _even_steps(group * taps, max(room // parts, 1))[0]
                        yield self.model.rate_linear(images, chunk, parts, stack, group)

    def _tiles(self) -> Iterator[tuple[int, int, int]]:
        operation, depth = self.operation, self.config.acc_depth
        height, width = operation.out_height, operation.out_width
        whole = operation.sums(0, height) * operation.sums(1, width)
        if self.batch > 1 and 2 * whole <= depth and self._rows_follow:
            for images in _even_steps(self.batch, depth // whole)[:3]:
                if images > 1:
                    yield images, height, width
        for columns in _even_steps(width, width)[:24]:
            across = operation.sums(1, columns)
            if across > depth:
                continue
            count = 0
            for rows in _even_steps(height, self._most_rows):
                if operation.sums(0, rows) * across <= depth:
                    yield 1, rows, columns
                    count += 1
                    if count >= 8:
                        break
        # The least of all tiles, for buffers that hold nothing else.
        yield 1, 1, 1

    def _patches(self) -> Iterator[tuple[int, int, int]]:
        """Yield tiles of whole patches, but for the last ones."""
        operation, most = self.operation, self.config.winograd
        height, width = operation.out_height, operation.out_width
        down, across = self.model.pieces(0, height), self.model.pieces(1, width)
        # Windows of a pool are as far apart as they are wide: they divide a patch's sums.
        high, wide = (OUTPUTS // side for side in operation.window)
        fits = across <= STRIP_PATCHES and down * OUTPUTS <= LARGEST_HEIGHT
        if self.batch > 1 and 2 * down * across <= most and fits and self._rows_follow:
            for images in _even_steps(self.batch, most // (down * across))[:3]:
                if images > 1:
                    yield images, height, width
        for columns in _even_steps(across, min(most, STRIP_PATCHES))[:24]:
            for rows in _even_steps(down, min(most // columns, LARGEST_HEIGHT // OUTPUTS))[:8]:
                high_tile = min(rows * high, height)
                if high_tile <= self._most_rows:
                    yield 1, high_tile, min(columns * wide, width)

    @property
    def _rows_follow(self) -> bool:
        """Whether all rows of an image follow each other in memory, so that one run is an image."""
        return not self.operation.rows_apart and self.operation.repeat == (1, 1)

    @property
    def _most_rows(self) -> int:
        """Rows of a tile that a STORE's region can have, which has planes of runs of words."""
        several = self.operation.pixels_apart and self.config.col_groups > 1
        if several or self.operation.repeat != (1, 1):
            return 1
        return self.operation.out_height

    def _stacks(self, rows: int) -> list[int]:
        tiles = -(-self.operation.out_height // rows)
        return _even_steps(tiles, tiles)[-12:] if tiles > 1 else [1]

    def _chunks(self) -> list[tuple[int, int]]:
        config, most, taps = self.config, self.model.blocks, self.model.taps
        room = config.weight_depth // config.rows
        found = []
        blocks = 1
        while blocks <= most and 2 * blocks * taps <= room:
            found.append((blocks, 0))
            blocks *= 2
        if found and most * taps * 2 <= room and (most, 0) not in found:
            found.append((most, 0))
        if found or self.model.winograd:
            return found
        return [(0, max(room // 3, 1))]

    def _modes(
        self,
        images: int,
        rows: int,
        columns: int,
        stack: int,
        chunk_blocks: int,
        chunk_taps: int,
    ) -> Iterator[LayerSchedule]:
        operation, config, shape = self.operation, self.config, self.model.shape
        region_rows = min(rows * stack, operation.out_height)
        tall, _, _ = self.model.spans(0, region_rows)
        wide, _, _ = self.model.spans(1, columns)
        plane = tall * wide
        group = chunk_blocks or 1
        chunks = self.model.sources * -(-self.model.blocks // group)
        act_words = images * group * plane
        if act_words > config.act_depth:
            return
        act_slots = config.act_depth // act_words
        weight_chunk = (chunk_blocks * self.model.taps or chunk_taps) * config.rows
        weight_slots = config.weight_depth // weight_chunk
        tile_weights = self.model.sweeps * self.model.blocks * self.model.taps * config.rows
        all_weights = self.model.weight_groups * tile_weights
        for resident in (True, False):
            if resident and act_slots < chunks:
                continue
            # An input block that serves a single output block is dropped only for lack of room.
            alone = bool(operation.reach) or shape.out_blocks == 1
            if not resident and (stack > 1 or (alone and act_slots >= chunks)):
                continue
            if all_weights <= config.weight_depth:
                mode: Weights = "layer"
            elif stack > 1 and tile_weights + weight_chunk <= config.weight_depth:
                mode = "tile"
            elif stack > 1:
                continue
            else:
                mode = "stream"
            cut = Cut(images, rows, columns, stack, chunk_blocks, chunk_taps, resident, mode)
            yield self.model.rate_cut(cut, chunks, act_words, act_slots, weight_chunk, weight_slots)
