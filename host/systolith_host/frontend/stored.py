"""Large tensors as maps of the files that hold them: no value is read before its use."""

import math
import mmap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, external_data_helper, helper

__all__ = ["LARGE", "Maps", "read_skeleton"]

LARGE = 1 << 16
"""Bytes from which on a tensor's values stay in the file."""

_MOST_FIELDS = 1 << 20
"""Fields of one message: nodes, tensors and names of all networks within limits."""

_GRAPH, _INITIALIZER = 7, 5
"""Numbers of the fields of ModelProto and GraphProto on the way to a tensor."""

_RAW, _PACKED = 9, {4: TensorProto.FLOAT, 10: TensorProto.DOUBLE}
"""Numbers of TensorProto's fields that hold values as they are in memory, and their types."""

_KINDS = frozenset(
    (
        TensorProto.FLOAT,
        TensorProto.FLOAT16,
        TensorProto.DOUBLE,
        TensorProto.INT8,
        TensorProto.UINT8,
        TensorProto.INT32,
        TensorProto.INT64,
    )
)
"""Types whose values stand in a file as NumPy has them."""


def read_skeleton(path: Path) -> onnx.ModelProto:
    """Return a model without the values of its large initialisers.

    Those become external data that lies in the model's own file.

    Raises
    ------
    DecodeError, ValueError, OSError
        If the file is no ONNX model, or truncated.
    """
    if path.stat().st_size < 4 * LARGE:
        return onnx.load_model(str(path), load_external_data=False)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        rest = []
        for number, start, first, end in _fields(data, 0, len(data)):
            if number == _GRAPH:
                graph = _small_graph(data, first, end, path.name)
                rest.append(onnx.ModelProto(graph=graph).SerializeToString())
            else:
                rest.append(data[start:end])
    return onnx.ModelProto.FromString(b"".join(rest))


def _small_graph(data: mmap.mmap, first: int, end: int, name: str) -> onnx.GraphProto:
    rest, tensors = [], []
    for number, start, inner, stop in _fields(data, first, end):
        if number == _INITIALIZER and stop - inner >= LARGE:
            tensors.append(_small_tensor(data, inner, stop, name))
        else:
            rest.append(data[start:stop])
    graph = onnx.GraphProto.FromString(b"".join(rest))
    graph.initializer.extend(tensors)
    return graph


def _small_tensor(data: mmap.mmap, first: int, end: int, name: str) -> TensorProto:
    """Return a tensor whose values are external data, if they stand in one piece."""
    rest, pieces = [], []
    for number, start, inner, stop in _fields(data, first, end):
        if stop - inner >= LARGE and (number == _RAW or number in _PACKED):
            pieces.append((number, inner, stop - inner))
        else:
            rest.append(data[start:stop])
    tensor = TensorProto.FromString(b"".join(rest))
    ((number, offset, length), *more) = pieces or [(0, 0, 0)]
    fits = tensor.data_type in _KINDS if number == _RAW else tensor.data_type == _PACKED.get(number)
    if more or not fits or tensor.ByteSize() > LARGE:
        return TensorProto.FromString(data[first:end])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", name), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def _fields(data: mmap.mmap, first: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield a protobuf message's fields: number, start, start of the content, end."""
    place = first
    for _ in range(_MOST_FIELDS):
        if place == end:
            return
        start = place
        key, place = _varint(data, place, end)
        kind = key & 7
        content = place
        if kind == 0:
            _, place = _varint(data, place, end)
        elif kind == 2:
            length, content = _varint(data, place, end)
            place = content + length
        elif kind in (1, 5):
            place += 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field of kind {kind}, which ONNX does not have")
        if place > end:
            raise ValueError("it ends within a field")
        yield key >> 3, start, content, place
    raise ValueError(f"more than {_MOST_FIELDS:,} fields in one message")


def _varint(data: mmap.mmap, place: int, end: int) -> tuple[int, int]:
    """Return a number of 7 bits in each byte, and the place behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= end:
            break
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("it ends within a number, or the number is too long")


class Maps:
    """Files that hold tensors, mapped into memory.

    Parameters
    ----------
    folder : Path
        Where the model lies; no tensor lies outside of it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._maps: dict[Path, mmap.mmap] = {}

    def tensor(self, tensor: TensorProto) -> np.ndarray | None:
        """Return the values of external data as a view of its file; None if it is too small.

        Parameters
        ----------
        tensor : TensorProto
            With external data.

        Raises
        ------
        OSError, ValueError
            If the file is missing or outside of the folder, or the values do not fit into it.
        """
        info = external_data_helper.ExternalDataInfo(tensor)
        if tensor.data_type not in _KINDS or "\0" in info.location:
            return None
        path = (self._folder / info.location).resolve()
        if self._folder.resolve() not in path.parents:
            raise ValueError(f"{info.location} lies outside of the model's folder")
        if path.stat().st_size < LARGE:
            return None
        data = self._maps.get(path)
        if data is None:
            with path.open("rb") as file:
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._maps[path] = data
        offset = info.offset or 0
        length = len(data) - offset if info.length is None else info.length
        if length < LARGE:
            return None
        if offset + length > len(data):
            raise ValueError(f"{info.location} is too short")
        dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type).newbyteorder("<")
        shape = tuple(tensor.dims)
        if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != length:
            raise ValueError(f"{length} bytes do not make {dtype.name} of shape {shape}")
        return np.frombuffer(data, dtype, math.prod(shape), offset).reshape(shape)

    def forget(self) -> None:
        """Give back the memory of what has been read so far; the values stay as they are."""
        if hasattr(mmap, "MADV_DONTNEED"):
            for data in self._maps.values():
                data.madvise(mmap.MADV_DONTNEED)
