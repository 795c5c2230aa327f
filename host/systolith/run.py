"""A run: what the device left behind, as integers and as real numbers, and the report."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from systolith.report import Report
from systolith_host.errors import SystolithError
from systolith_host.flow.labels import Labels
from systolith_host.flow.outputs import Outputs, check_output, real, save_outputs
from systolith_host.program.program import Place, Program

__all__ = ["Guess", "Run"]


class Guess(NamedTuple):
    """A class that a network takes an input for: its index, name (None without) and output."""

    class_index: int
    name: str | None
    value: float


class Run:
    """What a run left behind; :meth:`systolith.Compiled.run` makes one.

    Attributes
    ----------
    tensors : dict of str to ndarray of uint8 or int8, shape (N, C, H, W)
        Every tensor that the device has left in memory, by name, and the input. A convolution with
        a fused pool leaves the pool's output alone.
    scales : dict of str to systolith_host.program.program.Place
        Of each of these: ``scale``, ``zero_point`` and ``unsigned``; the real value of an integer
        q is (q - zero_point) * scale.
    report : Report
    """

    def __init__(
        self,
        program: Program,
        tensors: Mapping[str, np.ndarray],
        report: Report,
        labels: Labels | None = None,
        outputs: Outputs | None = None,
    ) -> None:
        self.tensors = dict(tensors)
        self.scales: dict[str, Place] = {name: program.places[name] for name in self.tensors}
        self.report = report
        self._output = program.output
        self._output_shape = program.output_shape
        self._labels = labels
        name = program.output
        self._outputs = outputs or Outputs((name,), {name: (name, program.output_shape)})

    @property
    def output(self) -> np.ndarray:
        """The network's output, dequantised: ndarray of float32, shape (N, *output_shape).

        Operators at the end that the host computes, as softmax, are not in it, but in
        :attr:`outputs`.

        Raises
        ------
        SystolithError
            If the last layer did not run.
        """
        values = self.real(self._output)
        return values.reshape(len(values), *self._output_shape)

    @property
    def outputs(self) -> dict[str, np.ndarray]:
        """The outputs of the network's file by their names, the host's end included.

        Those that the device leaves in memory are dequantised, float32 of shape (N, ...), channels
        first; those that the host makes of them have the file's types, shapes and orders of axes.
        A program from a file has its first output alone, without the end.

        Raises
        ------
        SystolithError
            If an output's layer did not run, or the host fails.
        """
        return self._outputs.make(self.scales, self.tensors)

    def real(self, name: str) -> np.ndarray:
        """Return a tensor dequantised: ndarray of float32, shape (N, C, H, W).

        Raises
        ------
        SystolithError
            If the run has left no tensor of that name.
        """
        if name not in self.tensors:
            raise SystolithError(
                f"the run has left no tensor {name!r}; there are {', '.join(self.tensors)}"
            )
        return real(self.scales[name], self.tensors[name])

    def top(self, count: int = 5) -> list[list[Guess]]:
        """Return the largest values of the output for each input, best first.

        Names are those of ``labels`` in :func:`systolith.load`.

        Raises
        ------
        SystolithError
            If the last layer did not run.
        """
        found = []
        for values in self.output.reshape(len(self.output), -1):
            best = [int(index) for index in np.argsort(-values, kind="stable")[:count]]
            names = self._labels.chosen(best) if self._labels is not None else {}
            found.append([Guess(index, names.get(index), float(values[index])) for index in best])
        return found

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network's :attr:`outputs`, as ``systolith run --output`` does.

        Parameters
        ----------
        path : path
            .npy for one output; .npz for one or several, by their names in the ONNX file.

        Raises
        ------
        SystolithError
            If the file has another ending or cannot be written, or an output's layer did not run.
        """
        check_output(file := Path(path), len(self._outputs.names))
        save_outputs(file, self.outputs)

    def __repr__(self) -> str:
        cycles = self.report.cycles
        counted = "" if cycles is None else f", {cycles:,} cycles"
        return f"<Run {self.report.network} on {self.report.device}{counted}>"

    def _repr_html_(self) -> str:
        return self.report._repr_html_()
