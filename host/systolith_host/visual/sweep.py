"""The points of a sweep, read from what `systolith explore` wrote, and their Pareto front."""

import csv
from dataclasses import dataclass
from pathlib import Path

from systolith_host.errors import SystolithError
from systolith_host.explore.results import Result, pareto
from systolith_host.explore.space import AXES

__all__ = ["Sweep", "read_points"]

_NUMBERS = ("cycles", "traffic_bytes", "bound_cycles", "multipliers", "memory_bytes")
_RESOURCES = ("luts", "ffs", "dsps", "block_rams")


@dataclass(frozen=True)
class Sweep:
    """The points of a sweep.

    Parameters
    ----------
    path : Path
    points : tuple of Result
        Those that can be built.
    front : tuple of Result
        Those than which no other is better in everything, by cycles.
    axes : tuple of str
        What was varied.
    failed : int
        Points that cannot be built or run.
    """

    path: Path
    points: tuple[Result, ...]
    front: tuple[Result, ...]
    axes: tuple[str, ...]
    failed: int


def read_points(path: Path) -> Sweep:
    """Read points.csv, or the folder that holds it.

    Raises
    ------
    SystolithError
        If it cannot be read, or holds no point that can be built.
    """
    file = path / "points.csv" if path.is_dir() else path
    try:
        rows = list(csv.DictReader(file.read_text().splitlines()))
        results = [_result(row) for row in rows]
    except OSError as error:
        raise SystolithError(f"--sweep: {file}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise SystolithError(
            f"--sweep: {file}: is not what `systolith explore` writes, points.csv ({error!r})"
        ) from None
    good = tuple(sorted((r for r in results if not r.reason), key=lambda r: r.costs))
    if not good:
        raise SystolithError(f"--sweep: {file}: none of its {len(results)} points can be built")
    axes = tuple(axis for axis in AXES if len({result.values.get(axis) for result in results}) > 1)
    return Sweep(file, good, tuple(pareto(good)), axes, len(results) - len(good))


def _result(row: dict[str, str]) -> Result:
    values = {axis: float(row[axis]) for axis in AXES if row.get(axis)}
    numbers = {name: int(row[name]) for name in (*_NUMBERS, *_RESOURCES)}
    return Result(row["key"], values, row["reason"], **numbers)
