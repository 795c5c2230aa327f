"""The work of a layer: its CONVs and STOREs in order, and what the buffers hold for them."""

from dataclasses import dataclass

import numpy as np

from systolith_host.compiler.lower.operation import Operation
from systolith_host.compiler.schedule.chunks import Chunks, find_chunks
from systolith_host.compiler.schedule.cuts import Cuts, Part, make_cuts
from systolith_host.compiler.schedule.schedule import LayerSchedule
from systolith_host.compiler.schedule.tables import IMAGES, LOADS, RUN, RUNS, SIZE, Tables
from systolith_host.program.place import Place
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import PARAM_BYTES, TABLE_ENTRIES, Buffer
from systolith_hw.spec.winograd import LANES

__all__ = [
    "MOST_STEPS",
    "Addresses",
    "TooManyStepsError",
    "Work",
    "make_work",
    "params_start",
]

MOST_STEPS = 200_000
"""CONVs of a layer: some minutes of compiling and a hundred megabytes of instructions."""

_LIFETIMES = {"layer": 0, "tile": 1, "stream": 2}


@dataclass(frozen=True)
class Addresses:
    """Where an operation finds its inputs, weights, parameters and table, and puts its output."""

    sources: tuple[Place, ...]
    target: Place
    weights: int
    params: int
    table: int = 0


@dataclass(frozen=True, eq=False)
class Work:
    """All steps of a layer under a schedule.

    An item holds the data that its first user needs; nothing else defines its contents.

    Parameters
    ----------
    operation : Operation
    config : AcceleratorConfig
    addresses : Addresses
    chunks : Chunks
    cuts : Cuts
    tables : Tables
    linear, winograd : bool
        Of the schedule.
    stack : int
        Output blocks whose sums are in a bank at the same time.
    """

    operation: Operation
    config: AcceleratorConfig
    addresses: Addresses
    chunks: Chunks
    cuts: Cuts
    tables: Tables
    linear: bool
    winograd: bool = False
    stack: int = 1

    def accumulators(self, tile: int) -> tuple[int, int]:
        """Return the bank of a tile's sums, and the address of the first one."""
        if self.stack == 1:
            return tile % 2, 0
        image, block = divmod(tile, len(self.chunks.blocks))
        stack, place = divmod(block, self.stack)
        number = image * -(-len(self.chunks.blocks) // self.stack) + stack
        return number % 2, place * self.cuts.images[image][1]

    def tile(self, number: int) -> tuple[tuple[int, int], Part, Part, int]:
        """Return a tile's (first, count) of images, its columns, its rows, and its output block."""
        images, column, row, block = self.tables.stores[number, IMAGES:].tolist()
        return self.cuts.images[images], self.cuts.columns[column], self.cuts.rows[row], block


class TooManyStepsError(Exception):
    """A schedule of more CONVs than host and accelerator should be given."""

    def __init__(self, steps: int) -> None:
        super().__init__(f"{steps} CONVs")
        self.steps = steps


def _params_share(entries: int, config: AcceleratorConfig) -> int:
    """Return the parameter entries that are loaded at once: all of them if they fit.

    Otherwise a quarter of the buffer: one in use, the others on their way.
    """
    if entries <= config.param_depth:
        return entries
    return max(config.param_depth // config.cols // 4, 1) * config.cols


def params_start(work: Work, block: int) -> int:
    """Return the first of the parameter entries that are loaded with those of an output block."""
    share = _params_share(len(work.operation.params), work.config)
    return block * work.config.cols // share * share


def make_work(
    operation: Operation,
    schedule: LayerSchedule,
    config: AcceleratorConfig,
    addresses: Addresses,
    chunks: Chunks | None = None,
) -> Work:
    """Return the work of an operation under a schedule.

    Parameters
    ----------
    addresses : Addresses
        Only the shapes of its places matter.
    chunks : Chunks, optional
        Those of the schedule, if they are known.

    Raises
    ------
    TooManyStepsError
        If it has more than MOST_STEPS CONVs.
    SystolithError
        If the padding of a tile does not fit an instruction.
    """
    if chunks is None:
        chunks = find_chunks(operation, schedule, config, addresses.sources)
    cuts = make_cuts(operation, schedule, config, addresses.target.batch)
    steps = cuts.tiles * chunks.steps
    if steps > MOST_STEPS:
        raise TooManyStepsError(steps)
    packed = bool(operation.pixel_bytes)
    window = operation.window
    reads = LANES if schedule.winograd else window[0] * window[1]
    stack = schedule.stack if schedule.linear else 1
    settings = (
        schedule.resident,
        _LIFETIMES[schedule.weights],
        config.rows,
        config.cols * operation.weight_bits,
        config.block,
        1 if packed else config.row_groups,
        operation.pixel_bytes or config.block,
        chunks.act_keys,
        chunks.weight_keys,
        len(operation.weights),
        schedule.linear,
        schedule.winograd,
        reads * (config.block // config.post_lanes),
        config.least_pass,
        stack,
        operation.repeat[0] * operation.repeat[1],
    )
    entries = len(operation.params)
    stay = entries <= config.param_depth
    arguments = (
        np.array([count for _, count in cuts.images]),
        np.array([_part_row(part, operation.width) for part in cuts.columns]),
        np.array([_part_row(part, operation.height) for part in cuts.rows]),
        np.array(cuts.regions),
        chunks.table,
        chunks.blocks,
        np.array(
            [(1 if packed else place.blocks, place.dense_row_bytes) for place in addresses.sources]
        ),
        settings,
        (entries, _params_share(entries, config), stay, config.cols, PARAM_BYTES),
    )
    # numba takes a second to import.
    from systolith_host.compiler.schedule.tabulate import tabulate

    gathered = schedule.pixels if schedule.winograd else 0
    runs = config.block if operation.pixels_apart else 0
    tables = Tables(*tabulate(*arguments), gathered=gathered, run_bytes=runs)
    if operation.table is not None:
        first = tables.items[tables.bounds[Buffer.PARAM, 0]]
        first[LOADS] += 1
        first[SIZE] += TABLE_ENTRIES
        # An entry is written in a cycle, and a run counts for several.
        first[RUNS] += TABLE_ENTRIES // RUN
    kind = (schedule.linear, schedule.winograd, stack)
    return Work(operation, config, addresses, chunks, cuts, tables, *kind)


def _part_row(part: Part, size: int) -> tuple[int, ...]:
    span = part.span
    return (part.count, part.pieces, span.length, span.size, span.covers(size))
