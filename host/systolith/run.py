"""A run: what the device left behind, as integers and as real numbers, and the report."""

from collections.abc import Mapping

import numpy as np

from systolith.report import Report
from systolith_host.errors import SystolithError
from systolith_host.program.program import Place, Program

__all__ = ["Run"]


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
    ) -> None:
        self.tensors = dict(tensors)
        parts = program.parts
        for name in parts:  # what was made inside of it
            self._join(name, parts)
        self.scales: dict[str, Place] = {name: program.places[name] for name in self.tensors}
        self.report = report
        self._output = program.output
        self._output_shape = program.output_shape

    def _join(self, name: str, parts: Mapping[str, tuple[str, ...]]) -> bool:
        """Put a tensor together from its parts, if all of them are there; return whether it is."""
        inside = parts.get(name, ())
        if name not in self.tensors and inside and all([self._join(one, parts) for one in inside]):
            self.tensors[name] = np.concatenate([self.tensors[one] for one in inside], axis=1)
        return name in self.tensors

    @property
    def output(self) -> np.ndarray:
        """The network's output, dequantised: ndarray of float32, shape (N, *output_shape).

        Operators at the end that the host would compute, as softmax, are not in it.

        Raises
        ------
        SystolithError
            If the last layer did not run.
        """
        values = self.real(self._output)
        return values.reshape(len(values), *self._output_shape)

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
        tensor = self.scales[name]
        steps = self.tensors[name].astype(np.float64) - tensor.zero_point
        return (steps * tensor.scale).astype(np.float32)

    def __repr__(self) -> str:
        cycles = self.report.cycles
        counted = "" if cycles is None else f", {cycles:,} cycles"
        return f"<Run {self.report.network} on {self.report.device}{counted}>"

    def _repr_html_(self) -> str:
        return self.report._repr_html_()
