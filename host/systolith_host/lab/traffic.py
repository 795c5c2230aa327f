"""DRAM traffic against the size of the on-chip memory, next to the lower bound for it."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from systolith_host.compiler.lower.operation import Operation
from systolith_host.compiler.schedule.order import NoRoomError
from systolith_host.compiler.schedule.tile import schedule_candidates
from systolith_host.compiler.schedule.trial import Trials
from systolith_host.compiler.schedule.work import Addresses, TooManyStepsError
from systolith_host.cost.bound import least_traffic
from systolith_host.cost.evaluate import evaluate, operations_of, places_of
from systolith_host.errors import SystolithError
from systolith_host.explore.space import Space
from systolith_host.flow.load import shape_network
from systolith_hw.spec.config import AcceleratorConfig, ConfigError
from systolith_hw.spec.isa import INSTRUCTION_BYTES
from systolith_hw.spec.memory import Memory

__all__ = [
    "AIMS",
    "GROUPS",
    "PARTS",
    "LayerTraffic",
    "SizeTraffic",
    "Split",
    "least_schedule",
    "save_traffic",
    "splits",
    "traffic_at",
    "traffic_by_size",
]

AIMS = ("cycles", "traffic")
"""Goals by which schedules are chosen."""

PARTS = 16
"""Parts of a size that are divided among the three memories."""

_OUT_OF_REACH = (NoRoomError, TooManyStepsError)
"""Errors of a tiling that does not fit the buffers."""

GROUPS = ("convolutions", "fully connected", "all")


@dataclass(frozen=True)
class Split:
    """How a size is divided, in bytes; `sums` are both accumulator banks of all columns."""

    activations: int
    weights: int
    sums: int


@dataclass(frozen=True)
class LayerTraffic:
    """Bytes that a layer moves, next to its lower bound and its compulsory bytes."""

    layer: str
    traffic: int
    bound: int
    compulsory: int


@dataclass(frozen=True)
class SizeTraffic:
    """A network's traffic with one size of on-chip memory and one aim of the scheduler.

    Parameters
    ----------
    size : int
        Bytes of activation buffer, weight buffer and accumulators.
    aim : "cycles" or "traffic"
        The goal by which schedules were chosen.
    split : Split
        The one with the least traffic.
    tried : int
        Splits on which the network runs.
    cycles : int
        By the compiler, with the memory's own bandwidth; 0 if the aim is traffic.
    traffic, bound, compulsory : dict of str to int
        Bytes by group; instructions and parameters are part of the traffic, not of the bound.
    layers : tuple of LayerTraffic
    """

    size: int
    aim: str
    split: Split
    tried: int
    cycles: int
    traffic: dict[str, int]
    bound: dict[str, int]
    compulsory: dict[str, int]
    layers: tuple[LayerTraffic, ...]


def splits(size: int, parts: int = PARTS) -> Iterator[Split]:
    """Yield all ways to divide a size into three, in steps of a `parts`-th of it."""
    for activations in range(1, parts - 1):
        for weights in range(1, parts - activations):
            sums = parts - activations - weights
            yield Split(*(size * part // parts for part in (activations, weights, sums)))


def _config(base: AcceleratorConfig, split: Split) -> AcceleratorConfig | None:
    """Return the accelerator with this split, or None if there is none."""
    base = replace(base, winograd=0)  # the bound is that of the direct convolution
    values = {
        "act_buffer": float(split.activations),
        "weight_buffer": float(split.weights),
        "acc_depth": float(split.sums // base.sum_bytes(2)),
    }
    try:
        return Space(base, {axis: (value,) for axis, value in values.items()}).point(values).config
    except ConfigError:
        return None


def least_schedule(operation: Operation, config: AcceleratorConfig, addresses: Addresses) -> int:
    """Return the bytes of the tiling that moves least, instructions included, whatever its cycles.

    Raises
    ------
    SystolithError
        If no tiling fits the buffers.
    """
    trials = Trials(operation, config, addresses)
    candidates = schedule_candidates(operation, config, 1, Memory())
    best: int | None = None
    for schedule in sorted(candidates, key=lambda one: one.read_bytes + one.write_bytes):
        size = schedule.read_bytes + schedule.write_bytes
        if best is not None and size >= best:
            break
        try:
            _, count = trials.cost(schedule, Memory())
        except _OUT_OF_REACH:
            continue
        size += count * INSTRUCTION_BYTES
        best = size if best is None else min(best, size)
    if best is None:
        raise SystolithError(f"{operation.name}: no tile of it fits")
    return best


def _moved(network: str, config: AcceleratorConfig, aim: str) -> tuple[list[int], int]:
    """Return the bytes that each layer moves, and the cycles of all; 0 if traffic is the aim."""
    if aim == "cycles":
        costs = evaluate(network, config, Memory())
        moved = [cost.estimated_read_bytes + cost.estimated_write_bytes for cost in costs]
        return moved, sum(cost.estimated_cycles for cost in costs)
    qgraph = shape_network(network, functions=bool(config.functions))
    return [
        least_schedule(operation, config, places_of(qgraph, operation, config, 1))
        for operation in operations_of(network, config)
    ], 0


def traffic_at(
    network: str,
    base: AcceleratorConfig,
    size: int,
    aim: str = "cycles",
    *,
    parts: int = PARTS,
    tried: Callable[[], None] | None = None,
) -> SizeTraffic:
    """Return the traffic of a network with `size` bytes on the chip, under the best split.

    Parameters
    ----------
    network : str
        A built-in one, or an ONNX file.
    base : AcceleratorConfig
        Everything but the three memories.
    size : int
        Bytes of activation buffer, weight buffer and accumulators together.
    aim : "cycles" or "traffic"
        Whether schedules are chosen as the compiler does, or for the least traffic.
    parts : int
        The steps of the split.
    tried : callable, optional
        Called after each split.

    Raises
    ------
    SystolithError
        If the network runs under none of the splits.
    """
    best: tuple[int, int, Split, list[int], AcceleratorConfig] | None = None
    count = 0
    reason = "no split of it can be built"
    for split in splits(size, parts):
        config = _config(base, split)
        if config is not None:
            try:
                moved, cycles = _moved(network, config, aim)
            except SystolithError as error:
                reason = str(error)
            else:
                count += 1
                if best is None or (sum(moved), cycles) < best[:2]:
                    best = (sum(moved), cycles, split, moved, config)
        if tried is not None:
            tried()
    if best is None:
        raise SystolithError(f"{network}: does not run with {size:,} bytes on the chip: {reason}")
    _, cycles, split, moved, config = best
    qgraph = shape_network(network, functions=bool(config.functions))
    traffic, bound, compulsory = ({group: 0 for group in GROUPS} for _ in range(3))
    layers = []
    for operation, number in zip(operations_of(network, config), moved, strict=True):
        least = least_traffic(qgraph, operation, size, config.acc_width / 8)
        for group in ("fully connected" if operation.kind == "fc" else "convolutions", "all"):
            traffic[group] += number
            bound[group] += least.bytes
            compulsory[group] += least.compulsory
        layers.append(LayerTraffic(operation.name, number, least.bytes, least.compulsory))
    return SizeTraffic(
        size=size,
        aim=aim,
        split=split,
        tried=count,
        cycles=cycles,
        traffic=traffic,
        bound=bound,
        compulsory=compulsory,
        layers=tuple(layers),
    )


def traffic_by_size(
    network: str,
    base: AcceleratorConfig,
    sizes: Sequence[int],
    *,
    parts: int = PARTS,
    tried: Callable[[], None] | None = None,
) -> list[SizeTraffic]:
    """Return the traffic with each size, in bytes, for both aims; see :func:`traffic_at`."""
    return [
        traffic_at(network, base, size, aim, parts=parts, tried=tried)
        for size in sizes
        for aim in AIMS
    ]


def save_traffic(
    found: Sequence[SizeTraffic], network: str, base: AcceleratorConfig, path: Path
) -> None:
    """Write all of it as JSON.

    Raises
    ------
    SystolithError
        If the file cannot be written.
    """
    kept = {
        "network": network,
        "config": base.name,
        "sum_bytes": base.acc_width / 8,
        "sizes": [asdict(one) for one in found],
    }
    try:
        path.write_text(json.dumps(kept, indent=1) + "\n")
    except OSError as error:
        raise SystolithError(f"{path}: cannot be written: {error.strerror}") from None
