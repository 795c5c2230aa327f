"""Explanations of a layer: its schedule, the cost of others, and the use of the buffers."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from systolith_host.compiler.compile import choose_schedule, compile_network
from systolith_host.compiler.lower.lower import lower
from systolith_host.compiler.lower.operation import Operation
from systolith_host.compiler.schedule.gather import param_slots
from systolith_host.compiler.schedule.geometry import Shape
from systolith_host.compiler.schedule.order import NoRoomError
from systolith_host.compiler.schedule.schedule import TRAFFIC_WEIGHT, LayerSchedule
from systolith_host.compiler.schedule.tables import FIRST, LAST, WORDS
from systolith_host.compiler.schedule.tile import schedule_candidates
from systolith_host.compiler.schedule.trial import Trials
from systolith_host.compiler.schedule.work import Addresses, TooManyStepsError, make_work
from systolith_host.cost.evaluate import places_of
from systolith_host.cost.replay import replay_layer
from systolith_host.errors import SystolithError
from systolith_host.least import cycle_bound
from systolith_host.network.qgraph import QGraph
from systolith_host.program.active import Density, density_of, inactive_weights
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import INSTRUCTION_BYTES, PARAM_BYTES, Buffer
from systolith_hw.spec.memory import Memory

__all__ = ["Alternative", "BufferUse", "Explanation", "explain_layer", "loop_order"]

LEADING = 5
"""Alternatives that are shown, the best first."""

_SIMULATED = 24
"""Schedules of a loop order that are simulated."""

_WEIGHTS = {
    "layer": "weights once",
    "tile": "weights again for each input tile",
    "stream": "weights again for each tile",
}


@dataclass(frozen=True)
class Alternative:
    """A schedule and its cost.

    Parameters
    ----------
    schedule : LayerSchedule
    order : str
        Its loop order in words, and whether the convolution is Winograd's.
    estimated_cycles : int
        By the compiler's simulation of the engines, which differs a little from the RTL.
    traffic_bytes : int
        Instructions included.
    score : float
        The compiler's objective: cycles and a tenth of the traffic's transfer time.
    """

    schedule: LayerSchedule
    order: str
    estimated_cycles: int
    traffic_bytes: int
    score: float


@dataclass(frozen=True)
class BufferUse:
    """A schedule's use of a buffer.

    Parameters
    ----------
    name : str
    piece_bytes : int
        The largest piece that is loaded at once.
    needed_bytes : int
        Bytes that have to be in it at once.
    there_bytes : int
    ahead : int
        Further pieces that fit meanwhile.
    once : bool
        Whether all of the layer's pieces fit, so that none replaces another.
    """

    name: str
    piece_bytes: int
    needed_bytes: int
    there_bytes: int
    ahead: int
    once: bool

    @property
    def double_buffered(self) -> bool:
        """Whether the next piece is loaded while one is in use."""
        return self.once or self.ahead >= 1


@dataclass(frozen=True)
class Explanation:
    """Why a layer runs as it does.

    Parameters
    ----------
    layer : str
    covers : tuple of str
    config : AcceleratorConfig
    batch : int
    rate : float
        Bytes per cycle that the memory moves.
    memory : str
        Its rate, latency and turnaround in words.
    source, target : (channels, height, width)
        Of the largest input and the output.
    kernel : (vertical, horizontal)
        Passes per block of input channels.
    blocks : (int, int)
        Blocks of input and output channels on the array.
    weight_bits : int
        Of a weight in memory.
    macs, compulsory_bytes : int
    skipped_bytes : int
        Bytes of weights that it leaves out, since the inputs they are multiplied by are zero.
    array_bound, bus_bound : int
        Cycles: the fewest products by multipliers, compulsory bytes by rate.
    candidates, simulated : int
        Schedules that were rated, and those whose engines were simulated for this page.
    chosen : Alternative
    leading : tuple of Alternative
        The best others.
    orders : tuple of Alternative
        The best of each loop order, the chosen one's included.
    buffers : tuple of BufferUse
    cycles : int
        In the network's program, by the replay: those that the RTL counts.
    states : mapping of str to int
        Cycles of the compute engine by what it does or waits for.
    read_bytes : mapping of str to int
        By what they bring.
    write_bytes : int
    """

    layer: str
    covers: tuple[str, ...]
    config: AcceleratorConfig
    batch: int
    rate: float
    memory: str
    source: tuple[int, int, int]
    target: tuple[int, int, int]
    kernel: tuple[int, int]
    blocks: tuple[int, int]
    weight_bits: int
    macs: int
    compulsory_bytes: int
    skipped_bytes: int
    array_bound: int
    bus_bound: int
    candidates: int
    simulated: int
    chosen: Alternative
    leading: tuple[Alternative, ...]
    orders: tuple[Alternative, ...]
    buffers: tuple[BufferUse, ...]
    cycles: int
    states: dict[str, int]
    read_bytes: dict[str, int]
    write_bytes: int

    @property
    def bound_cycles(self) -> int:
        """Least cycles that array and memory allow."""
        return max(self.array_bound, self.bus_bound)

    @property
    def bus_share(self) -> float:
        """Share of the cycles in which the memory moves something."""
        return (sum(self.read_bytes.values()) + self.write_bytes) / self.rate / self.cycles

    @property
    def bottleneck(self) -> str:
        """The work or wait that takes most of the layer's cycles."""
        state = max(self.states, key=lambda name: self.states[name])
        if state == "busy":
            return "array"
        return "memory" if self.bus_share > 0.9 else state.replace("_", " ").lower()

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        fields = asdict(self)
        fields["bound_cycles"] = self.bound_cycles
        fields["bottleneck"] = self.bottleneck
        for buffer, use in zip(fields["buffers"], self.buffers, strict=True):
            buffer["double_buffered"] = use.double_buffered
        return fields


def loop_order(schedule: LayerSchedule) -> str:
    """Return in words what stays in the buffers while what goes by."""
    if schedule.units:
        return "gathered: active inputs stay, weights of active inputs once"
    kind = "Winograd: " if schedule.winograd else ""
    each = f"stack of {schedule.stack} output blocks" if schedule.group_blocks else "output block"
    source = "input stays" if schedule.resident else f"input again for each {each}"
    weights = _WEIGHTS[schedule.weights]
    if schedule.stack > 1 and schedule.weights == "tile":
        weights = "weights again for each stack of tiles"
    return f"{kind}{source}, {weights}"


def explain_layer(
    qgraph: QGraph,
    config: AcceleratorConfig,
    layer: str,
    batch: int = 1,
    *,
    fuse_pool: bool = True,
    memory: Memory | None = None,
    density: Density = 1.0,
) -> Explanation:
    """Return why a layer runs as :func:`systolith_host.compiler.compile_network` has it.

    Parameters
    ----------
    layer : str
        A layer of the network; a fused pool stands for its convolution.
    others
        As of ``compile_network``.

    Raises
    ------
    SystolithError
        If there is no such layer, or it cannot run on this accelerator.
    """
    operation = _find(lower(qgraph, config, fuse_pool=fuse_pool), qgraph.name, layer)
    memory = memory or Memory()
    rate = memory.rate(config.bus_bytes)
    addresses = places_of(qgraph, operation, config, batch)
    share = density_of(density, operation.name)
    schedule, _, _ = choose_schedule(operation, config, addresses, batch, memory, share)
    program = compile_network(
        qgraph,
        config,
        batch,
        fuse_pool=fuse_pool,
        memory=memory,
        density=density,
    )
    part = next(one for one in program.layers if one.name == operation.name)
    found = schedule_candidates(operation, config, batch, memory)
    if schedule.units:
        found.insert(0, schedule)
    tried = list(_simulate(found, schedule, Trials(operation, config, addresses), memory, rate))
    best: dict[str, Alternative] = {}
    for one in sorted(tried, key=lambda one: one.score):
        best.setdefault(one.order, one)
    chosen = next(one for one in tried if one.schedule == schedule)
    others = sorted((one for one in tried if one is not chosen), key=lambda one: one.score)
    replayed = replay_layer(program, part, memory, density=density)
    shape = Shape.of(operation, config)
    macs = batch * operation.macs
    unread, zeros = inactive_weights(program, part, {}, density)
    compulsory = operation.compulsory_bytes(batch) - unread * operation.weight_bits // 8
    bound = cycle_bound(batch * operation.products(config) - zeros, compulsory, config, rate)
    return Explanation(
        layer=operation.name,
        covers=operation.covers,
        config=config,
        batch=batch,
        rate=rate,
        memory=memory.described(config.bus_bytes),
        source=(operation.channels, operation.height, operation.width),
        target=(operation.out_channels, operation.out_height, operation.out_width),
        kernel=operation.taps,
        blocks=(shape.in_blocks, shape.out_blocks),
        weight_bits=operation.weight_bits,
        macs=macs,
        compulsory_bytes=compulsory,
        skipped_bytes=zeros * operation.weight_bits // 8,
        array_bound=bound.array,
        bus_bound=bound.memory,
        candidates=len(found),
        simulated=len(tried),
        chosen=chosen,
        leading=tuple(others[:LEADING]),
        orders=tuple(best.values()),
        buffers=tuple(_buffers(operation, schedule, config, addresses)),
        cycles=replayed.cycles,
        states=dict(replayed.counters.states["COMPUTE"]),
        read_bytes=replayed.read_bytes,
        write_bytes=replayed.write_bytes,
    )


def _find(operations: list[Operation], network: str, layer: str) -> Operation:
    for operation in operations:
        if layer == operation.name or layer in operation.covers:
            return operation
    names = ", ".join(operation.name for operation in operations)
    raise SystolithError(f"--explain: {network} has no layer {layer!r}; it has {names}")


def _simulate(
    candidates: Iterable[LayerSchedule],
    chosen: LayerSchedule,
    trials: Trials,
    memory: Memory,
    rate: float,
) -> Iterator[Alternative]:
    """Yield the chosen schedule and the most promising ones of each loop order, simulated."""
    counts: dict[str, int] = {}
    for schedule in dict.fromkeys(candidates):
        order = loop_order(schedule)
        if schedule != chosen and counts.get(order, 0) >= _SIMULATED:
            continue
        try:
            cycles, count = trials.cost(schedule, memory)
        except (NoRoomError, TooManyStepsError):
            continue
        counts[order] = counts.get(order, 0) + 1
        size = schedule.read_bytes + schedule.write_bytes + count * INSTRUCTION_BYTES
        score = cycles + TRAFFIC_WEIGHT * size / rate
        yield Alternative(schedule, order, cycles, size, score)


def _buffers(
    operation: Operation, schedule: LayerSchedule, config: AcceleratorConfig, addresses: Addresses
) -> Iterator[BufferUse]:
    tile = config.sum_bytes(schedule.pixels)
    sums = BufferUse("accumulators", tile, tile, config.acc_bytes, 1, False)
    if schedule.units:
        yield from _ring_buffers(operation, schedule, config, addresses)
        yield sums
        return
    tables = make_work(operation, schedule, config, addresses).tables
    for buffer, name, depth, size in (
        (Buffer.ACT, "activations", config.act_depth, config.rows),
        (Buffer.WEIGHT, "weights", config.weight_depth, config.cols),
        (Buffer.PARAM, "parameters", config.param_depth, PARAM_BYTES),
    ):
        items = tables.items_of(buffer)
        piece, needed = int(items[:, WORDS].max()), _most(items)
        yield BufferUse(
            name,
            piece * size,
            needed * size,
            depth * size,
            (depth - needed) // piece,
            int(items[:, WORDS].sum()) <= depth,
        )
    yield sums


def _ring_buffers(
    operation: Operation, schedule: LayerSchedule, config: AcceleratorConfig, addresses: Addresses
) -> Iterator[BufferUse]:
    """Yield the use of buffers by a layer that gathers its weights, without an inactive input."""
    inputs = -(-addresses.sources[0].data_bytes // config.rows) * config.rows
    yield BufferUse("activations", inputs, inputs, config.act_bytes, 0, True)
    unit = config.rows * schedule.pixels * config.cols  # nibbles are bytes there, too
    yield BufferUse("weights", unit, unit, config.weight_bytes, schedule.units - 1, False)
    slots = param_slots(operation, schedule, config)
    piece = schedule.pixels * config.cols * PARAM_BYTES
    yield BufferUse("parameters", piece, piece, config.param_bytes, slots - 1, False)


def _most(items: np.ndarray) -> int:
    """Return the most words that are in use at once."""
    change = np.zeros(int(items[:, LAST].max()) + 2, np.int64)
    np.add.at(change, items[:, FIRST], items[:, WORDS])
    np.subtract.at(change, items[:, LAST] + 1, items[:, WORDS])
    return int(np.cumsum(change).max())
