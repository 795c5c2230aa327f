"""Use of the buffers over time: data in them that is still to be read."""

from dataclasses import dataclass

import numpy as np

from systolith_host.visual.timeline import Timeline
from systolith_hw.spec.isa import PARAM_BYTES, Buffer, Instruction, Opcode
from systolith_hw.spec.winograd import KERNEL
from systolith_sim.replay.table import COLUMNS, make_table

__all__ = ["Occupancy", "buffer_use"]

_MASK = 1 << 24


@dataclass(frozen=True, eq=False)
class Occupancy:
    """A buffer over time.

    Parameters
    ----------
    name : str
    capacity : int
        In bytes.
    cycles, used : ndarray of int64
        Bytes from each of these cycles to the next one.
    """

    name: str
    capacity: int
    cycles: np.ndarray
    used: np.ndarray

    @property
    def peak(self) -> int:
        """Most bytes in use at a time."""
        return int(self.used.max(initial=0))


@dataclass
class _Item:
    low: int
    high: int
    lane: int
    size: int
    begin: int
    end: int


def buffer_use(timeline: Timeline) -> tuple[Occupancy, ...]:
    """Return the use of each buffer.

    Data of a LOAD counts from the cycle in which the LOAD begins to write until the last CONV (of
    parameters: STORE) that reads it has ended. Sums of a tile count from its first CONV until they
    are drained.
    """
    config = timeline.config
    table = make_table(timeline.instructions, config, 0).rows
    words_of = dict(zip(COLUMNS, range(len(COLUMNS)), strict=True))
    standing: dict[Buffer, list[_Item]] = {buffer: [] for buffer in Buffer}
    items: dict[Buffer, list[_Item]] = {buffer: [] for buffer in Buffer}
    tiles: list[_Item] = []
    open_tiles: dict[int, _Item] = {}
    sizes = {Buffer.ACT: config.block, Buffer.WEIGHT: config.cols, Buffer.PARAM: PARAM_BYTES}
    for number, one in enumerate(timeline.instructions):
        fields = one.fields
        _, begin, end, _ = map(int, timeline.times[number])
        if one.opcode == Opcode.LOAD:
            buffer = Buffer(fields["buffer"])
            if buffer == Buffer.TABLE:
                continue
            row = table[number]
            words = int(row[words_of["words"]])
            if buffer == Buffer.ACT:
                kept = int(row[words_of["tile_columns"]] - row[words_of["first_written"]])
                words = fields["planes"] * int(row[words_of["tile_rows"]]) * kept
            low = fields["dest"]
            item = _Item(low, low + words, fields["lane"], words * sizes[buffer], begin, end)
            standing[buffer] = [
                other
                for other in standing[buffer]
                if other.lane != item.lane or other.high <= item.low or item.high <= other.low
            ]
            standing[buffer].append(item)
            items[buffer].append(item)
        elif one.opcode == Opcode.CONV:
            blocks, pixels = _passes(one)
            base = fields["weight_base"]
            _read(standing[Buffer.WEIGHT], base, base + blocks * config.rows, end)
            _read(standing[Buffer.ACT], *_activations(one), end)
            bank = fields["bank"]
            if fields["clear"]:
                open_tiles[bank] = _Item(0, 0, 0, config.sum_bytes(pixels), begin, end)
                tiles.append(open_tiles[bank])
        else:
            base = fields["param_base"]
            _read(standing[Buffer.PARAM], base, base + fields["blocks"] * config.block, end)
            if fields["bank"] in open_tiles:
                open_tiles[fields["bank"]].end = end
    return (
        _occupancy("activations", config.act_bytes, items[Buffer.ACT]),
        _occupancy("weights", config.weight_bytes, items[Buffer.WEIGHT]),
        _occupancy("parameters", config.param_bytes, items[Buffer.PARAM]),
        _occupancy("accumulators", config.acc_bytes, tiles),
    )


def _passes(conv: Instruction) -> tuple[int, int]:
    """Return the weight blocks that a CONV reads, and the accumulators that it fills."""
    x, y, n, s, r, c = (conv[f"{level}_count"] for level in "xynsrc")
    if conv["winograd"]:
        return c * KERNEL * KERNEL, x * y * n * s * r
    return s * r * c, x * y * n


def _activations(conv: Instruction) -> tuple[int, int]:
    """Return the first word that a CONV reads and the one after the last."""
    fields = conv.fields
    low = high = inner = 0
    for level in ("x", "y", "n", "s", "r", "c"):
        step = fields[f"{level}_step"]
        step -= _MASK if step >= _MASK // 2 else 0
        reach = (fields[f"{level}_count"] - 1) * (step + inner)
        inner += reach
        low, high = low + min(reach, 0), high + max(reach, 0)
    return fields["act_base"] + low, fields["act_base"] + high + 1


def _read(standing: list[_Item], low: int, high: int, end: int) -> None:
    for item in standing:
        if item.low < high and low < item.high:
            item.end = max(item.end, end)


def _occupancy(name: str, capacity: int, items: list[_Item]) -> Occupancy:
    if not items:
        return Occupancy(name, capacity, np.zeros(1, np.int64), np.zeros(1, np.int64))
    changes = [(item.begin, item.size) for item in items]
    changes += [(item.end, -item.size) for item in items]
    cycles, index = np.unique([cycle for cycle, _ in changes], return_inverse=True)
    steps = np.bincount(index, weights=[size for _, size in changes])
    return Occupancy(name, capacity, cycles, np.cumsum(steps).astype(np.int64))
