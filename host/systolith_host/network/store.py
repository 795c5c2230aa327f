"""An integer network in one file."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from systolith_host.errors import SystolithError
from systolith_host.network.mosaic import Grid
from systolith_host.network.qgraph import (
    QAdd,
    QConcat,
    QConv,
    QGraph,
    QLayer,
    QMaxPool,
    QMosaic,
    QTable,
    QTake,
    QTensor,
)

__all__ = ["load_qgraph", "save_qgraph"]

_FORMAT = "systolith integer network"
_VERSION = 4
_ARRAYS = ("weight", "bias", "multiplier", "shift")
_KINDS = {kind.__name__: kind for kind in (QConv, QMaxPool, QAdd, QConcat, QMosaic, QTake)}


def save_qgraph(qgraph: QGraph, path: Path | str) -> None:
    """Write an integer network to a .safetensors file.

    Raises
    ------
    SystolithError
        If the file cannot be written.
    """
    arrays: dict[str, np.ndarray] = {}
    layers: list[dict[str, Any]] = []
    for layer in qgraph.layers:
        fields: dict[str, Any] = {"type": type(layer).__name__}
        for field in dataclasses.fields(layer):
            value = getattr(layer, field.name)
            if isinstance(layer, QConv) and field.name in _ARRAYS:
                arrays[f"{layer.name}.{field.name}"] = np.ascontiguousarray(value)
            elif isinstance(value, QTable):
                fields[field.name] = dataclasses.asdict(value)
            elif value is not None:
                fields[field.name] = value
        layers.append(fields)
    meta = {
        "version": _VERSION,
        "name": qgraph.name,
        "tensors": [dataclasses.asdict(tensor) for tensor in qgraph.tensors.values()],
        "layers": layers,
        "input": qgraph.input,
        "output": qgraph.output,
        "input_shape": qgraph.input_shape,
        "output_shape": qgraph.output_shape,
        "more": qgraph.more,
    }
    try:
        # One entry: the order in which several are written changes from run to run.
        save_file(arrays, str(path), {_FORMAT: json.dumps(meta)})
    except (OSError, SafetensorError) as error:
        raise SystolithError(f"{path}: cannot be written: {error}") from None


def load_qgraph(path: Path | str) -> QGraph:
    """Read an integer network that :func:`save_qgraph` wrote.

    Raises
    ------
    SystolithError
        If the file cannot be read, or holds something else.
    """
    try:
        with safe_open(str(path), framework="numpy") as file:
            header = file.metadata() or {}
            if _FORMAT not in header:
                raise SystolithError(f"{path}: is not a {_FORMAT}")
            meta = json.loads(header[_FORMAT])
            if meta["version"] != _VERSION:
                raise SystolithError(
                    f"{path}: has version {meta['version']} of the format, not {_VERSION}"
                )
            layers: list[QLayer] = []
            for entry in meta["layers"]:
                fields: dict[str, Any] = {
                    key: tuple(value) if isinstance(value, list) else value
                    for key, value in entry.items()
                }
                if "table" in fields:
                    table = fields["table"]
                    fields["table"] = QTable(**{**table, "values": tuple(table["values"])})
                if "grids" in fields:
                    fields["grids"] = tuple(Grid(*grid) for grid in fields["grids"])
                kind = _KINDS[fields.pop("type")]
                if kind is QConv:
                    for name in _ARRAYS:
                        fields[name] = file.get_tensor(f"{fields['name']}.{name}")
                layers.append(kind(**fields))
        tensors = {
            entry["name"]: QTensor(**{**entry, "shape": tuple(entry["shape"])})
            for entry in meta["tensors"]
        }
        return QGraph(
            meta["name"],
            tensors,
            tuple(layers),
            meta["input"],
            meta["output"],
            tuple(meta["input_shape"]),
            tuple(meta["output_shape"]),
            tuple(meta["more"]),
        )
    except OSError as error:
        raise SystolithError(f"{path}: cannot be read: {error}") from None
    except (SafetensorError, ValueError, TypeError, KeyError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise SystolithError(f"{path}: is damaged: {reason}") from None
