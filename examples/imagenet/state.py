"""Reads PyTorch's older state files (before 1.6), without PyTorch and without running code."""

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

__all__ = ["read_state"]

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001

_TYPES = {"FloatStorage": np.float32, "LongStorage": np.int64}
"""Kinds of storage, by their name in the module torch; others are refused."""


def read_state(path: Path) -> dict[str, np.ndarray]:
    """Return a state dict's tensors by name, as arrays.

    The file has five pickles (magic number, version, system, names and shapes, keys of the
    storages), then each storage: its number of elements, 8 bytes, and the elements. Pickles can
    call anything, so the reader knows four names and refuses all others.

    Raises
    ------
    ValueError
        If the file has another form, or its pickle asks for something else.
    """
    with path.open("rb") as file:
        if _load(file) != _MAGIC or _load(file) != _PROTOCOL:
            raise ValueError(f"{path}: is no state dict of PyTorch before 1.6")
        if not _load(file)["little_endian"]:
            raise ValueError(f"{path}: has its bytes in the other order")
        state = _load(file)
        sizes = {tensor.key: tensor.type.itemsize for tensor in state.values()}
        storages = {}
        for key in _load(file):
            storages[key] = int.from_bytes(file.read(8), "little"), file.tell()
            file.seek(storages[key][0] * sizes[key], 1)
        return {name: tensor.read(file, *storages[tensor.key]) for name, tensor in state.items()}


class _Tensor:
    """Where a tensor lies in its storage."""

    def __init__(
        self,
        storage: tuple[np.dtype, str],
        offset: int,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        *_: object,
    ) -> None:
        self.type, self.key = storage
        self.offset, self.shape, self.strides = offset, shape, strides

    def read(self, file: BinaryIO, count: int, start: int) -> np.ndarray:
        """Return the values from a storage of `count` elements that begins at `start`."""
        last = self.offset + sum(
            (size - 1) * step for size, step in zip(self.shape, self.strides, strict=True)
        )
        if not 0 <= self.offset <= last < count or min(self.strides, default=0) < 0:
            raise ValueError("a tensor lies outside of its storage")
        file.seek(start)
        values = np.frombuffer(file.read(count * self.type.itemsize), self.type)
        if len(values) != count:
            raise ValueError("the file ends inside a tensor")
        strides = tuple(step * self.type.itemsize for step in self.strides)
        view = np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, strides)
        return np.ascontiguousarray(view)


class _Storage(str):
    """Name of a kind of storage."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Tensor
        if module == "torch" and name in _TYPES:
            return _Storage(name)
        raise ValueError(f"the pickle asks for {module}.{name}, which no state dict needs")

    def persistent_load(self, pid: tuple) -> tuple[np.dtype, str]:
        _, kind, key, *_ = pid
        return np.dtype(_TYPES[kind]), key


def _load(file: BinaryIO) -> Any:
    return _Unpickler(file).load()
