"""Opens ONNX files: the graph, and the values of its initialisers."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, external_data_helper, numpy_helper

from systolith_host.errors import SystolithError
from systolith_host.frontend.limits import MOST_EXTERNAL_BYTES, MOST_FILE_BYTES, MOST_NODES
from systolith_host.frontend.opsets import OLDEST, READ, converted, opset_version
from systolith_host.frontend.stored import Maps, read_skeleton
from systolith_host.frontend.structure import check_structure, drop_unused

__all__ = ["OnnxFile", "all_finite", "one_line", "open_onnx"]

_BLOCK = 1 << 20
"""Values that are looked at together."""


@dataclass(frozen=True, eq=False)
class OnnxFile:
    """An ONNX file.

    Parameters
    ----------
    proto : ModelProto
        With operators of opset 13 or newer, without the values of large initialisers, and without
        what no output needs.
    constants : dict of str to ndarray
        The initialisers; large ones are views of the file.
    maps : Maps
        Of the files with those.
    tensors : frozenset of str
        That the file's own nodes make; the conversion from an older opset makes more.
    metadata : dict of str to str
        Whatever its author says of it.
    """

    proto: onnx.ModelProto
    constants: dict[str, np.ndarray]
    maps: Maps
    tensors: frozenset[str]
    metadata: dict[str, str]


def open_onnx(path: Path) -> OnnxFile:
    """Open a file.

    Raises
    ------
    SystolithError
        If it cannot be read, is damaged, or exceeds a limit.
    """
    if not path.is_file():
        raise SystolithError(f"{path}: no such file")
    if path.stat().st_size > MOST_FILE_BYTES:
        raise SystolithError(f"{path}: exceeds 2 GiB; save its weights as external data")
    try:
        proto = read_skeleton(path)
    except (DecodeError, ValueError, OSError) as error:
        raise SystolithError(
            f"{path}: not an ONNX model, or truncated: {one_line(error)}"
        ) from None
    if not proto.graph.node:
        raise SystolithError(f"{path}: not an ONNX model, or one without nodes")
    if len(proto.graph.node) > MOST_NODES:
        raise SystolithError(
            f"{path}: a network must have at most {MOST_NODES:,} nodes, not "
            f"{len(proto.graph.node):,}"
        )
    _check_opset(path, proto)
    _check_external(path, proto.graph)
    check_structure(path, proto.graph)
    drop_unused(proto.graph)
    tensors = {name for node in proto.graph.node for name in node.output}
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    proto = _converted(path, proto)
    maps = Maps(path.parent)
    constants = {tensor.name: _values(path, tensor, maps) for tensor in proto.graph.initializer}
    return OnnxFile(proto, constants, maps, frozenset(tensors), metadata)


def _check_opset(path: Path, proto: onnx.ModelProto) -> None:
    version = opset_version(proto)
    if version is None:
        raise SystolithError(f"{path}: names no version of the ONNX operators (opset)")
    if version < OLDEST:
        raise SystolithError(
            f"{path}: opset must be at least {OLDEST}, not {version}; export it again"
        )
    newest = onnx.defs.onnx_opset_version()
    if version > newest:
        raise SystolithError(f"{path}: opset must be at most {newest}, not {version}")


def _converted(path: Path, proto: onnx.ModelProto) -> onnx.ModelProto:
    try:
        return converted(proto)
    except ValueError as error:
        raise SystolithError(
            f"{path}: opset {opset_version(proto)} cannot be converted to {READ}: {one_line(error)}"
        ) from None


def _check_external(path: Path, graph: onnx.GraphProto) -> None:
    """Refuse external data that would take too much memory: files can be larger than disks."""
    total = 0
    for tensor in graph.initializer:
        if external_data_helper.uses_external_data(tensor):
            entries = {entry.key: entry.value for entry in tensor.external_data}
            try:
                file = path.parent / entries.get("location", "")
                rest = file.stat().st_size - int(entries.get("offset", 0))
                total += min(rest, int(entries.get("length", rest)))
            except (OSError, ValueError):
                continue  # reported when it is read
    if total > MOST_EXTERNAL_BYTES:
        raise SystolithError(
            f"{path}: its external data has {total:,} bytes, the limit is {MOST_EXTERNAL_BYTES:,}"
        )


def _values(path: Path, tensor: TensorProto, maps: Maps) -> np.ndarray:
    values = None
    if external_data_helper.uses_external_data(tensor):
        try:
            values = maps.tensor(tensor)
            if values is None:
                external_data_helper.load_external_data_for_tensor(tensor, str(path.parent))
        except Exception as error:  # missing, outside the folder, too short, or any bad offset
            raise SystolithError(
                f"{path}: external data of {tensor.name!r} cannot be read: {one_line(error)}"
            ) from None
    try:
        values = numpy_helper.to_array(tensor) if values is None else values
    except Exception as error:  # any mixture of type, shape and data
        raise SystolithError(
            f"{path}: tensor {tensor.name!r} is damaged: {one_line(error)}"
        ) from None
    if values.dtype.kind == "f" and not all_finite(values):
        raise SystolithError(f"{path}: tensor {tensor.name!r} has values that are not finite")
    return values


def all_finite(values: np.ndarray) -> bool:
    """Return whether all values are finite, without a copy of them all."""
    flat = values.reshape(-1, order="A")
    blocks = range(0, flat.size, _BLOCK)
    return all(np.isfinite(flat[first : first + _BLOCK]).all() for first in blocks)


def one_line(error: Exception) -> str:
    """Return what an error says, shortened, in one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else f"{text[:157]}..."
