"""The results of a sweep: kept in CSV files as they come, and read again to go on."""

import csv
import fcntl
import hashlib
import json
import os
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from systolith_host.cost.evaluate import LayerCost
from systolith_host.errors import SystolithError
from systolith_host.explore.experiment import Experiment
from systolith_host.explore.space import AXES, Point

__all__ = ["Result", "Results", "point_key", "read_results"]

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
    "estimated_cycles",
    "estimated_bytes",
    "cycles",
    "traffic_bytes",
    "energy_pj",
    "bound_cycles",
    "multipliers",
    "memory_bytes",
    *_RESOURCES.values(),
)
_LAYER = (
    "key",
    "layer",
    "estimated_cycles",
    "estimated_read_bytes",
    "estimated_write_bytes",
    "cycles",
    "read_bytes",
    "write_bytes",
    "energy_pj",
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
    estimated_cycles, estimated_bytes : int
        By the compiler; 0 if there is none.
    cycles, traffic_bytes : int, optional
        By the replay, equal to what the RTL counts; None if the point was not replayed.
    energy_pj : int, optional
        By the accesses that the replay counts.
    bound_cycles, multipliers, memory_bytes : int
        0 if there is none.
    luts, ffs, dsps, block_rams : int
        Of an ECP5: DSPs and block RAMs counted, the others estimated.
    """

    key: str
    values: dict[str, float]
    reason: str
    estimated_cycles: int = 0
    estimated_bytes: int = 0
    cycles: int | None = None
    traffic_bytes: int | None = None
    energy_pj: int | None = None
    bound_cycles: int = 0
    multipliers: int = 0
    memory_bytes: int = 0
    luts: int = 0
    ffs: int = 0
    dsps: int = 0
    block_rams: int = 0

    @property
    def exact(self) -> bool:
        """Whether it was replayed."""
        return self.cycles is not None

    @property
    def known_cycles(self) -> int:
        """Exact ones where there are any, estimated ones otherwise."""
        return self.estimated_cycles if self.cycles is None else self.cycles

    @property
    def known_bytes(self) -> int:
        """Exact ones where there are any, estimated ones otherwise."""
        return self.estimated_bytes if self.traffic_bytes is None else self.traffic_bytes

    @property
    def energy_delay(self) -> int | None:
        """Energy times cycles, in pJ cycles; None if the point was not replayed."""
        return None if self.energy_pj is None else self.energy_pj * self.known_cycles

    @property
    def costs(self) -> tuple[int, ...]:
        """The values of which a better point has less, exact where known."""
        return (self.known_cycles, self.known_bytes, self.dsps, self.block_rams)

    @property
    def estimates(self) -> tuple[int, ...]:
        """The values of which a better point has less, by estimates alone."""
        return (self.estimated_cycles, self.estimated_bytes, self.dsps, self.block_rams)


def point_key(experiment: Experiment, point: Point) -> str:
    """Return a key that differs for every other point, in any sweep."""
    config = None if point.config is None else point.config.fingerprint
    fields = (point.bandwidth, point.latency, point.turnaround, point.reason)
    about = (experiment.network_digest, experiment.batch)
    values = {axis: float(point.values[axis]) for axis in AXES if axis in point.values}
    text = json.dumps([*about, values, config, *fields])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_results(path: Path) -> tuple[Experiment | None, list[Result]]:
    """Read points.csv; a last line that an interruption cut short is left out.

    Of several rows of a point the last one counts: a replay writes the point's row again.

    Returns
    -------
    experiment : Experiment or None
        That of the rows; None if there are none.
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
        raise ValueError(f"{path.name} has an incomplete row ({error})") from None
    for number, one in enumerate(made):
        if one != made[0]:
            raise ValueError(
                f"{path.name} has rows of several experiments: row {number + 1} differs from "
                f"row 1 by {one.differences(made[0])}; sweep each into a folder of its own"
            )
    last = {result.key: result for result in results}
    return (made[0] if made else None), list(last.values())


def _rows(path: Path, header: Sequence[str]) -> list[dict[str, str]]:
    rows = csv.DictReader(_whole(path.read_text("utf-8")).splitlines())
    found = tuple(rows.fieldnames or ())
    if found and found[0] == "key" and "schema" not in found and "schema" in header:
        raise ValueError(
            f"{path.name} is from an older version, whose rows do not say what made them; "
            "sweep again, into another folder"
        )
    if found != tuple(header) and found and found[0] == "key":
        raise ValueError(
            f"{path.name} is from another version, whose columns are others; "
            "sweep again, into another folder"
        )
    if found != tuple(header):
        raise ValueError(f"{path.name} has other columns; give another folder")
    return list(rows)


def _whole(text: str) -> str:
    """Return the lines that no interruption cut short."""
    return text[: text.rfind("\n") + 1]


def _lock(folder: Path) -> int | None:
    """Return an open folder that nobody else can lock; None where file systems have no locks.

    Raises
    ------
    BlockingIOError
        If somebody else has locked it.
    """
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(opened)
        if isinstance(error, BlockingIOError):
            raise
        return None
    return opened


class Results:
    """The files ``points.csv`` and ``layers.csv`` of a folder, of one experiment.

    The folder is locked until :meth:`close`: two sweeps would spoil each other's files.

    Parameters
    ----------
    folder : Path, optional
        Is made if it does not exist; without one, results are kept in memory alone.
    experiment : Experiment
        That of the rows.

    Raises
    ------
    SystolithError
        If the files cannot be read or written, are of something else, or another sweep writes
        them; they stay as they are.
    """

    def __init__(self, folder: Path | None, experiment: Experiment) -> None:
        self.folder = folder
        self.experiment = experiment
        self.done: dict[str, Result] = {}
        self._again = False
        self.close: Callable[[], object] = lambda: None
        """Unlock the folder; once more does nothing."""
        if folder is not None:
            self._open(folder)

    def _open(self, folder: Path) -> None:
        experiment = self.experiment
        try:
            folder.mkdir(parents=True, exist_ok=True)
            locked = _lock(folder)
            if locked is not None:
                self.close = weakref.finalize(self, os.close, locked)
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
                    text = path.read_text("utf-8")
                    if text != _whole(text):
                        path.write_text(_whole(text), "utf-8")  # that line is done again
                    self._again |= path == points and text.count("\n") > len(self.done) + 1
                    continue
                with path.open("w", encoding="utf-8", newline="") as file:
                    csv.writer(file, lineterminator="\n").writerow(header)
        except BlockingIOError:
            raise SystolithError(
                f"{folder}: another sweep writes its results there; wait for its end, or give "
                "another folder with --out"
            ) from None
        except (OSError, ValueError) as error:
            self.close()
            raise SystolithError(f"{folder}: its results cannot be used: {error}") from None

    def add(self, key: str, point: Point, layers: Sequence[LayerCost], reason: str) -> Result:
        """Keep the result of a point, its layers first, so that a point that is there is whole.

        A point may be added again, replayed; :meth:`tidy` removes its former rows.
        """
        result = Result(key, dict(point.values), reason)
        if not reason:
            result = Result(
                key,
                dict(point.values),
                "",
                estimated_cycles=sum(layer.estimated_cycles for layer in layers),
                estimated_bytes=sum(
                    layer.estimated_read_bytes + layer.estimated_write_bytes for layer in layers
                ),
                cycles=_sum(layer.cycles for layer in layers),
                traffic_bytes=_sum(
                    count for layer in layers for count in (layer.read_bytes, layer.write_bytes)
                ),
                energy_pj=_sum(layer.energy_pj for layer in layers),
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
        self._append("points.csv", [[_cell(fields.get(name)) for name in _POINT]])
        self._again |= key in self.done
        self.done[key] = result
        return result

    def tidy(self) -> None:
        """Remove the rows of points that were added again, and layers without a point."""
        if not self._again or self.folder is None:
            return
        for name, identity in (("points.csv", _POINT[:1]), ("layers.csv", _LAYER[:2])):
            path = self.folder / name
            try:
                with path.open(encoding="utf-8", newline="") as file:
                    header, *rows = csv.reader(file)
                width = len(identity)
                last = {tuple(row[:width]): row for row in rows if self._holds(name, row[0])}
                new = path.with_suffix(".new")
                with new.open("w", encoding="utf-8", newline="") as file:
                    csv.writer(file, lineterminator="\n").writerows([header, *last.values()])
                os.replace(new, path)
            except OSError as error:
                raise SystolithError(f"{path}: cannot be written: {error}") from None
        self._again = False

    def _holds(self, name: str, key: str) -> bool:
        return key in self.done and (name == "points.csv" or not self.done[key].reason)

    def _append(self, name: str, rows: Sequence[Sequence[Any]]) -> None:
        if self.folder is None:
            return
        try:
            with (self.folder / name).open("a", encoding="utf-8", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows(rows)
        except OSError as error:
            raise SystolithError(f"{self.folder / name}: cannot be written: {error}") from None


def _layer_row(key: str, layer: LayerCost) -> list[Any]:
    fields = {**layer.schedule.__dict__, **layer.__dict__, "key": key, "layer": layer.name}
    return [_cell(fields[name]) for name in _LAYER]


def _cell(value: Any) -> Any:
    return "" if value is None else value


def _sum(counts: Iterable[int | None]) -> int | None:
    """Return the sum of counts, None if one of them is unknown."""
    known = list(counts)
    return None if None in known else sum(count for count in known if count is not None)


def _result(row: dict[str, str]) -> Result:
    numbers = _POINT[_POINT.index("estimated_cycles") :]
    return Result(
        row["key"],
        {axis: float(row[axis]) for axis in AXES if row[axis]},
        row["reason"],
        **{name: int(row[name]) for name in numbers if row[name]},
    )
