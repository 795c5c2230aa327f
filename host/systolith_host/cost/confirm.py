"""Layers of a program by the replay and by the RTL, counter by counter."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from systolith_host.cost.replay import replay_program
from systolith_host.program.counters import LayerCounters
from systolith_host.program.instructions import kind_of_convs
from systolith_host.program.program import Program
from systolith_host.runtime.backend import Observer
from systolith_host.runtime.emulator import EmulatorBackend
from systolith_host.runtime.jobs import Job
from systolith_host.runtime.rtl.simulate import simulate
from systolith_hw.spec.memory import Memory

__all__ = ["Case", "compare"]


@dataclass(frozen=True)
class Case:
    """A layer on a configuration and a memory: the prediction and the RTL's counters.

    `kind` is "winograd" if it has such CONVs, "gather" if it gathers its weights, else "direct".
    """

    config: str
    layer: str
    memory: Memory
    model: LayerCounters
    measured: LayerCounters
    kind: str

    @property
    def error(self) -> float:
        """Relative error of the cycles."""
        return self.model.cycles / self.measured.cycles - 1

    @property
    def traffic_equal(self) -> bool:
        """Bytes read and written are the RTL's."""
        return (self.model.bytes_read, self.model.bytes_written) == (
            self.measured.bytes_read,
            self.measured.bytes_written,
        )

    @property
    def exact(self) -> bool:
        """Every counter of every engine is the RTL's."""
        return self.model == self.measured


def compare(program: Program, memory: Memory, images: np.ndarray | None = None) -> list[Case]:
    """Replay and simulate every layer of a program.

    Parameters
    ----------
    images : ndarray, optional
        The input. What is in tensors matters only where layers gather their weights.
    """
    masks = None if images is None else _masks(program, images)
    predicted = replay_program(program, memory, masks)
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "image"
        program.write_image(image, {} if images is None else {program.input: images})
        measured = simulate(program, None, image, memory=memory, watchdog=0)
    return [
        Case(
            program.config.name,
            layer.name,
            memory,
            replayed.counters,
            counters,
            kind_of_convs(program, layer),
        )
        for layer, replayed, counters in zip(program.layers, predicted, measured, strict=True)
    ]


def _masks(program: Program, images: np.ndarray) -> list[list[np.ndarray]]:
    """Return which bytes each layer's scans find active, by the emulator."""
    masks: list[list[np.ndarray]] = []
    job = Job(program.layers, {program.input: images})
    EmulatorBackend().emulate(program, job, Observer(), lambda device: masks.append(device.masks))
    return masks
