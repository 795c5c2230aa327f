"""What a network costs at one point: every layer scheduled by the compiler, and remembered."""

import dataclasses
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.model.vgg import build_network
from systolith_host.perf.network import timing_network
from systolith_host.quantize.qgraph import QGraph
from systolith_host.schedule.allocate import MemoryMap, place_of
from systolith_host.schedule.compile import schedule_layer
from systolith_host.schedule.lower import lower
from systolith_host.schedule.operation import Operation
from systolith_host.schedule.schedule import LayerSchedule
from systolith_host.schedule.work import Addresses
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import INSTRUCTION_BYTES

__all__ = ["LayerCost", "evaluate"]

_MOST_SCHEDULES = 20_000
"""Schedules that a process remembers."""


@dataclass(frozen=True)
class LayerCost:
    """A layer at a point.

    Parameters
    ----------
    name : str
    cycles : int
        By the compiler's simulation of the engines.
    read_bytes, write_bytes : int
        Instructions included.
    bound_cycles : int
        Least cycles that array and memory allow.
    schedule : LayerSchedule
    """

    name: str
    cycles: int
    read_bytes: int
    write_bytes: int
    bound_cycles: int
    schedule: LayerSchedule


def evaluate(
    network: str, config: AcceleratorConfig, bandwidth: float, batch: int = 1
) -> list[LayerCost]:
    """Return what each layer of a built-in network costs.

    Raises
    ------
    SystolithError
        If the network cannot run on this accelerator.
    """
    rate = min(bandwidth, float(config.bus_bytes))
    qgraph = _network(network)
    found = []
    for operation in _operations(network, config.rows, config.cols, _lowering_fields(config)):
        schedule, instructions, cycles = _schedule(qgraph, operation, config, batch, rate)
        macs = batch * operation.macs
        compulsory = batch * operation.compulsory + operation.weight_elements
        found.append(
            LayerCost(
                name=operation.name,
                cycles=cycles,
                read_bytes=schedule.read_bytes + instructions * INSTRUCTION_BYTES,
                write_bytes=schedule.write_bytes,
                bound_cycles=max(-(-macs // config.multipliers), int(-(-compulsory // rate))),
                schedule=schedule,
            )
        )
    return found


@lru_cache(maxsize=4)
def _network(network: str) -> QGraph:
    return timing_network(build_network(network))


def _lowering_fields(config: AcceleratorConfig) -> tuple[tuple[str, Any], ...]:
    """Return a configuration without what only schedules depend on."""
    fields = config.to_dict()
    for name in ("name", "act_depth", "weight_depth", "acc_depth", "out_depth", "queue_depth"):
        del fields[name]
    return tuple(sorted(fields.items()))


@lru_cache(maxsize=8)
def _operations(
    network: str, rows: int, cols: int, fields: tuple[tuple[str, Any], ...]
) -> tuple[Operation, ...]:
    """Return the operations of a network, their weights without memory of their own."""
    depths = {"act_depth": 1 << 20, "weight_depth": 1 << 20, "acc_depth": 1 << 15}
    config = AcceleratorConfig(name="lowering", out_depth=1 << 16, **depths, **dict(fields))
    zero = np.zeros((), np.int8)
    return tuple(
        dataclasses.replace(operation, weights=np.broadcast_to(zero, operation.weights.shape))
        for operation in lower(_network(network), config)
    )


_schedules: dict[tuple, tuple[LayerSchedule, int, int] | str] = {}


def _schedule(
    qgraph: QGraph, operation: Operation, config: AcceleratorConfig, batch: int, rate: float
) -> tuple[LayerSchedule, int, int]:
    """Return an operation's schedule, number of instructions and cycles; alike layers share it."""
    shape = tuple(
        value if not isinstance(value, np.ndarray) else value.shape
        for name, value in operation.__dict__.items()
        if name not in ("name", "covers", "inputs", "output")
    )
    tensors = tuple(qgraph.tensors[name].shape for name in (*operation.inputs, operation.output))
    key = (shape, tensors, config.fingerprint, batch, rate)
    found = _schedules.get(key)
    if found is None:
        if len(_schedules) >= _MOST_SCHEDULES:
            _schedules.clear()
        memory = MemoryMap()
        pixel_bytes = operation.pixel_bytes
        sources = tuple(
            place_of(qgraph.tensors[name], memory, config, batch, pixel_bytes)
            for name in operation.inputs
        )
        target = place_of(qgraph.tensors[operation.output], memory, config, batch, 0)
        weights = memory.reserve(operation.weights.size, "weights")
        params = memory.reserve(operation.params.size, "parameters")
        addresses = Addresses(sources, target, weights, params)
        try:
            schedule, instructions, cycles = schedule_layer(
                operation, config, addresses, batch, rate
            )
            found = (schedule, len(instructions), cycles)
        except SystolithError as error:
            found = str(error)
        _schedules[key] = found
    if isinstance(found, str):
        raise SystolithError(found)
    return found
