"""A part of a network that the host computes in floats, as an ONNX model of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.extras import need

__all__ = ["HostEnd", "HostPart"]


@dataclass(frozen=True, eq=False)
class HostPart:
    """A model that makes one tensor from others, image by image.

    Parameters
    ----------
    model : bytes
        An ONNX model whose inputs and output are float32 tensors of one image, (1, *shape), in this
        network's order of axes.
    operators : tuple of str
        Of its nodes that are the file's own, in their order.
    shapes : tuple of tuple of int
        Of its inputs, for one image.
    """

    model: bytes
    operators: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]

    def run(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """Return the output for every image.

        It is computed by one thread, so that it is the same wherever it is computed.

        Parameters
        ----------
        inputs : sequence of ndarray, shape (N, ...)
            With the values of :attr:`shapes`, in their order.

        Returns
        -------
        ndarray of float32, shape (N, ...)

        Raises
        ------
        MissingExtraError
            If onnxruntime is not installed.
        SystolithError
            If it does not accept the nodes, or fails.
        """
        return np.concatenate([made[0] for made in self.images(inputs)])

    def images(self, inputs: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
        """Return all outputs of each image, as the model has them; otherwise as :meth:`run`."""
        session = self._session()
        names = [entry.name for entry in session.get_inputs()]
        given = [
            np.ascontiguousarray(x, np.float32).reshape(len(x), *shape)
            for x, shape in zip(inputs, self.shapes, strict=True)
        ]
        made = []
        for image in range(len(given[0])):
            feed = {name: x[image : image + 1] for name, x in zip(names, given, strict=True)}
            try:
                made.append(session.run(None, feed))
            except Exception as error:  # onnxruntime's own kinds
                raise self._failed(error) from None
        return made

    def _session(self) -> Any:
        found = self.__dict__.get("_made")
        if found is None:
            need("nodes that run on the host", "judge")
            import onnxruntime  # a moment, and only where the host computes

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            options.log_severity_level = 4  # the exception has its messages, too
            try:
                found = onnxruntime.InferenceSession(
                    self.model, options, providers=["CPUExecutionProvider"]
                )
            except Exception as error:  # protobuf's and onnxruntime's own kinds
                raise self._failed(error) from None
            object.__setattr__(self, "_made", found)  # kept beside the fields, which are frozen
        return found

    def _failed(self, error: Exception) -> SystolithError:
        text = " ".join(str(error).split())
        text = text if len(text) <= 200 else f"...{text[-197:]}"  # the reason stands at its end
        return SystolithError(
            f"onnxruntime cannot run {', '.join(dict.fromkeys(self.operators))} on the host: {text}"
        )

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields alone: a session cannot go to another process."""
        return {name: value for name, value in self.__dict__.items() if name != "_made"}


@dataclass(frozen=True, eq=False)
class HostEnd:
    """The end of a network: what the host makes of the last tensors of the array.

    Parameters
    ----------
    part : HostPart
        With any number of outputs, of any type and shape.
    inputs : tuple of str
        The tensors that it takes, in its order.
    outputs : tuple of str
        The names in the network's file of what it makes, in its order.
    """

    part: HostPart
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def run(self, inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Return the outputs by their names.

        Parameters
        ----------
        inputs : sequence of ndarray, shape (N, ...)
            Real values.

        Returns
        -------
        dict of str to ndarray, shape (N, ...)
            In the file's types and orders of axes. What has no side for the images (as the boxes
            of a non-maximum suppression) is that of the only image.

        Raises
        ------
        SystolithError
            If onnxruntime fails, or images cannot be told apart in an output.
        """
        images = self.part.images(inputs)
        made = {}
        for name, *values in zip(self.outputs, *images, strict=True):
            if len(values) > 1 and any(value.shape[:1] != (1,) for value in values):
                raise SystolithError(
                    f"output {name} has no side for the images: run one image at a time"
                )
            made[name] = values[0] if len(values) == 1 else np.concatenate(values)
        return made
