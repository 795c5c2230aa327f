"""Chunks: the CONVs' shares of the passes, for every block of output channels."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from systolith_host.compiler.lower.operation import Operation
from systolith_host.compiler.schedule.geometry import Shape, split
from systolith_host.compiler.schedule.schedule import LayerSchedule
from systolith_host.program.place import Place
from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["Chunk", "Chunks", "chunks_of", "find_chunks"]


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


@dataclass(frozen=True, eq=False)
class Chunks:
    """The chunks of an operation, and their shared activations or weights.

    Parameters
    ----------
    chunks : tuple of Chunk
    table : ndarray of int64, shape (chunks, 6)
        Of each chunk the number of its activations and of its weights, passes, first block and
        number of blocks of the group, and input.
    blocks : ndarray of int64, shape (blocks of output channels, 4)
        Of each its first chunk and the one after its last, channel blocks in memory, and the
        number of its weights. Blocks that take the same chunks share them.
    act_keys, weight_keys : int
        Different activations and weights, the latter of one block of output channels.
    """

    chunks: tuple[Chunk, ...]
    table: np.ndarray
    blocks: np.ndarray
    act_keys: int
    weight_keys: int

    @property
    def steps(self) -> int:
        """CONVs of a tile, over all blocks of output channels."""
        return int((self.blocks[:, 1] - self.blocks[:, 0]).sum())


def find_chunks(
    operation: Operation,
    schedule: LayerSchedule,
    config: AcceleratorConfig,
    sources: tuple[Place, ...],
) -> Chunks:
    """Return the chunks; of the schedule only their size, `linear` and groups matter."""
    shape = Shape.of(operation, config)
    chunks: list[Chunk] = []
    spans: dict[int, tuple[int, int]] = {}  # blocks of equal reach share them
    blocks = []
    for out_block in range(shape.out_blocks):
        start = operation.reach[out_block] if operation.reach else 0
        if start not in spans:
            first = len(chunks)
            chunks += chunks_of(operation, schedule, config, sources, out_block)
            spans[start] = (first, len(chunks))
        drained = min(config.col_groups, shape.target_blocks - out_block * config.col_groups)
        blocks.append((*spans[start], drained, out_block % len(operation.weights)))
    acts: dict[tuple, int] = {}
    weights: dict[tuple, int] = {}
    rows = []
    for chunk in chunks:
        act = acts.setdefault((chunk.source, chunk.group), len(acts))
        weight = weights.setdefault((chunk.weight_pass, chunk.passes), len(weights))
        rows.append((act, weight, chunk.passes, *chunk.group, chunk.source))
    return Chunks(tuple(chunks), np.array(rows), np.array(blocks), len(acts), len(weights))


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
        for group in split(shape.in_blocks, schedule.group_blocks or shape.in_blocks):
            start = group[0] * taps
            for first, count in split(group[1] * taps, schedule.chunk_blocks):
                yield Chunk(group, first, count, 0, 1, 0, 1, start + first)
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
