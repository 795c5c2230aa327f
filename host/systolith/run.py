"""A run: what the device left behind, as integers and as real numbers, and the report."""

from collections.abc import Mapping

import numpy as np

from systolith.report import Report
from systolith_host.errors import SystolithError
from systolith_host.network.qgraph import QConcat, QGraph, QTensor

__all__ = ["Run"]


class Run:
    """What a run left behind; :meth:`systolith.Compiled.run` makes one.

    Attributes
    ----------
    tensors : dict of str to ndarray of uint8 or int8, shape (N, C, H, W)
        Every tensor that the device has left in memory, by name, and the input. A convolution with
        a fused pool leaves the pool's output alone.
    scales : dict of str to QTensor
        Of each of these: ``scale``, ``zero_point``, ``unsigned`` and ``shape``; the real value of
        an integer q is (q - zero_point) * scale.
    report : Report
    """

    def __init__(
        self,
        qgraph: QGraph,
        tensors: Mapping[str, np.ndarray],
        output_shape: tuple[int, ...],
        report: Report,
    ) -> None:
        self.tensors = dict(tensors)
        for layer in qgraph.layers:  # whose parts were made inside of it
            whole = all(name in self.tensors for name in layer.inputs)
            if isinstance(layer, QConcat) and layer.output not in self.tensors and whole:
                parts = [self.tensors[name] for name in layer.inputs]
                self.tensors[layer.output] = np.concatenate(parts, axis=1)
        self.scales: dict[str, QTensor] = {name: qgraph.tensors[name] for name in self.tensors}
        self.report = report
        self._output = qgraph.output
        self._output_shape = output_shape

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
