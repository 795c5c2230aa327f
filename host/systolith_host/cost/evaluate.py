"""The cost of a network at one point: estimated by the compiler, or replayed to the cycle."""

import dataclasses
from dataclasses import dataclass

import numpy as np

from systolith_host.compiler.allocate import MemoryMap, place_of
from systolith_host.compiler.compile import choose_schedule
from systolith_host.compiler.lower.lower import lower
from systolith_host.compiler.lower.operation import Operation
from systolith_host.compiler.schedule.order import read_rate, write_rate
from systolith_host.compiler.schedule.schedule import LayerSchedule
from systolith_host.compiler.schedule.work import Addresses
from systolith_host.energy.table import TABLES, load_table
from systolith_host.errors import SystolithError
from systolith_host.flow.load import shape_network
from systolith_host.least import cycle_bound
from systolith_host.network.qgraph import QGraph, QMaxPool
from systolith_host.network.weight_bits import ALL_BYTES, WeightBits, narrow_network
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import INSTRUCTION_BYTES
from systolith_hw.spec.memory import Memory

__all__ = ["LayerCost", "evaluate", "evaluate_exactly", "operations_of", "places_of"]

_MOST_SCHEDULES = 20_000
"""Schedules that a process remembers."""


@dataclass(frozen=True)
class LayerCost:
    """A layer at a point.

    Parameters
    ----------
    name : str
    kind : str
        As of :class:`systolith_host.program.program.LayerProgram`.
    estimated_cycles : int
        By the compiler's simulation of the engines.
    estimated_read_bytes, estimated_write_bytes : int
        By the schedule, instructions included; the edges of rows that fill no bus beat are not.
    bound_cycles : int
        Least cycles that array and memory allow.
    schedule : LayerSchedule
    cycles, read_bytes, write_bytes : int, optional
        By the replay, equal to what the RTL counts; None if it was not replayed.
    energy_pj : int, optional
        By the replay's accesses and the table that comes with Systolith; None if not replayed.
    """

    name: str
    kind: str
    estimated_cycles: int
    estimated_read_bytes: int
    estimated_write_bytes: int
    bound_cycles: int
    schedule: LayerSchedule
    cycles: int | None = None
    read_bytes: int | None = None
    write_bytes: int | None = None
    energy_pj: int | None = None


def evaluate(
    network: str,
    config: AcceleratorConfig,
    memory: Memory,
    batch: int = 1,
    density: float = 1.0,
    weight_bits: WeightBits = ALL_BYTES,
) -> list[LayerCost]:
    """Return the estimated cost of each layer of a network.

    Parameters
    ----------
    network : str
        A built-in one, or an ONNX file.
    memory : Memory
    batch : int
    density : float
        Share of the inputs of fully connected layers that are active, 0 to 1.
    weight_bits : WeightBits
        Of weights in memory; they count where the accelerator has the unit for 4 bits.

    Raises
    ------
    SystolithError
        If the network cannot run on this accelerator.
    """
    rate = memory.rate(config.bus_bytes)
    qgraph = shape_network(network, functions=bool(config.functions))
    found = []
    for operation in operations_of(network, config, weight_bits):
        schedule, instructions, cycles = _schedule(
            qgraph, operation, config, batch, memory, density
        )
        zeros = 0
        if schedule.units:  # the weights of inputs that are not active are not needed
            inputs = operation.channels * operation.height * operation.width
            zeros = (inputs - max(1, round(density * inputs))) * operation.out_channels
        products = batch * (operation.products(config) - zeros)
        needed = operation.compulsory_bytes(batch) - zeros * operation.weight_bits // 8
        bound = cycle_bound(products, needed, config, rate)
        found.append(
            LayerCost(
                name=operation.name,
                kind=operation.kind,
                estimated_cycles=cycles,
                estimated_read_bytes=schedule.read_bytes + instructions * INSTRUCTION_BYTES,
                estimated_write_bytes=schedule.write_bytes,
                bound_cycles=bound.cycles,
                schedule=schedule,
            )
        )
    return found


def evaluate_exactly(
    network: str,
    config: AcceleratorConfig,
    memory: Memory,
    batch: int = 1,
    density: float = 1.0,
    weight_bits: WeightBits = ALL_BYTES,
) -> list[LayerCost]:
    """Return the cost of each layer of a network, estimated and replayed.

    Parameters and errors are those of :func:`evaluate`; a network that is larger than the
    accelerator's memory space is refused here only.
    """
    from systolith_host.cost.estimate import estimate_network  # imports numba

    costs = evaluate(network, config, memory, batch, density, weight_bits)
    table = load_table(TABLES[0])
    qgraph = shape_network(network, functions=bool(config.functions))
    narrow = narrow_network(qgraph, weight_bits)
    report = estimate_network(
        narrow, config, memory, batch, density=density, energy=table, workers=1
    )
    spent = report.energy.layers if report.energy is not None else {}
    return [
        dataclasses.replace(
            cost,
            cycles=layer.cycles,
            read_bytes=layer.bytes_read,
            write_bytes=layer.bytes_written,
            energy_pj=round(spent[layer.name].total.pj),
        )
        for cost, layer in zip(costs, report.layers, strict=True)
    ]


def _lowering_fields(qgraph: QGraph, config: AcceleratorConfig) -> tuple[int, ...]:
    """Return the fields that lowering uses; operations do not depend on the others."""
    pools = [layer.kernel for layer in qgraph.layers if isinstance(layer, QMaxPool)]
    window = max((high * wide for high, wide in pools), default=1)
    sums = (config.acc_width, config.multiplier_width)
    return (
        config.rows,
        config.cols,
        *sums,
        min(config.acc_depth, window),
        config.functions,
        config.nibbles,
    )


_operations: dict[tuple, tuple[Operation, ...]] = {}


def operations_of(
    network: str, config: AcceleratorConfig, weight_bits: WeightBits = ALL_BYTES
) -> tuple[Operation, ...]:
    """Return the operations of a network, their weights without memory of their own."""
    qgraph = shape_network(network, functions=bool(config.functions))
    key = (network, *_lowering_fields(qgraph, config), *sorted(weight_bits.items()))
    if key not in _operations:
        zero = np.zeros((), np.int8)
        _operations[key] = tuple(
            dataclasses.replace(operation, weights=np.broadcast_to(zero, operation.weights.shape))
            for operation in lower(narrow_network(qgraph, weight_bits), config)
        )
    return _operations[key]


def places_of(
    qgraph: QGraph, operation: Operation, config: AcceleratorConfig, batch: int
) -> Addresses:
    """Return where an operation's tensors would stand if it were alone."""
    space = MemoryMap()
    sources = tuple(
        place_of(qgraph.tensors[name], space, config, batch, operation.pixel_bytes)
        for name in operation.inputs
    )
    target = place_of(qgraph.tensors[operation.output], space, config, batch, 0)
    weights = space.reserve(operation.weights.size, "weights")
    params = space.reserve(operation.params.size, "parameters")
    table = space.reserve(operation.table.size, "parameters") if operation.table is not None else 0
    return Addresses(sources, target, weights, params, table)


_SCHEDULING = (
    "rows",
    "cols",
    "act_depth",
    "weight_depth",
    "param_depth",
    "acc_depth",
    "post_lanes",
    "out_depth",
    "winograd",
    "gather",
)
"""The fields of a configuration on which schedules depend, apart from the memory's rate."""

_schedules: dict[tuple, tuple[LayerSchedule, int, int] | str] = {}


def _schedule(
    qgraph: QGraph,
    operation: Operation,
    config: AcceleratorConfig,
    batch: int,
    memory: Memory,
    density: float,
) -> tuple[LayerSchedule, int, int]:
    """Return an operation's schedule, number of instructions and cycles; alike layers share it."""
    shape = tuple(
        value if not isinstance(value, np.ndarray) else value.shape
        for name, value in operation.__dict__.items()
        if name not in ("name", "covers", "inputs", "output")
    )
    tensors = tuple(qgraph.tensors[name].shape for name in (*operation.inputs, operation.output))
    key = (shape, tensors, *(getattr(config, name) for name in _SCHEDULING), batch)
    rates = (read_rate(config, memory), write_rate(config, memory))
    key += (memory.rate(config.bus_bytes), *rates, memory.latency)
    key += (density if config.gather else 1.0,)
    found = _schedules.get(key)
    if found is None:
        if len(_schedules) >= _MOST_SCHEDULES:
            _schedules.clear()
        addresses = places_of(qgraph, operation, config, batch)
        try:
            found = choose_schedule(operation, config, addresses, batch, memory, density)
        except SystolithError as error:
            found = str(error)
        _schedules[key] = found
    if isinstance(found, str):
        raise SystolithError(found)
    return found
