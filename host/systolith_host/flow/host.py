"""The host's parts of a program, in turn with the layers of a device."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from systolith_host.network.host import run_integers
from systolith_host.program.counters import LayerCounters
from systolith_host.program.host import HostStep
from systolith_host.program.inside import put_together
from systolith_host.program.program import LayerProgram, Program
from systolith_host.runtime.backend import Backend, Observer
from systolith_host.runtime.jobs import Outcome, plan_jobs

__all__ = ["HostOutcome", "run_in_turn", "run_step"]


@dataclass(frozen=True, eq=False)
class HostOutcome(Outcome):
    """The result of a part that the host computed; it has no counters."""


class _Tensors(dict[str, np.ndarray]):
    """Tensors by name; one that nothing makes is put together from others."""

    def __init__(self, program: Program, given: Mapping[str, np.ndarray]) -> None:
        super().__init__(given)
        self._parts = program.parts

    def __missing__(self, name: str) -> np.ndarray:
        self[name] = put_together(self._parts[name], self)
        return self[name]


def run_step(program: Program, step: HostStep, tensors: Mapping[str, np.ndarray]) -> HostOutcome:
    """Compute a part of the host, once, from tensors as the memory holds them.

    Parameters
    ----------
    tensors : mapping of str to ndarray of uint8 or int8, shape (N, C, H, W)
        The part's inputs among them.

    Raises
    ------
    SystolithError
        If onnxruntime is not installed, or fails.
    """
    start = time.monotonic()
    sources = [program.places[name] for name in step.inputs]
    target = program.places[step.output]
    inputs = [tensors[name] for name in step.inputs]
    made = run_integers(step.part, inputs, sources, target).reshape(target.shape)
    return HostOutcome(step.name, LayerCounters(0, 0, 0, {}), made, time.monotonic() - start)


def run_in_turn(
    program: Program, tensors: Mapping[str, np.ndarray], backend: Backend, observer: Observer
) -> list[Outcome]:
    """Run a whole program, from its input alone: the host's parts where they stand between layers.

    Parameters
    ----------
    tensors : mapping of str to ndarray, shape (N, C, H, W)
        The network's input among them.
    backend : Backend
        Prepared.

    Returns
    -------
    list of Outcome
        Of the layers and of the host's parts.

    Raises
    ------
    SystolithError
        If the device or the host fails.
    """
    known = _Tensors(program, {program.input: tensors[program.input]})
    outcomes: list[Outcome] = []
    first = 0

    def advance(layers: Sequence[LayerProgram]) -> None:
        jobs = plan_jobs(layers, known, sequential=True, parts=program.parts)
        for outcome, layer in zip(backend.run(program, jobs, observer), layers, strict=True):
            known[layer.output] = outcome.output
            outcomes.append(outcome)

    for step in program.host:
        if step.before > first:
            advance(program.layers[first : step.before])
            first = step.before
        outcomes.append(run_step(program, step, known))
        known[step.output] = outcomes[-1].output
    if first < len(program.layers):
        advance(program.layers[first:])
    return outcomes
