"""The results of a sweep: kept in CSV files as they come, read again to go on, and ranked."""

import csv
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from systolith_host.errors import SystolithError
from systolith_host.explore.evaluate import LayerCost
from systolith_host.explore.network import network_id
from systolith_host.explore.space import AXES, Point

__all__ = ["Result", "Results", "pareto", "point_key"]

_RESOURCES = {"LUT": "luts", "FF": "ffs", "DSP": "dsps", "block RAM": "block_rams"}
"""Estimates, by the names of their columns; see systolith_host.fpga.estimate for their errors."""

_POINT = (
    "key",
    *AXES,
    "reason",
    "cycles",
    "traffic_bytes",
    "bound_cycles",
    "multipliers",
    "memory_bytes",
    *_RESOURCES.values(),
)
_LAYER = (
    "key",
    "layer",
    "cycles",
    "read_bytes",
    "write_bytes",
    "bound_cycles",
    "images",
    "rows",
    "columns",
    "stack",
    "chunk_blocks",
    "resident",
    "weights",
)


@dataclass(frozen=True)
class Result:
    """A point's result.

    Parameters
    ----------
    key : str
        Of :func:`point_key`.
    values : dict of str to float
        The axes.
    reason : str
        Why there is none; "" if there is.
    cycles, traffic_bytes, bound_cycles, multipliers, memory_bytes : int
        0 if there is none.
    luts, ffs, dsps, block_rams : int
        Of an ECP5: DSPs and block RAMs counted, the others estimated.
    """

    key: str
    values: dict[str, float]
    reason: str
    cycles: int = 0
    traffic_bytes: int = 0
    bound_cycles: int = 0
    multipliers: int = 0
    memory_bytes: int = 0
    luts: int = 0
    ffs: int = 0
    dsps: int = 0
    block_rams: int = 0

    @property
    def costs(self) -> tuple[int, ...]:
        """What a better point has less of."""
        return (self.cycles, self.traffic_bytes, self.dsps, self.block_rams)


def point_key(network: str, batch: int, point: Point) -> str:
    """Return what tells a point from every other one, in any sweep."""
    config = None if point.config is None else point.config.fingerprint
    fields = (point.bandwidth, point.latency, point.turnaround, point.reason)
    text = json.dumps([network_id(network), batch, dict(point.values), config, *fields])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def pareto(results: Sequence[Result]) -> list[Result]:
    """Return those than which no other is better in everything, by cycles."""
    front: list[Result] = []
    for result in sorted((r for r in results if not r.reason), key=lambda r: r.costs):
        worse = any(
            all(a <= b for a, b in zip(other.costs, result.costs, strict=True)) for other in front
        )
        if not worse:
            front.append(result)
    return front


class Results:
    """The files ``points.csv`` and ``layers.csv`` of a folder.

    Parameters
    ----------
    folder : Path
        Is made if it does not exist.

    Raises
    ------
    SystolithError
        If the files cannot be read or written, or are of something else.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.done: dict[str, Result] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._open("layers.csv", _LAYER)
            for row in self._open("points.csv", _POINT):
                result = _result(row)
                self.done[result.key] = result
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SystolithError(f"{folder}: its results cannot be used: {error}") from None

    def _open(self, name: str, header: Sequence[str]) -> list[dict[str, str]]:
        path = self.folder / name
        if not path.exists():
            with path.open("w", newline="") as file:
                csv.writer(file, lineterminator="\n").writerow(header)
            return []
        text = path.read_text()
        if not text.endswith("\n"):
            # The line that an interruption cut short is done again.
            text = text[: text.rfind("\n") + 1]
            path.write_text(text)
        rows = csv.DictReader(text.splitlines())
        if tuple(rows.fieldnames or ()) != tuple(header):
            raise ValueError(f"{name} has other columns")
        return list(rows)

    def add(self, key: str, point: Point, layers: Sequence[LayerCost], reason: str) -> Result:
        """Keep the result of a point, its layers first, so that a point that is there is whole."""
        result = Result(key, dict(point.values), reason)
        if not reason:
            result = Result(
                key,
                dict(point.values),
                "",
                cycles=sum(layer.cycles for layer in layers),
                traffic_bytes=sum(layer.read_bytes + layer.write_bytes for layer in layers),
                bound_cycles=sum(layer.bound_cycles for layer in layers),
                multipliers=point.multipliers,
                memory_bytes=point.memory_bytes,
                **{_RESOURCES[name]: count for name, count in point.resources.items()},
            )
            self._append("layers.csv", [_layer_row(key, layer) for layer in layers])
        fields = {**result.__dict__, **result.values}
        self._append("points.csv", [[fields.get(name, "") for name in _POINT]])
        self.done[key] = result
        return result

    def _append(self, name: str, rows: Sequence[Sequence[Any]]) -> None:
        try:
            with (self.folder / name).open("a", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows(rows)
        except OSError as error:
            raise SystolithError(f"{self.folder / name}: cannot be written: {error}") from None


def _layer_row(key: str, layer: LayerCost) -> list[Any]:
    fields = {**layer.schedule.__dict__, **layer.__dict__, "key": key, "layer": layer.name}
    return [fields[name] for name in _LAYER]


def _result(row: dict[str, str]) -> Result:
    numbers = _POINT[_POINT.index("cycles") :]
    return Result(
        row["key"],
        {axis: float(row[axis]) for axis in AXES if row[axis]},
        row["reason"],
        **{name: int(row[name]) for name in numbers},
    )
