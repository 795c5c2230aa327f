"""The points of a sweep, read from the files of `systolith explore`, and their Pareto front."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from systolith_host.errors import SystolithError
from systolith_host.explore.experiment import Experiment, network_digest
from systolith_host.explore.rank import Front, find_front
from systolith_host.explore.results import Result, read_results
from systolith_host.explore.space import AXES
from systolith_host.visual.subject import Subject

__all__ = ["Sweep", "make_sweep", "read_points"]


@dataclass(frozen=True)
class Sweep:
    """The points of a sweep.

    Parameters
    ----------
    path : Path
    experiment : Experiment
        The experiment of all of them.
    points : tuple of Result
        Those that can be built.
    front : Front
        Those than which no other is better in everything.
    axes : tuple of str
        Varied axes.
    failed : int
        Points that cannot be built or run.
    """

    path: Path
    experiment: Experiment
    points: tuple[Result, ...]
    front: Front
    axes: tuple[str, ...]
    failed: int


def read_points(path: Path, subject: Subject) -> Sweep:
    """Read points.csv, or the folder that holds it.

    Raises
    ------
    SystolithError
        If it cannot be read, is of another network or batch than the page or of several
        experiments, or holds no point that can be built.
    """
    file = path / "points.csv" if path.is_dir() else path
    try:
        experiment, results = read_results(file)
    except OSError as error:
        raise SystolithError(f"--sweep: {file}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise SystolithError(
            f"--sweep: {file}: is not a sweep of one experiment by `systolith explore`: {error}"
        ) from None
    if experiment is None or all(result.reason for result in results):
        raise SystolithError(f"--sweep: {file}: none of its {len(results)} points can be built")
    digest = network_digest(subject.qgraph)
    if experiment.network_digest != digest:
        raise SystolithError(
            f"--sweep: {file} is of {experiment.network} ({experiment.network_digest}), not of "
            f"{subject.name} ({digest}); sweep that network with `systolith explore`"
        )
    if experiment.batch != subject.batch:
        raise SystolithError(
            f"--sweep: {file} is of batch {experiment.batch}, not {subject.batch}; "
            f"give --batch {experiment.batch}"
        )
    return make_sweep(file, experiment, results)


def make_sweep(path: Path, experiment: Experiment, results: Sequence[Result]) -> Sweep:
    """Return a sweep of points, of which at least one can be built.

    Parameters
    ----------
    path : Path
        Where they are saved.
    """
    good = tuple(sorted((r for r in results if not r.reason), key=lambda r: r.costs))
    axes = tuple(axis for axis in AXES if len({result.values.get(axis) for result in results}) > 1)
    return Sweep(path, experiment, good, find_front(good), axes, len(results) - len(good))
