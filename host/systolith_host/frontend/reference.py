"""onnxruntime on an ONNX file: any of its tensors, for some images."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper

from systolith_host.extras import need
from systolith_host.frontend.entry import set_shape
from systolith_host.frontend.layout import Layout
from systolith_host.frontend.row import Row
from systolith_host.frontend.stored import read_skeleton
from systolith_host.frontend.whole import Whole

__all__ = ["HALF", "CannotRunError", "Reference", "Session"]

HALF = TensorProto.FLOAT16
"""Type of a file's input whose numbers have 11 bits."""

_GROUP = 16
"""Tensors that are computed and kept together."""

_INTEGERS = frozenset(("MatMulInteger", "QGemm", "QLinearConv", "QLinearMatMul"))

_MOST_IMAGES = 256
"""Most images that a file may want at once; each is a copy of the one that is compared."""


class CannotRunError(Exception):
    """Why onnxruntime gives no result, in words."""


class Session:
    """A network in onnxruntime, node by node as the file has it.

    It reads large weights where they lie in the file; tensors that are no outputs are made outputs.

    Parameters
    ----------
    path : Path
        The ONNX file.
    shape : tuple of int
        Of its input for one image here: (channels, height, width) or (features,).
    names : sequence of str
        ONNX's names of the tensors that will be wanted.
    layouts : mapping of str to Layout, optional
        Of ONNX's tensors with another order of axes; all come and go in this network's.
    whole : Whole, optional
        What its input's integers stand for, if it takes those.
    row : Row, optional
        Its inputs, where the network has them in a row.

    Raises
    ------
    MissingExtraError
        If onnxruntime is not installed.
    CannotRunError
        If it does not accept the file.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, ...],
        names: Sequence[str],
        layouts: Mapping[str, Layout] | None = None,
        whole: Whole | None = None,
        row: Row | None = None,
    ) -> None:
        need("a comparison with onnxruntime", "judge")
        import onnxruntime  # a moment, and only where something is compared

        self._layouts, self._whole, self._row = layouts or {}, whole, row
        proto = read_skeleton(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 4  # the exception has its messages, too
        # Node by node as the file has it. Only the integer operators need one rewriting: without
        # it, those of x86 without VNNI saturate sums of two products.
        levels = onnxruntime.GraphOptimizationLevel
        integers = any(node.op_type in _INTEGERS for node in proto.graph.node)
        options.graph_optimization_level = (
            levels.ORT_ENABLE_EXTENDED if integers else levels.ORT_DISABLE_ALL
        )
        options.add_session_config_entry("session.x64quantprecision", "1")
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        if not integers:  # no copies of the weights in an order of its own
            options.add_session_config_entry("session.disable_prepacking", "1")
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", str(path.parent.resolve())
        )
        present = {output.name for output in proto.graph.output}
        missing = [name for name in dict.fromkeys(names) if name not in present]
        proto.graph.output.extend(helper.make_empty_tensor_value_info(n) for n in missing)
        given = {entry.name for entry in proto.graph.initializer}
        inputs = {entry.name: entry for entry in proto.graph.input if entry.name not in given}
        value = next(iter(inputs.values()))
        kind = value.type.tensor_type
        self.half = any(entry.type.tensor_type.elem_type == HALF for entry in inputs.values())
        self._input = value.name
        images = 1 if row else kind.shape.dim[0].dim_value or 1  # some files want a fixed number
        if images > _MOST_IMAGES:
            raise CannotRunError(f"it takes {images:,} images at once, above {_MOST_IMAGES}")
        own = (*shape[1:], shape[0]) if value.name in self._layouts else shape
        wanted = {value.name: (images, *own)}
        if row is not None:
            wanted = {entry.name: entry.shape for entry in row.entries}
        for name, sides in wanted.items():
            dims = inputs[name].type.tensor_type.shape.dim
            if [dim.dim_value for dim in dims][1:] == list(sides[1:]):
                continue
            set_shape(inputs[name], sides)  # the user's: the others follow from it
            del proto.graph.value_info[:]
            for output in proto.graph.output:
                output.type.tensor_type.ClearField("shape")
        self.images = images
        self._type = helper.tensor_dtype_to_np_dtype(kind.elem_type)
        try:
            self._session = onnxruntime.InferenceSession(
                proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # protobuf's and onnxruntime's own kinds
            raise CannotRunError(_one_line(error)) from None

    def run(self, names: Sequence[str], x: np.ndarray) -> list[np.ndarray]:
        """Return tensors, shape (N, ...), in this network's order of axes.

        Parameters
        ----------
        names : sequence of str
        x : ndarray of float32, shape (N, channels, height, width) or (N, features)

        Raises
        ------
        CannotRunError
            If onnxruntime fails.
        """
        values = np.moveaxis(x, 1, -1) if self._input in self._layouts else x
        made = []
        for first in range(0, len(values), self.images):
            part = values[first : first + self.images]
            filled = part[np.arange(self.images) % len(part)]
            try:
                results = self._session.run(list(names), self._feed(filled))
            except Exception as error:  # onnxruntime's own kinds
                raise CannotRunError(_one_line(error)) from None
            made.append([self._of_images(np.asarray(result), len(part)) for result in results])
        whole = [
            parts[0] if len(parts) == 1 else np.concatenate(parts)
            for parts in zip(*made, strict=True)
        ]
        return [
            self._layouts[name].into(values) if name in self._layouts else values
            for name, values in zip(names, whole, strict=True)
        ]

    def _feed(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Return the file's own inputs for some images of the network's."""
        if self._row is not None:
            return self._row.feed(x.reshape(1, -1))
        whole = self._whole
        return {self._input: x.astype(self._type) if whole is None else whole.integers(x)}

    def _of_images(self, values: np.ndarray, count: int) -> np.ndarray:
        """Return the values of some images; whole, where they have no side for the images."""
        return values[:count] if values.shape[:1] == (self.images,) else values


class Reference:
    """Tensors of a network as onnxruntime computes them for one image.

    Parameters
    ----------
    path, layouts, whole, row
        As of :class:`Session`.
    x : ndarray of float32, shape (1, channels, height, width) or (1, features)
    names : sequence of str
        ONNX's names of the tensors that will be wanted, in the order of their use.

    Raises
    ------
    MissingExtraError, CannotRunError
        As of :class:`Session`.
    """

    def __init__(
        self,
        path: Path,
        x: np.ndarray,
        names: Sequence[str],
        layouts: Mapping[str, Layout] | None = None,
        whole: Whole | None = None,
        row: Row | None = None,
    ) -> None:
        self._names = list(dict.fromkeys(names))
        self._known: dict[str, np.ndarray] = {}
        self._x = x
        self._session = Session(path, x.shape[1:], self._names, layouts, whole, row)
        self.half, self.images = self._session.half, self._session.images

    def take(self, name: str) -> np.ndarray:
        """Return a tensor, shape (1, ...), for the last time.

        Raises
        ------
        CannotRunError
            If onnxruntime fails.
        """
        if name not in self._known:
            first = self._names.index(name)
            group = self._names[first : first + _GROUP]
            self._known = dict(zip(group, self._session.run(group, self._x), strict=True))
        return self._known.pop(name)


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"...{text[-197:]}"  # the reason stands at its end
