"""The results of a sweep: kept in CSV files as they come, read again to go on, and ranked."""

import csv
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from systolith_host.cost.evaluate import LayerCost
from systolith_host.errors import SystolithError
from systolith_host.explore.experiment import Experiment
from systolith_host.explore.space import AXES, Point

__all__ = ["Result", "Results", "pareto", "point_key", "read_results"]

_RESOURCES = {"LUT": "luts", "FF": "ffs", "DSP": "dsps", "block RAM": "block_rams"}
"""Estimates, by the names of their columns; see systolith_host.fpga.estimate for their errors."""

_POINT = (
    "key",
    *Experiment.columns(),
    "config_fingerprint",
    "memory_rate",
    "memory_latency",
    "memory_turnaround",
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


def point_key(experiment: Experiment, point: Point) -> str:
    """Return what tells a point from every other one, in any sweep."""
    config = None if point.config is None else point.config.fingerprint
    fields = (point.bandwidth, point.latency, point.turnaround, point.reason)
    about = (experiment.network_digest, experiment.batch)
    text = json.dumps([*about, dict(point.values), config, *fields])
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


def read_results(path: Path) -> tuple[Experiment | None, list[Result]]:
    """Read points.csv; a last line that an interruption cut short is left out.

    Returns
    -------
    experiment : Experiment or None
        What made the rows; None if there are none.
    results : list of Result

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is something else, from another version, or rows of several experiments.
    """
    rows = _rows(path, _POINT)
    try:
        made = [Experiment.from_row(row) for row in rows]
        results = [_result(row) for row in rows]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path.name} has a row that is not whole ({error})") from None
    for number, one in enumerate(made):
        if one != made[0]:
            raise ValueError(
                f"{path.name} has rows of several experiments: row {number + 1} differs from "
                f"row 1 by {one.differences(made[0])}; sweep each into a folder of its own"
            )
    return (made[0] if made else None), results


def _rows(path: Path, header: Sequence[str]) -> list[dict[str, str]]:
    rows = csv.DictReader(_whole(path.read_text()).splitlines())
    found = tuple(rows.fieldnames or ())
    if found and found[0] == "key" and "schema" not in found and "schema" in header:
        raise ValueError(
            f"{path.name} is from an older version, whose rows do not say what made them; "
            "sweep again, into another folder"
        )
    if found != tuple(header):
        raise ValueError(f"{path.name} has other columns; give another folder")
    return list(rows)


def _whole(text: str) -> str:
    """Return the lines that no interruption cut short."""
    return text[: text.rfind("\n") + 1]


class Results:
    """The files ``points.csv`` and ``layers.csv`` of a folder, of one experiment.

    Parameters
    ----------
    folder : Path, optional
        Is made if it does not exist; without one, results are kept in memory alone.
    experiment : Experiment
        What the rows are about.

    Raises
    ------
    SystolithError
        If the files cannot be read or written, or are of something else; they stay as they are.
    """

    def __init__(self, folder: Path | None, experiment: Experiment) -> None:
        self.folder = folder
        self.experiment = experiment
        self.done: dict[str, Result] = {}
        if folder is not None:
            self._open(folder)

    def _open(self, folder: Path) -> None:
        experiment = self.experiment
        try:
            folder.mkdir(parents=True, exist_ok=True)
            files = {folder / "points.csv": _POINT, folder / "layers.csv": _LAYER}
            points, layers = files
            if points.exists():
                made, results = read_results(points)
                if made is not None and made != experiment:
                    raise ValueError(
                        f"they are of another experiment: {made.differences(experiment)}; "
                        "give another folder with --out"
                    )
                self.done = {result.key: result for result in results}
            if layers.exists() and _rows(layers, _LAYER) and not points.exists():
                raise ValueError("layers.csv has no points.csv; give another folder with --out")
            for path, header in files.items():
                if path.exists():
                    text = path.read_text()
                    if text != _whole(text):
                        path.write_text(_whole(text))  # that line is done again
                    continue
                with path.open("w", newline="") as file:
                    csv.writer(file, lineterminator="\n").writerow(header)
        except (OSError, ValueError) as error:
            raise SystolithError(f"{folder}: its results cannot be used: {error}") from None

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
        fields = {
            **self.experiment.row,
            "config_fingerprint": f"{point.config.fingerprint:016x}" if point.config else "",
            "memory_rate": point.bandwidth,
            "memory_latency": point.latency,
            "memory_turnaround": point.turnaround,
            **result.__dict__,
            **result.values,
        }
        self._append("points.csv", [[fields.get(name, "") for name in _POINT]])
        self.done[key] = result
        return result

    def _append(self, name: str, rows: Sequence[Sequence[Any]]) -> None:
        if self.folder is None:
            return
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
