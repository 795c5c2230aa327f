"""Trials: the cycles of a schedule by the engines' clocks, before any instruction is made."""

from dataclasses import dataclass

import numpy as np

from systolith_host.compiler.lower.operation import LARGEST_SIDE, Operation
from systolith_host.compiler.schedule.geometry import Shape, Span, split
from systolith_host.compiler.schedule.order import MEMORY_LATENCY, NoRoomError, order_outline
from systolith_host.compiler.schedule.outline import Outline
from systolith_host.compiler.schedule.schedule import LayerSchedule
from systolith_host.compiler.schedule.work import (
    MOST_STEPS,
    Addresses,
    Chunk,
    TooManyStepsError,
    chunks_of,
    params_share,
    tile_span,
)
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import PARAM_BYTES

__all__ = ["Trials"]

_LIFETIMES = {"layer": 0, "tile": 1, "stream": 2}


@dataclass(frozen=True)
class _Shares:
    """What CONVs take, for all blocks of output channels; see :func:`tabulate`."""

    shares: np.ndarray
    blocks: np.ndarray
    act_keys: int
    weight_keys: int


class Trials:
    """Tries schedules of an operation on an accelerator.

    Parameters
    ----------
    operation : Operation
    config : AcceleratorConfig
    addresses : Addresses
        Only the shapes of its places matter.
    """

    def __init__(
        self, operation: Operation, config: AcceleratorConfig, addresses: Addresses
    ) -> None:
        self.operation = operation
        self.config = config
        self.addresses = addresses
        self.shape = Shape.of(operation, config)
        self._shares: dict[tuple[bool, int, int], _Shares] = {}
        packed = bool(operation.pixel_bytes)
        self._sources = np.array(
            [(1 if packed else place.blocks, place.row_bytes) for place in addresses.sources]
        )

    def cost(
        self,
        schedule: LayerSchedule,
        rate: float,
        latency: int = MEMORY_LATENCY,
        turnaround: int = 0,
    ) -> tuple[int, int]:
        """Return the cycles that a schedule is expected to take, and its instructions.

        Parameters
        ----------
        rate : float
            Bytes per cycle that the memory can move.
        latency : int
            Cycles from the address of a read to its first data.
        turnaround : int
            Cycles in which no data moves between reading and writing.

        Raises
        ------
        NoRoomError
            If the schedule needs more of a buffer than there is.
        TooManyStepsError
            If it has more than MOST_STEPS CONVs.
        """
        outline = self.outline(schedule)
        cycles = order_outline(outline, self.config, rate, latency, turnaround)
        if cycles is None:
            raise NoRoomError
        loads = sum(int(outline.items[low:high, 2].sum()) for low, high in outline.bounds)
        return cycles, loads + len(outline.steps) + len(outline.stores)

    def outline(self, schedule: LayerSchedule) -> Outline:
        """Return the outline of the work of a schedule.

        Raises
        ------
        TooManyStepsError, SystolithError
            As ``make_work``.
        """
        operation, config = self.operation, self.config
        images = np.array(
            [count for _, count in split(self.addresses.target.batch, schedule.images)]
        )
        columns, tiles, regions = self._tiles(schedule)
        shares = self._shares_of(schedule)
        each = int((shares.blocks[:, 1] - shares.blocks[:, 0]).sum())
        steps = each * len(images) * len(columns) * len(tiles)
        if steps > MOST_STEPS:
            raise TooManyStepsError(steps)
        window = operation.window
        settings = (
            schedule.resident,
            _LIFETIMES[schedule.weights],
            config.rows,
            config.cols,
            config.block,
            1 if operation.pixel_bytes else config.row_groups,
            operation.pixel_bytes,
            LARGEST_SIDE,
            shares.act_keys,
            shares.weight_keys,
            len(operation.weights),
            schedule.linear,
            window[0] * window[1] * (config.block // config.post_lanes),
        )
        entries = len(operation.params)
        stay = entries <= config.param_depth
        params = (entries, params_share(entries, config), stay, config.cols, PARAM_BYTES)
        # numba takes a second to import.
        from systolith_host.compiler.schedule.tabulate import tabulate

        tables = tabulate(
            images, columns, tiles, regions, shares.shares, shares.blocks, self._sources,
            settings, params,
        )  # fmt: skip
        return Outline(*tables)

    def _tiles(self, schedule: LayerSchedule) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        operation, config = self.operation, self.config
        if schedule.linear:
            whole = (operation.height, operation.height, 1)
            across = (1, 1, operation.width, operation.width)
            return np.array([across]), np.array([(1, 1, *whole)]), np.array([0, 1])
        columns = [
            (count, operation.sums(1, count), span.length, span.size)
            for first, count in split(operation.out_width, schedule.columns)
            for span in (tile_span(operation, 1, first, count, config),)
        ]
        tiles, regions = [], [0]
        for first, count in split(operation.out_height, schedule.rows * schedule.stack):
            span = tile_span(operation, 0, first, count, config)
            for row, rows in split(count, schedule.rows):
                if not schedule.resident:
                    span = tile_span(operation, 0, first + row, rows, config)
                sums = operation.sums(0, rows)
                tiles.append((rows, sums, span.length, span.size, self._complete(span)))
            regions.append(len(tiles))
        return np.array(columns), np.array(tiles), np.array(regions)

    def _complete(self, span: Span) -> bool:
        return span.length == self.operation.height and not span.before and not span.after

    def _shares_of(self, schedule: LayerSchedule) -> _Shares:
        key = (schedule.linear, schedule.chunk_blocks, schedule.chunk_taps)
        if key not in self._shares:
            self._shares[key] = self._find_shares(schedule)
        return self._shares[key]

    def _find_shares(self, schedule: LayerSchedule) -> _Shares:
        operation, config = self.operation, self.config
        acts: dict[tuple, int] = {}
        weights: dict[tuple, int] = {}
        spans: dict[int, tuple[int, int]] = {}
        rows: list[tuple[int, ...]] = []

        def row(chunk: Chunk) -> tuple[int, ...]:
            act = acts.setdefault((chunk.source, chunk.group), len(acts))
            weight = weights.setdefault((chunk.weight_pass, chunk.passes), len(weights))
            return (act, weight, chunk.passes, *chunk.group, chunk.source)

        blocks = []
        for out_block in range(self.shape.out_blocks):
            start = operation.reach[out_block] if operation.reach else 0
            if start not in spans:
                first = len(rows)
                sources = self.addresses.sources
                found = chunks_of(operation, schedule, config, sources, out_block)
                rows += [row(chunk) for chunk in found]
                spans[start] = (first, len(rows))
            drained = min(
                config.col_groups, self.shape.target_blocks - out_block * config.col_groups
            )
            blocks.append((*spans[start], drained, out_block % len(operation.weights)))
        return _Shares(np.array(rows), np.array(blocks), len(acts), len(weights))
