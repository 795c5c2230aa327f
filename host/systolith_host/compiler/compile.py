"""The compiler: from an integer network to a program for one accelerator."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from systolith_host.compiler.allocate import MemoryMap, aligned, check_size, place_inside, place_of
from systolith_host.compiler.emit import emit_layer
from systolith_host.compiler.gathered import choose_gathering, pack_gathered
from systolith_host.compiler.lower.lower import arranged, lower
from systolith_host.compiler.lower.operation import Operation
from systolith_host.compiler.lower.pack import pack_nibbles
from systolith_host.compiler.schedule.gather import instructions_of
from systolith_host.compiler.schedule.order import NoRoomError
from systolith_host.compiler.schedule.schedule import TRAFFIC_WEIGHT, LayerSchedule
from systolith_host.compiler.schedule.tile import schedule_candidates
from systolith_host.compiler.schedule.trial import Trials
from systolith_host.compiler.schedule.work import MOST_STEPS, Addresses, TooManyStepsError
from systolith_host.compiler.shortage import ShortageError, smallest_change
from systolith_host.errors import SystolithError
from systolith_host.least import cycle_bound
from systolith_host.network.qgraph import QGraph, QHost
from systolith_host.program.active import Density, check_density, density_of
from systolith_host.program.host import HostStep
from systolith_host.program.program import LayerProgram, Place, Program
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import INSTRUCTION_BYTES, Instruction
from systolith_hw.spec.memory import Memory

__all__ = ["choose_schedule", "compile_network", "explain_network", "schedule_layer"]

TRIALS = 6
"""Schedules of a layer, of each kind, that are simulated before the best one is taken."""

Progress = Callable[[str, int, int], None]

HOPELESS = 1.5
"""Ratio to the best estimate so far up to which a schedule is still simulated."""


def compile_network(
    qgraph: QGraph,
    config: AcceleratorConfig,
    batch: int = 1,
    *,
    fuse_pool: bool = True,
    memory: Memory | None = None,
    progress: Progress | None = None,
    density: Density = 1.0,
) -> Program:
    """Compile a network.

    Parameters
    ----------
    qgraph : QGraph
    config : AcceleratorConfig
    batch : int
        Images of a run, at least 1.
    fuse_pool : bool
        Join pools with the convolutions before them where that is possible.
    memory : Memory, optional
        The program's memory, for the choice of schedules only.
    progress : callable, optional
        Called with the name of each layer before it is scheduled, its number, and the number of
        layers.
    density : Density
        Of the inputs of fully connected layers, as expected: for the choice of those that gather
        their weights.

    Returns
    -------
    Program
        It runs on any memory.

    Raises
    ------
    SystolithError
        If the network cannot run on this accelerator.
    """
    program, _ = _compile(qgraph, config, batch, fuse_pool, memory or Memory(), progress, density)
    return program


def explain_network(
    qgraph: QGraph,
    config: AcceleratorConfig,
    batch: int = 1,
    *,
    fuse_pool: bool = True,
    memory: Memory | None = None,
    density: Density = 1.0,
) -> tuple[LayerSchedule, ...]:
    """Return the schedules of the program's layers; parameters as of :func:`compile_network`."""
    _, schedules = _compile(qgraph, config, batch, fuse_pool, memory or Memory(), None, density)
    return schedules


def _compile(
    qgraph: QGraph,
    config: AcceleratorConfig,
    batch: int,
    fuse_pool: bool,
    memory: Memory,
    progress: Progress | None,
    density: Density,
) -> tuple[Program, tuple[LayerSchedule, ...]]:
    if batch < 1:
        raise SystolithError(f"batch must be at least 1, not {batch}")
    operations = lower(qgraph, config, fuse_pool=fuse_pool)
    check_density(density, {operation.name: operation.kind for operation in operations})
    space = MemoryMap()
    data: list[tuple[int, np.ndarray]] = []
    parts: list[tuple[int, int, int]] = []
    for operation in operations:
        weights = _stored_weights(operation, config)
        params = operation.params.reshape(-1)
        share = density_of(density, operation.name)
        gathering = choose_gathering(operation, config, batch, memory, share)
        if gathering is not None:
            weights, params = pack_gathered(operation, gathering, config)
        weight_address = space.reserve(weights.size, "weights")
        param_address, table_address = space.reserve(params.size, "parameters"), 0
        data += [(weight_address, weights), (param_address, params)]
        if operation.table is not None:
            table_address = space.reserve(operation.table.size, "parameters")
            data.append((table_address, operation.table.view(np.uint8)))
        parts.append((weight_address, param_address, table_address))
    places = _places(qgraph, operations, space, config, batch)
    check_size(space, config, qgraph.name, batch)
    layers = []
    schedules = []
    for number, operation in enumerate(operations):
        if progress is not None:
            progress(operation.name, number, len(operations))
        addresses = Addresses(
            tuple(places[name] for name in operation.inputs),
            places[operation.output],
            *parts[number],
        )
        schedule, instructions, cycles = schedule_layer(
            operation, config, addresses, batch, memory, density_of(density, operation.name)
        )
        schedules.append(replace(schedule, estimate=float(cycles)))
        address = space.reserve(len(instructions) * INSTRUCTION_BYTES, "instructions")
        code = b"".join(instruction.encode() for instruction in instructions)
        data.append((address, np.frombuffer(code, np.uint8)))
        layers.append(_layer_program(operation, config, batch, address, len(instructions), cycles))
    check_size(space, config, qgraph.name, batch)
    program = Program(
        network=qgraph.name,
        config=config,
        batch=batch,
        layers=tuple(layers),
        places=places,
        segments=_merge(data),
        memory_size=space.size,
        input=qgraph.input,
        output=qgraph.output,
        input_shape=qgraph.input_shape or qgraph.tensors[qgraph.input].shape,
        output_shape=qgraph.output_shape or qgraph.tensors[qgraph.output].shape,
        host=_host_steps(qgraph, operations),
    )
    return program, tuple(schedules)


def _stored_weights(operation: Operation, config: AcceleratorConfig) -> np.ndarray:
    """Return weights as the dense path has them in memory, uint8 of one dimension."""
    words = operation.weights.reshape(-1, config.cols)
    return (pack_nibbles(words) if operation.nibbles else words.view(np.uint8)).reshape(-1)


def _places(
    qgraph: QGraph,
    operations: Sequence[Operation],
    space: MemoryMap,
    config: AcceleratorConfig,
    batch: int,
) -> dict[str, Place]:
    """Return where the tensors stand that are read or made, and those in which they stand."""
    arrangement = arranged(qgraph, config)
    inside, grids = arrangement.inside, arrangement.grids
    packed = max(op.pixel_bytes for op in operations)
    hosted = [layer.output for layer in qgraph.layers if isinstance(layer, QHost)]
    names = [qgraph.input, *(op.output for op in operations), *hosted]
    parents = [parent for parent, _ in inside.values()]
    alone = [name for name in (*names, *parents) if name not in inside and name not in grids]
    places: dict[str, Place] = {}

    def place(name: str) -> Place:
        if name not in places:
            tensor = qgraph.tensors[name]
            if name in inside:
                parent, channel = inside[name]
                places[name] = place_inside(tensor, place(parent), channel)
            elif name in grids:
                parent, grid = grids[name]
                places[name] = place_inside(tensor, place(parent), 0, grid)
            else:
                pixel_bytes = packed if name == qgraph.input else 0
                places[name] = place_of(tensor, space, config, batch, pixel_bytes)
        return places[name]

    for name in (*alone, *inside, *grids, qgraph.output):
        place(name)
    return places


def _host_steps(qgraph: QGraph, operations: Sequence[Operation]) -> tuple[HostStep, ...]:
    """Return what the host computes, each part after the operations before it in the network."""
    made = {operation.name for operation in operations}
    steps, before = [], 0
    for layer in qgraph.layers:
        if isinstance(layer, QHost):
            steps.append(HostStep(layer.name, layer.inputs, layer.output, before, layer.part))
        elif layer.name in made:
            before += 1
    return tuple(steps)


def schedule_layer(
    operation: Operation,
    config: AcceleratorConfig,
    addresses: Addresses,
    batch: int,
    memory: Memory,
    density: float = 1.0,
) -> tuple[LayerSchedule, list[Instruction], int]:
    """Return the best schedule found, its instructions and the cycles they are expected to take.

    Raises
    ------
    SystolithError
        As :func:`choose_schedule`, or if a number does not fit its field.
    """
    schedule, _, _ = choose_schedule(operation, config, addresses, batch, memory, density)
    instructions, cycles = emit_layer(operation, schedule, config, addresses, memory)
    return schedule, instructions, cycles


def choose_schedule(
    operation: Operation,
    config: AcceleratorConfig,
    addresses: Addresses,
    batch: int,
    memory: Memory,
    density: float = 1.0,
) -> tuple[LayerSchedule, int, int]:
    """Return the best schedule found, its number of instructions, and its expected cycles.

    A layer gathers its weights if it had better do so. Otherwise the most promising schedules of
    each kind, direct or by Winograd, are simulated; if none of them fits, the next ones.

    Raises
    ------
    ShortageError
        If no schedule fits the buffers, or only some of too many CONVs.
    """
    gathering = choose_gathering(operation, config, batch, memory, density)
    if gathering is not None:
        count = instructions_of(operation, gathering, config)
        return gathering, count, round(gathering.estimate)
    trials = Trials(operation, config, addresses)
    best: tuple[float, LayerSchedule, int, int] | None = None
    rate = memory.rate(config.bus_bytes)
    tried = {False: 0, True: 0}
    least_steps: int | None = None
    for schedule in schedule_candidates(operation, config, batch, memory):
        if best is not None and schedule.estimate > HOPELESS * best[0]:
            break
        if tried[schedule.winograd] >= TRIALS:
            continue
        try:
            cycles, count = trials.cost(schedule, memory)
        except NoRoomError:
            continue
        except TooManyStepsError as error:
            least_steps = min(least_steps or error.steps, error.steps)
            continue
        size = schedule.read_bytes + schedule.write_bytes + count * INSTRUCTION_BYTES
        score = cycles + TRAFFIC_WEIGHT * size / rate
        if best is None or score < best[0]:
            best = (score, schedule, count, cycles)
        tried[schedule.winograd] += 1
    if best is None:
        raise _shortage(operation, config, addresses, batch, memory, least_steps)
    _, schedule, count, cycles = best
    return schedule, count, cycles


def _shortage(
    operation: Operation,
    config: AcceleratorConfig,
    addresses: Addresses,
    batch: int,
    memory: Memory,
    steps: int | None,
) -> ShortageError:
    """Return the error of a layer that has no schedule, or only some of too many CONVs."""

    def runs(other: AcceleratorConfig) -> bool:
        trials = Trials(operation, other, addresses)
        for schedule in schedule_candidates(operation, other, batch, memory):
            try:
                trials.cost(schedule, memory)
            except (NoRoomError, TooManyStepsError):
                continue
            return True
        return False

    problem = (
        f"takes {steps:,} CONVs on this accelerator, the limit is {MOST_STEPS:,}"
        if steps is not None
        else f"no tile of its {operation.channels} channels and "
        f"{operation.extent[0]}x{operation.extent[1]} kernel fits"
    )
    return ShortageError(operation.name, problem, smallest_change(config, runs))


def _layer_program(
    operation: Operation,
    config: AcceleratorConfig,
    batch: int,
    address: int,
    count: int,
    cycles: int,
) -> LayerProgram:
    macs = batch * operation.macs
    products = batch * operation.products(config)
    compulsory = operation.compulsory_bytes(batch)
    return LayerProgram(
        name=operation.name,
        covers=operation.covers,
        kind=operation.kind,
        input=operation.input,
        output=operation.output,
        instruction_address=address,
        instruction_count=count,
        macs=macs,
        products=products,
        compulsory_bytes=compulsory,
        bound_cycles=cycle_bound(products, compulsory, config).cycles,
        predicted_cycles=cycles,
        more_inputs=operation.inputs[1:],
    )


def _merge(data: list[tuple[int, np.ndarray]]) -> tuple[tuple[int, np.ndarray], ...]:
    """Join neighbouring pieces into few segments."""
    segments: list[tuple[int, np.ndarray]] = []
    groups: list[list[tuple[int, np.ndarray]]] = []
    for address, part in sorted(data, key=lambda entry: entry[0]):
        if groups:
            last_address, last = groups[-1][-1]
            if aligned(last_address + last.size) == address:
                groups[-1].append((address, part))
                continue
        groups.append([(address, part)])
    for group in groups:
        start = group[0][0]
        end = group[-1][0] + group[-1][1].size
        segment = np.zeros(end - start, np.uint8)
        for address, part in group:
            segment[address - start : address - start + part.size] = part
        segments.append((start, segment))
    return tuple(segments)
