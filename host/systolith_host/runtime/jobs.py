"""Jobs: layers of a program with the tensors that they need, and their outcomes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from systolith_host.program.counters import LayerCounters
from systolith_host.program.inside import Part
from systolith_host.program.program import LayerProgram

__all__ = ["Job", "Outcome", "Ran", "plan_jobs"]


@dataclass(frozen=True, eq=False)
class Job:
    """Layers that run one after the other on one device.

    Parameters
    ----------
    layers : tuple of LayerProgram
    inputs : dict of str to ndarray
        Tensors that memory must hold before, by name.
    """

    layers: tuple[LayerProgram, ...]
    inputs: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def cost(self) -> int:
        """Predicted cycles."""
        return sum(layer.predicted_cycles for layer in self.layers)


@dataclass(frozen=True, eq=False)
class Ran:
    """A layer that ran, with its counters.

    Parameters
    ----------
    layer : str
    counters : LayerCounters
    """

    layer: str
    counters: LayerCounters


@dataclass(frozen=True, eq=False)
class Outcome(Ran):
    """A layer's result.

    Parameters
    ----------
    layer, counters
        As of :class:`Ran`.
    output : ndarray, shape (N, K, P, Q)
    seconds : float
        Wall time.
    """

    output: np.ndarray
    seconds: float


def plan_jobs(
    layers: Sequence[LayerProgram],
    tensors: Mapping[str, np.ndarray],
    *,
    sequential: bool,
    parts: Mapping[str, tuple[Part, ...]] | None = None,
) -> list[Job]:
    """Return the jobs, longest first: one for each layer, or one for all.

    Parameters
    ----------
    layers : sequence of LayerProgram
        In the network's order.
    tensors : mapping of str to ndarray
        The golden tensors; where all layers run in sequence, the network's input is enough.
    sequential : bool
        Whether each layer takes what its predecessors left in memory. Only tensors that none of
        them makes then come from the golden model.
    parts : mapping of str to tuple of Part, optional
        Of a program: a tensor with parts is made when all of them are.
    """
    if sequential:
        made: set[str] = set()
        inputs = {}
        for layer in layers:
            for name in layer.inputs:
                for given in _given(name, made, parts or {}):
                    inputs[given] = tensors[given]
            made.add(layer.output)
        return [Job(tuple(layers), inputs)]
    jobs = [Job((layer,), {name: tensors[name] for name in layer.inputs}) for layer in layers]
    return sorted(jobs, key=lambda job: job.cost, reverse=True)


def _given(name: str, made: set[str], parts: Mapping[str, tuple[Part, ...]]) -> list[str]:
    """Return what no layer makes of a tensor: itself, or some of those that it consists of."""
    if name in made:
        return []
    if name not in parts:
        return [name]
    return [part.tensor for part in parts[name] if part.tensor not in made]
