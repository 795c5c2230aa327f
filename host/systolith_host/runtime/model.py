"""Tensors by the emulator, every counter by the replay: the RTL's report without a simulator."""

import time
from dataclasses import dataclass, replace

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.program.counters import LayerCounters
from systolith_host.program.instructions import layer_instructions
from systolith_host.program.program import Program
from systolith_host.runtime.backend import Facts, Observer
from systolith_host.runtime.emulator import EmulatorBackend
from systolith_host.runtime.jobs import Job, Outcome
from systolith_host.runtime.replay import replay_table
from systolith_sim.replay.table import make_table

__all__ = ["ModelBackend"]


@dataclass(frozen=True)
class ModelBackend(EmulatorBackend):
    """The model.

    Parameters
    ----------
    name : str
        Its name in reports.
    others
        As of :class:`LocalBackend`.
    """

    name: str = "model"

    @property
    def stage(self) -> str:
        """Name of its work, for people."""
        return "modelling"

    @property
    def facts(self) -> Facts:
        """Facts for a report."""
        return Facts(
            self.name,
            counts_cycles=True,
            measured=False,
            memory=self.memory,
            memory_name="simulated",
        )

    def run_job(self, program: Program, job: Job, observer: Observer) -> list[Outcome]:
        """Run a job; see :meth:`LocalBackend.run_job`."""
        masks: list[list[np.ndarray]] = []
        quiet = replace(observer, done=Observer.done)
        outcomes = self.emulate(program, job, quiet, lambda device: masks.append(device.masks))
        found = []
        turn = False
        for layer, outcome, active in zip(job.layers, outcomes, masks, strict=True):
            start = time.monotonic()
            instructions = layer_instructions(program, layer)
            table = make_table(instructions, program.config, layer.instruction_address, active)
            done = replay_table(table, program.config, self.memory, turn)
            turn = done.read_turn
            _check_bytes(layer.name, outcome.counters, done.counters)
            seconds = outcome.seconds + time.monotonic() - start
            outcome = replace(outcome, counters=done.counters, seconds=seconds)
            observer.done(outcome)
            found.append(outcome)
        return found


def _check_bytes(layer: str, emulated: LayerCounters, replayed: LayerCounters) -> None:
    """Compare what both count, each in its own way."""
    told = [(counted.bytes_read, counted.bytes_written) for counted in (emulated, replayed)]
    if told[0] != told[1]:
        raise SystolithError(
            f"{layer}: the emulator moves {told[0]} bytes (read, written), the replay {told[1]}; "
            "this is a fault of Systolith: please report it with the network and configuration"
        )
