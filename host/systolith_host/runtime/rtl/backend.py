"""The RTL under a simulator."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from systolith_host.program.counters import LayerCounters
from systolith_host.program.program import LayerProgram, Program
from systolith_host.runtime.backend import Facts, Observer
from systolith_host.runtime.jobs import Job, Outcome
from systolith_host.runtime.local import LocalBackend
from systolith_host.runtime.rtl.simulate import Progress, simulate

__all__ = ["RtlBackend"]


@dataclass(frozen=True)
class RtlBackend(LocalBackend):
    """The simulated RTL.

    Parameters
    ----------
    simulator : "verilator" or "icarus"
    waves : str, optional
        Layer whose waveforms are written.
    waves_path : Path, optional
        Where to.
    window : (int, int), optional
        First cycle of the waveforms, and the one after the last; see :func:`simulate`.
    writes : Path, optional
        Where a job of one layer records what it writes; see :func:`simulate`.
    others
        As of :class:`LocalBackend`.
    """

    simulator: Literal["verilator", "icarus"] = "verilator"
    waves: str | None = None
    waves_path: Path | None = None
    window: tuple[int, int] | None = None
    writes: Path | None = None

    @property
    def stage(self) -> str:
        """Name of its work, for people."""
        return "simulating"

    @property
    def facts(self) -> Facts:
        """Facts for a report."""
        return Facts(
            f"rtl ({self.simulator})",
            counts_cycles=True,
            measured=True,
            memory=self.memory,
            memory_name="simulated",
        )

    def with_waves(self, layer: str, path: Path) -> "RtlBackend":
        """Return one that writes a layer's waveforms (VCD) to a file."""
        return replace(self, waves=layer, waves_path=path)

    def prepare(self, program: Program, observer: Observer) -> None:
        """Build the simulators that a run needs.

        Raises
        ------
        SystolithError
            If a tool is missing or fails.
        """
        # Amaranth, and only where the RTL is wanted.
        from systolith_sim.rtl.simulator import accelerator_build

        for waves in sorted({layer.name == self.waves for layer in program.layers}):
            accelerator_build(
                program.config,
                self.simulator,
                program.memory_size,
                waves=waves,
                writes=self.writes is not None,
                progress=observer.message,
            )

    def run_job(self, program: Program, job: Job, observer: Observer) -> list[Outcome]:
        """Run a job; see :meth:`LocalBackend.run_job`."""
        started: dict[str, float] = {}
        seconds: dict[str, float] = {}

        def report(event: Progress) -> None:
            if event.stage == "build":
                observer.message(event.text)
                return
            now = time.monotonic()
            started.setdefault(event.layer, now)
            if event.stage == "end":
                seconds[event.layer] = now - started[event.layer]
            observer.at(event.layer, event.cycles)

        with tempfile.TemporaryDirectory(prefix="systolith-memory-") as folder:
            image = Path(folder) / "memory"
            program.write_image(image, job.inputs)
            counters: list[LayerCounters] = []
            for part, with_waves in _split(job.layers, self.waves):
                counters += simulate(
                    program,
                    [layer.name for layer in part],
                    image,
                    simulator=self.simulator,
                    memory=self.memory,
                    progress=report,
                    waves=self.waves_path if with_waves else None,
                    window=self.window if with_waves else None,
                    writes=self.writes,
                )
            memory = np.memmap(image, np.uint8, "r")
            outcomes = []
            for layer, counted in zip(job.layers, counters, strict=True):
                place = program.places[layer.output]
                output = place.unpack(np.array(memory[place.address : place.address + place.size]))
                outcome = Outcome(layer.name, counted, output, seconds.get(layer.name, 0.0))
                observer.done(outcome)
                outcomes.append(outcome)
            del memory
        return outcomes


def _split(
    layers: Sequence[LayerProgram], waves: str | None
) -> list[tuple[Sequence[LayerProgram], bool]]:
    """Cut out the layer whose waveforms are wanted: a simulation writes those of all it runs."""
    index = next((i for i, layer in enumerate(layers) if layer.name == waves), None)
    if index is None:
        return [(layers, False)]
    parts = [(layers[:index], False), (layers[index : index + 1], True)]
    parts.append((layers[index + 1 :], False))
    return [(part, with_waves) for part, with_waves in parts if part]
