"""The cost of a layer: cycles by cause, traffic, buffers, distance to the bound."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from systolith_host.energy.energy import Energy, energy_of
from systolith_host.energy.table import EnergyTable
from systolith_host.least import cycle_bound
from systolith_host.program.active import Density, input_masks
from systolith_host.program.counters import LayerCounters
from systolith_host.program.instructions import layer_instructions
from systolith_host.program.program import LayerProgram, Program
from systolith_host.runtime.replay import replay_table
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import Instruction
from systolith_hw.spec.memory import Memory
from systolith_sim.replay.accesses import Accesses, count_accesses
from systolith_sim.replay.table import make_table

__all__ = [
    "LayerPerformance",
    "replay_layer",
    "replay_program",
]


@dataclass(frozen=True)
class LayerPerformance:
    """The cost of a layer on an accelerator and a memory.

    Parameters
    ----------
    name : str
    counters : LayerCounters
        The accelerator's own counters, as predicted.
    read_bytes : dict of str to int
        Bytes read, whole bus beats, by content: activations, weights, parameters,
        instructions.
    write_bytes : int
    buffer_words : dict of str to int
        High-water mark of each buffer: activations, weights, parameters, accumulators (a bank).
    macs : int
    bound_cycles : int
        Least cycles that array and memory allow.
    utilisation : float
        Needed multiply-accumulates by multiplier and cycle, up to 4 with Winograd.
    of_bound : float
        `bound_cycles` by the cycles it takes.
    times : ndarray of int64, shape (instructions, 4)
        Cycles in which each instruction passed its gate, began, ended, and (a STORE) was
        acknowledged by the memory; -1 where that does not happen. The first cycle is 1.
    accesses : Accesses
        Of array and memories on the chip.
    samples : ndarray of int64, shape (samples, len(runtime.replay.SAMPLES))
        The counters every so many cycles, if asked for.
    opcodes : ndarray of int64, shape (instructions,)
    """

    name: str
    counters: LayerCounters
    read_bytes: dict[str, int]
    write_bytes: int
    buffer_words: dict[str, int]
    macs: int
    bound_cycles: int
    utilisation: float
    of_bound: float
    times: np.ndarray
    accesses: Accesses
    samples: np.ndarray
    opcodes: np.ndarray

    @property
    def cycles(self) -> int:
        """From start to end."""
        return self.counters.cycles

    def energy(self, config: AcceleratorConfig, table: EnergyTable) -> Energy:
        """Return the energy of the layer on its accelerator, by a table."""
        crossed = self.counters.bytes_read + self.counters.bytes_written
        return energy_of(self.accesses, crossed, config, table)


def replay_layer(
    program: Program,
    layer: LayerProgram,
    memory: Memory | None = None,
    interval: int = 0,
    *,
    density: Density = 1.0,
) -> LayerPerformance:
    """Return the cost of a layer of a program on its own.

    Parameters
    ----------
    interval : int
        Cycles between two samples of the counters, of which at most MOST_SAMPLES are taken.
    density : Density
        Of the inputs of layers that gather their weights.

    Raises
    ------
    SystolithError
        If the memory pauses at random, which only the simulation knows.
    """
    instructions = layer_instructions(program, layer)
    masks = input_masks(program, layer, instructions, density)
    performance, _ = _replay(program, layer, instructions, memory, masks, False, interval)
    return performance


def _replay(
    program: Program,
    layer: LayerProgram,
    instructions: Sequence[Instruction],
    memory: Memory | None,
    masks: Sequence[np.ndarray],
    read_turn: bool,
    interval: int = 0,
) -> tuple[LayerPerformance, bool]:
    config = program.config
    table = make_table(instructions, config, layer.instruction_address, masks)
    done = replay_table(table, config, memory, read_turn, interval)
    counters = done.counters
    rate = memory.bytes_per_cycle if memory else None
    bound = cycle_bound(layer.products, layer.compulsory_bytes, config, rate).cycles
    bus = config.bus_bytes
    performance = LayerPerformance(
        name=layer.name,
        counters=counters,
        read_bytes={name: beats * bus for name, beats in table.read_beats.items()},
        write_bytes=table.write_beats * bus,
        buffer_words=table.buffer_words,
        macs=layer.macs,
        bound_cycles=bound,
        utilisation=layer.macs / (config.multipliers * counters.cycles),
        of_bound=bound / counters.cycles,
        times=done.times,
        accesses=count_accesses(table, config),
        samples=done.samples,
        opcodes=table.rows[:, 0],
    )
    return performance, done.read_turn


def replay_program(
    program: Program,
    memory: Memory | None = None,
    masks: Sequence[Sequence[np.ndarray]] | None = None,
) -> tuple[LayerPerformance, ...]:
    """Return the cost of each layer of a program, one after the other on one memory.

    Parameters
    ----------
    masks : sequence of sequence of ndarray, optional
        For each layer those of its scans, see :func:`systolith_sim.replay.table.make_table`;
        without them no input of a layer that gathers its weights is zero.
    """
    found = []
    turn = False
    for number, layer in enumerate(program.layers):
        instructions = layer_instructions(program, layer)
        active = input_masks(program, layer, instructions) if masks is None else masks[number]
        performance, turn = _replay(program, layer, instructions, memory, active, turn)
        found.append(performance)
    return tuple(found)
