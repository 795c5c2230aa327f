"""The outputs of a run: tensors that the device has left, as real numbers, and files of them."""

import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.flow.load import Loaded
from systolith_host.network.qgraph import QGraph
from systolith_host.network.scales import as_held
from systolith_host.program.inside import put_together
from systolith_host.program.part import HostEnd
from systolith_host.program.program import LayerProgram, Place, Program
from systolith_host.runtime.jobs import Outcome

__all__ = [
    "Outputs",
    "check_layers",
    "check_output",
    "integers",
    "left_tensors",
    "named_outputs",
    "outputs_of",
    "real",
    "save_outputs",
]

FORMS = (".npy", ".npz")
"""Endings of files of outputs: of one, of several by name."""


def real(place: Place, values: np.ndarray) -> np.ndarray:
    """Return a tensor's integers dequantised: ndarray of float32 of the same shape."""
    return ((values.astype(np.float64) - place.zero_point) * place.scale).astype(np.float32)


def integers(place: Place, values: np.ndarray) -> np.ndarray:
    """Return real values as the integers of a tensor, of its shape and type."""
    return as_held(place, values).reshape(place.shape)


def left_tensors(
    program: Program,
    outcomes: Iterable[Outcome],
    others: Mapping[str, np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """Return the tensors that layers and the host have left in memory, by name.

    A tensor that was made in parts is put together where all of them are there.

    Parameters
    ----------
    program : Program
    outcomes : iterable of Outcome
    others : mapping of str to ndarray, optional
        Tensors that are there besides, as the input.

    Returns
    -------
    dict of str to ndarray of uint8 or int8, shape (N, C, H, W)
    """
    layers = {step.name: step.output for step in (*program.layers, *program.host)}
    tensors = dict(others or {})
    tensors |= {layers[outcome.layer]: outcome.output for outcome in outcomes}
    for name, parts in program.parts.items():
        if name not in tensors and all(part.tensor in tensors for part in parts):
            tensors[name] = put_together(parts, tensors)
    return tensors


def named_outputs(loaded: Loaded, qgraph: QGraph) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return tensor and shape for one image of each output, by the name that the file gives it.

    Shapes are (channels, height, width) or (features,). A built-in network's output has the name of
    its tensor.
    """
    graph = loaded.graph
    made = dict(zip(graph.outputs, qgraph.outputs, strict=True))
    names = {qgraph.output: graph.output} if loaded.model is None else loaded.model.outputs
    return {name: (made[tensor], tuple(graph.shapes[tensor])) for name, tensor in names.items()}


@dataclass(frozen=True, eq=False)
class Outputs:
    """The outputs of a network's file, and what makes them.

    Parameters
    ----------
    names : tuple of str
        In the file's order.
    tensors : mapping of str to (str, tuple of int)
        As of :func:`named_outputs`, for the outputs that the device leaves in memory.
    end : HostEnd, optional
        Makes the others, of tensors of the program.
    """

    names: tuple[str, ...]
    tensors: Mapping[str, tuple[str, tuple[int, ...]]]
    end: HostEnd | None = None

    @property
    def needed(self) -> tuple[str, ...]:
        """The tensors of the program that they are made of."""
        direct = [tensor for tensor, _ in self.tensors.values()]
        return tuple(dict.fromkeys([*direct, *(self.end.inputs if self.end else ())]))

    def make(
        self, places: Mapping[str, Place], left: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Return the outputs by name: real numbers, or what the file has at the host's end.

        Parameters
        ----------
        places : mapping of str to Place
            Of the program.
        left : mapping of str to ndarray of uint8 or int8, shape (N, C, H, W)
            Tensors that are in memory.

        Returns
        -------
        dict of str to ndarray, shape (N, ...)

        Raises
        ------
        SystolithError
            If a tensor is missing, or the host fails.
        """
        for tensor in self.needed:
            if tensor not in left:
                raise SystolithError(
                    f"the run has left no tensor {tensor!r}; there are {', '.join(left)}"
                )
        made = {
            name: real(places[tensor], left[tensor]).reshape(-1, *shape)
            for name, (tensor, shape) in self.tensors.items()
        }
        if self.end is not None:
            made |= self.end.run([real(places[name], left[name]) for name in self.end.inputs])
        return {name: made[name] for name in self.names}


def outputs_of(loaded: Loaded, qgraph: QGraph) -> Outputs:
    """Return the outputs of a network, by the tensors of its programs."""
    named, model = named_outputs(loaded, qgraph), loaded.model
    if model is None:
        return Outputs(tuple(named), named)
    end = model.end
    if end is not None:
        made = {qgraph.input: qgraph.input}
        made |= dict(zip(loaded.graph.outputs, qgraph.outputs, strict=True))
        end = replace(end, inputs=tuple(made[name] for name in end.inputs))
    ends = end.outputs if end is not None else ()
    direct = {name: named[name] for name in model.files if name not in ends}
    return Outputs(model.files, direct, end)


def check_output(path: Path, count: int) -> None:
    """Refuse a file that cannot hold a network's outputs, before the work that makes them.

    Parameters
    ----------
    path : Path
    count : int
        Outputs of the network.

    Raises
    ------
    SystolithError
        If its ending is another than .npy or .npz, or .npy and there are several outputs.
    """
    if path.suffix not in FORMS:
        raise SystolithError(f"{path}: a file of outputs must end in .npy, or .npz for several")
    if count > 1 and path.suffix == ".npy":
        raise SystolithError(f"{path}: must end in .npz: the network has {count} outputs")


def check_layers(
    outputs: Iterable[str],
    layers: Sequence[LayerProgram],
    program: Program,
) -> None:
    """Refuse a choice of layers that leaves an output out.

    Parameters
    ----------
    outputs : iterable of str
        Tensors of the program.
    layers : sequence of LayerProgram
        Those that run.

    Raises
    ------
    SystolithError
        If one does.
    """
    made = {program.input, *(layer.output for layer in layers)}

    whole = {
        name for name, parts in program.parts.items() if all(part.tensor in made for part in parts)
    }
    missing = [name for name in outputs if name not in made | whole]
    if missing:
        raise SystolithError(f"--output: {missing[0]} is not made by the --layers that run")


def save_outputs(path: Path, outputs: Mapping[str, np.ndarray]) -> None:
    """Write outputs to a file: the first as .npy, or all by name as .npz.

    Raises
    ------
    SystolithError
        If the file cannot be written.
    """
    try:
        with path.open("wb") as file:
            if path.suffix == ".npy":
                np.save(file, next(iter(outputs.values())))
            else:
                _write_named(file, outputs)
    except OSError as error:
        raise SystolithError(f"{path}: cannot be written: {error.strerror}") from None


def _write_named(file: BinaryIO, outputs: Mapping[str, np.ndarray]) -> None:
    """Write arrays as numpy.savez does, whose parameters some names would be."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, values in outputs.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, values)
