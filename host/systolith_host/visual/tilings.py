"""The cost of each size of a layer's tiles, and how the best tiling follows the bandwidth."""

from collections.abc import Sequence
from dataclasses import dataclass

from systolith_host.compiler.compile import choose_schedule
from systolith_host.compiler.lower.operation import Operation
from systolith_host.compiler.schedule.geometry import Shape, input_span
from systolith_host.compiler.schedule.order import NoRoomError
from systolith_host.compiler.schedule.schedule import TRAFFIC_WEIGHT, LayerSchedule
from systolith_host.compiler.schedule.tile import schedule_candidates
from systolith_host.compiler.schedule.trial import Trials
from systolith_host.compiler.schedule.work import TooManyStepsError
from systolith_host.errors import SystolithError
from systolith_host.visual.subject import Subject
from systolith_hw.spec.isa import INSTRUCTION_BYTES

__all__ = ["Choice", "Kept", "Tiling", "TilingMap", "TilingStudy", "study_tilings"]

_TRIES = 4
"""Schedules with the same tile that are tried: they differ in order and in the data kept."""


@dataclass(frozen=True)
class Tiling:
    """A schedule with its costs at a bandwidth.

    Parameters
    ----------
    schedule : LayerSchedule
    cycles : int
        By the compiler's simulation of the engines.
    traffic : int
        Bytes, instructions included.
    score : float
        The compiler's criterion: cycles, and a share of the time that the traffic takes.
    """

    schedule: LayerSchedule
    cycles: int
    traffic: int
    score: float


@dataclass(frozen=True)
class TilingMap:
    """The tiles of a layer at a bandwidth; each with the best order that was found for it.

    Parameters
    ----------
    bandwidth : float
    tiles : dict of (rows, columns) to Tiling
    best : Tiling
        Of these.
    chosen : Tiling
        The compiler's, which tries a few only.
    """

    bandwidth: float
    tiles: dict[tuple[int, int], Tiling]
    best: Tiling
    chosen: Tiling


@dataclass(frozen=True)
class Kept:
    """The cost of a neighbour's schedule here, or None if the buffers cannot hold it."""

    cycles: int
    traffic: int


@dataclass(frozen=True)
class Choice:
    """The best tiling of a layer at a bandwidth, and figures that explain it.

    Parameters
    ----------
    bandwidth : float
    tiling : Tiling
    bus_cycles : float
        Cycles that its traffic takes on the bus.
    first_load : float
        Cycles until the first CONV can begin: its share of the input tile and its weights.
    last_drain : int
        Cycles of the last drain, which nothing hides.
    input_tile : (int, int)
        Rows and columns of input pixels, halo included.
    kept : Kept, optional
        The tiling of the next lower bandwidth, at this one.
    """

    bandwidth: float
    tiling: Tiling
    bus_cycles: float
    first_load: float
    last_drain: int
    input_tile: tuple[int, int]
    kept: Kept | None = None


@dataclass(frozen=True)
class TilingStudy:
    """A layer's tiles.

    Parameters
    ----------
    operation : Operation
    rows : int
        Of the array.
    array_cycles : int
        Least cycles of the array.
    compulsory_bytes : int
    weight_bytes, weight_buffer : int
        All weights of the layer, and the buffer.
    input_bytes, act_buffer : int
        The layer's whole input, and the buffer.
    maps : tuple of TilingMap
        Empty for a layer whose tiles have one size only.
    choices : tuple of Choice
        By rising bandwidth.
    """

    operation: Operation
    rows: int
    array_cycles: int
    compulsory_bytes: int
    weight_bytes: int
    weight_buffer: int
    input_bytes: int
    act_buffer: int
    maps: tuple[TilingMap, ...]
    choices: tuple[Choice, ...]


def study_tilings(
    subject: Subject, name: str, bandwidths: Sequence[float], maps: Sequence[float]
) -> TilingStudy:
    """Try the tilings of a layer.

    Parameters
    ----------
    name : str
    bandwidths : sequence of float
        For the choices, rising.
    maps : sequence of float
        Bandwidths for which all tiles are tried.

    Raises
    ------
    SystolithError
        If there is no such layer, or it cannot run.
    """
    operation = subject.operation(name)
    study = _Study(subject, operation)
    choices: list[Choice] = []
    for bandwidth in bandwidths:
        point = subject.at(bandwidth)
        if point.config is not None:
            choices.append(study.choice(bandwidth, choices[-1] if choices else None))
    if not choices:
        raise SystolithError(f"{operation.name}: no bandwidth of {list(bandwidths)} can be built")
    config = subject.config
    weight_bytes = operation.weights.size
    pixel = operation.pixel_bytes or -(-operation.channels // config.block) * config.block
    return TilingStudy(
        operation=operation,
        rows=config.rows,
        array_cycles=-(-subject.batch * operation.products(config) // config.multipliers),
        compulsory_bytes=operation.compulsory_bytes(subject.batch),
        weight_bytes=weight_bytes,
        weight_buffer=config.weight_bytes,
        input_bytes=operation.height * operation.width * pixel,
        act_buffer=config.act_bytes,
        maps=() if operation.linear else tuple(study.map(bandwidth) for bandwidth in maps),
        choices=tuple(choices),
    )


class _Study:
    def __init__(self, subject: Subject, operation: Operation) -> None:
        self.subject = subject
        self.operation = operation
        self.trials = Trials(operation, subject.config, subject.addresses(operation))
        self.shape = Shape.of(operation, subject.config)

    def tiling(self, schedule: LayerSchedule, rate: float) -> Tiling | None:
        try:
            cycles, count = self.trials.cost(schedule, self.subject.memory_of(rate))
        except (NoRoomError, TooManyStepsError):
            return None
        traffic = schedule.read_bytes + schedule.write_bytes + count * INSTRUCTION_BYTES
        return Tiling(schedule, cycles, traffic, cycles + TRAFFIC_WEIGHT * traffic / rate)

    def map(self, bandwidth: float) -> TilingMap:
        config = self.subject.config
        tried: dict[tuple[int, int], int] = {}
        tiles: dict[tuple[int, int], Tiling] = {}
        memory = self.subject.memory_of(bandwidth)
        for schedule in schedule_candidates(self.operation, config, self.subject.batch, memory):
            key = (schedule.rows, schedule.columns)
            if tried.get(key, 0) >= _TRIES:
                continue
            found = self.tiling(schedule, bandwidth)
            if found is None:
                continue
            tried[key] = tried.get(key, 0) + 1
            if key not in tiles or found.score < tiles[key].score:
                tiles[key] = found
        best = min(tiles.values(), key=lambda tiling: tiling.score)
        return TilingMap(bandwidth, tiles, best, self.chosen(bandwidth))

    def chosen(self, bandwidth: float) -> Tiling:
        subject, operation = self.subject, self.operation
        schedule, _, _ = choose_schedule(
            operation,
            subject.config,
            subject.addresses(operation),
            subject.batch,
            subject.memory_of(bandwidth),
        )
        tiling = self.tiling(schedule, bandwidth)
        assert tiling is not None  # it has just been tried
        return tiling

    def choice(self, bandwidth: float, before: Choice | None) -> Choice:
        operation = self.operation
        tiling = self.chosen(bandwidth)
        schedule = tiling.schedule
        kept = None
        if before is not None and _cut(before.tiling.schedule) != _cut(schedule):
            other = self.tiling(before.tiling.schedule, bandwidth)
            kept = None if other is None else Kept(other.cycles, other.traffic)
        config = self.subject.config
        tall = min(schedule.rows * schedule.stack, operation.out_height)
        rows, columns = (
            input_span(operation, axis, 0, count, config, winograd=schedule.winograd).size
            for axis, count in enumerate((tall, schedule.columns))
        )
        taps = operation.taps[0] * operation.taps[1]
        share = schedule.chunk_blocks or 1
        passes = share * (1 if schedule.linear else taps)
        if not schedule.linear and not schedule.chunk_blocks:
            passes = schedule.chunk_taps
        inputs = schedule.images * rows * columns * (1 if schedule.linear else share)
        if schedule.linear:
            inputs *= schedule.group_blocks or self.shape.in_blocks
        first = inputs * config.block + passes * config.rows * config.cols
        drains = schedule.pixels * (config.block // config.post_lanes)
        blocks = min(config.cols // config.block, self.shape.target_blocks) or 1
        return Choice(
            bandwidth=bandwidth,
            tiling=tiling,
            bus_cycles=tiling.traffic / bandwidth,
            first_load=first / bandwidth,
            last_drain=drains * blocks,
            input_tile=(rows, columns),
            kept=kept,
        )


def _cut(schedule: LayerSchedule) -> tuple[object, ...]:
    """Return the values in which different schedules differ."""
    return (
        schedule.images,
        schedule.rows,
        schedule.columns,
        schedule.stack,
        schedule.chunk_blocks,
        schedule.chunk_taps,
        schedule.resident,
        schedule.weights,
        schedule.winograd,
        schedule.group_blocks,
    )
