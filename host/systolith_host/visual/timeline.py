"""The engines in a layer, instruction by instruction: by the RTL's events or the model."""

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from systolith_host.cost.replay import replay_layer
from systolith_host.errors import SystolithError
from systolith_host.program.instructions import layer_instructions
from systolith_host.program.program import LayerProgram, Program
from systolith_host.runtime.replay import SAMPLES
from systolith_host.runtime.rtl.simulate import EventFile, Progress, simulate
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import Instruction, Opcode
from systolith_hw.spec.memory import Memory

__all__ = ["Timeline", "modelled_timeline", "recorded_timeline", "sample_interval"]

_WANTED_SAMPLES = 1800
"""Few enough for a page, and enough to see a few instructions at a time; up to twice as many."""

_SHOWN_SAMPLES = 150
"""In a picture; up to twice as many."""

_LETTERS = {"L": Opcode.LOAD, "C": Opcode.CONV, "S": Opcode.STORE}


@dataclass(frozen=True, eq=False)
class Timeline:
    """A layer's instructions with their cycles, and the engines' counters over time.

    Parameters
    ----------
    layer : str
    source : "rtl" or "model"
        Whether it was recorded in the simulated RTL or replayed by the performance model.
    config : AcceleratorConfig
    memory : Memory
    instructions : tuple of Instruction
        In program order.
    times : ndarray of int64, shape (instructions, 4)
        Cycles in which each passed its gate, began, ended and (a STORE) was acknowledged; -1
        where that does not happen. The first cycle is 1.
    interval : int
        Cycles between samples.
    samples : ndarray of int64, shape (samples, len(SAMPLES))
        Counts since the start.
    cycles : int
        Of the layer.
    """

    layer: str
    source: Literal["rtl", "model"]
    config: AcceleratorConfig
    memory: Memory
    instructions: tuple[Instruction, ...]
    times: np.ndarray
    interval: int
    samples: np.ndarray
    cycles: int

    @property
    def origin(self) -> str:
        """Where it comes from, in words."""
        if self.source == "rtl":
            return "events recorded in the simulated RTL"
        return "the performance model's replay of every cycle (no RTL was run for it)"

    @property
    def opcodes(self) -> np.ndarray:
        """The instructions' opcodes, shape (instructions,)."""
        return np.array([int(one.opcode) for one in self.instructions], np.int64)

    def rates(self, column: str, every: int = 1) -> np.ndarray:
        """Return the advance of a counter per cycle, on average of so many intervals each.

        Samples at the end that do not fill the last ones are left out.
        """
        counts = self.samples[every - 1 :: every, SAMPLES.index(column)]
        return np.diff(counts, prepend=0) / (self.interval * every)

    def averaged(self, window: tuple[int, int]) -> int:
        """Return how many intervals make an average where a picture shows a window of cycles.

        In the picture of a long window single intervals would be a thicket.
        """
        shown = (window[1] - window[0]) / self.interval
        return max(1, math.ceil(shown / _SHOWN_SAMPLES)) if shown > 2 * _SHOWN_SAMPLES else 1


def sample_interval(cycles: int) -> int:
    """Return a power of two that cuts so many cycles into some thousand samples."""
    return 1 << max(0, (max(cycles, 1) // _WANTED_SAMPLES).bit_length() - 1)


def modelled_timeline(
    program: Program, layer: LayerProgram, memory: Memory, interval: int | None = None
) -> Timeline:
    """Return a layer's timeline as the performance model replays it."""
    interval = interval or sample_interval(layer.predicted_cycles)
    found = replay_layer(program, layer, memory, interval)
    return Timeline(
        layer=layer.name,
        source="model",
        config=program.config,
        memory=memory,
        instructions=tuple(layer_instructions(program, layer)),
        times=found.times,
        interval=interval,
        samples=found.samples,
        cycles=found.cycles,
    )


def recorded_timeline(
    program: Program,
    layer: LayerProgram,
    memory: Memory,
    interval: int | None = None,
    *,
    simulator: str = "verilator",
    progress: Callable[[Progress], None] | None = None,
) -> Timeline:
    """Return a layer's timeline from the events of the simulated RTL.

    Neither cycles nor bytes depend on values, so the tensors hold zeros.

    Raises
    ------
    SystolithError
        If the simulator cannot be built or fails.
    """
    interval = interval or sample_interval(layer.predicted_cycles)
    with tempfile.TemporaryDirectory(prefix="systolith-events-") as folder:
        image, path = Path(folder) / "memory", Path(folder) / "events"
        program.write_image(image)
        counters = simulate(
            program,
            [layer.name],
            image,
            simulator=simulator,
            memory=memory,
            progress=progress,
            events=EventFile(path, interval),
            watchdog=0,
        )[0]
        text = path.read_text()
    instructions = tuple(layer_instructions(program, layer))
    times, samples, cycles = _read_events(text, instructions, layer.name)
    if cycles != counters.cycles:
        raise SystolithError(
            f"{layer.name}: events were recorded for {cycles} cycles, the accelerator counted "
            f"{counters.cycles}"
        )
    return Timeline(
        layer=layer.name,
        source="rtl",
        config=program.config,
        memory=memory,
        instructions=instructions,
        times=times,
        interval=interval,
        samples=samples,
        cycles=cycles,
    )


def _read_events(
    text: str, instructions: tuple[Instruction, ...], layer: str
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return times, samples and cycles from the record of event_recorder.v."""
    events: dict[str, list[int]] = {f"{letter}{n}": [] for letter in _LETTERS for n in range(4)}
    samples: list[list[int]] = []
    cycles = 0
    for line in text.splitlines():
        kind, *numbers = line.split()
        if kind == "T":
            samples.append([int(number) for number in numbers])
        elif kind == "E":
            cycles = int(numbers[0])
        else:
            events[kind].append(int(numbers[0]))
    opcodes = np.array([int(one.opcode) for one in instructions], np.int64)
    times = np.full((len(opcodes), 4), -1, np.int64)
    for letter, opcode in _LETTERS.items():
        rows = np.nonzero(opcodes == opcode)[0]
        for column in range(4 if opcode == Opcode.STORE else 3):
            found = events[f"{letter}{column}"]
            if len(found) != len(rows):
                raise SystolithError(
                    f"{layer}: {len(found)} events {letter}{column} were recorded, not "
                    f"{len(rows)}: event_recorder.v does not fit this gateware"
                )
            times[rows, column] = found
    return times, np.array(samples, np.int64).reshape(len(samples), len(SAMPLES)), cycles
