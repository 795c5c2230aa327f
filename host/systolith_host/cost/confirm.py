"""Layers of a program by the replay and by the RTL, counter by counter."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from systolith_host.cost.replay import replay_program
from systolith_host.program.counters import LayerCounters
from systolith_host.program.instructions import uses_winograd
from systolith_host.program.program import Program
from systolith_host.runtime.rtl.simulate import simulate
from systolith_hw.spec.memory import Memory

__all__ = ["Case", "compare"]


@dataclass(frozen=True)
class Case:
    """A layer on a configuration and a memory: the prediction and the RTL's counters.

    `winograd` says that it has Winograd CONVs.
    """

    config: str
    layer: str
    memory: Memory
    model: LayerCounters
    measured: LayerCounters
    winograd: bool

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


def compare(program: Program, memory: Memory) -> list[Case]:
    """Replay and simulate every layer of a program; the contents of tensors do not matter."""
    predicted = replay_program(program, memory)
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "image"
        program.write_image(image)
        measured = simulate(program, None, image, memory=memory, watchdog=0)
    return [
        Case(
            program.config.name,
            layer.name,
            memory,
            replayed.counters,
            counters,
            uses_winograd(program, layer),
        )
        for layer, replayed, counters in zip(program.layers, predicted, measured, strict=True)
    ]
