"""Sweeps over arrays, buffers and memories: what each does to cycles, traffic and resources."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from systolith.accelerator import Accelerator, part_of
from systolith.arguments import MOST_BATCH, MOST_WORKERS, whole_of
from systolith.network import Network, load
from systolith.notebook import data_frame, table
from systolith.progress import Progress, log_of
from systolith_host.errors import SystolithError
from systolith_host.extras import need
from systolith_hw.spec.config import AcceleratorConfig

if TYPE_CHECKING:
    from distributed import Client

    from systolith_host.explore.results import Result

__all__ = ["Sweep", "explore"]

MOST_POINTS = 1_000_000
"""Points that are not run at all; a sample of them may be."""


class Sweep:
    """The results of a sweep, a row for each point; :func:`explore` makes one.

    Attributes
    ----------
    results : tuple of systolith_host.explore.results.Result
        ``values`` of the axes, ``estimated_cycles``, ``estimated_bytes``, the exact ``cycles`` and
        ``traffic_bytes`` (None where they were not replayed), ``bound_cycles``, ``multipliers``,
        ``memory_bytes``, ``luts``, ``ffs``, ``dsps``, ``block_rams``; or the ``reason`` why there
        are none.
    network : str
    """

    def __init__(self, network: str, results: "Sequence[Result]") -> None:
        self.network = network
        self.results = tuple(results)

    @property
    def front(self) -> "Sweep":
        """The points than which no other is better in everything, by cycles.

        Exact numbers decide where the whole front by estimates has them, estimates otherwise.
        """
        from systolith_host.explore.rank import find_front

        return Sweep(self.network, find_front(self.results).results)

    @property
    def best(self) -> "Result | None":
        """The result with the fewest cycles, as far as known; None if no point can be built."""
        return min(
            (one for one in self.results if not one.reason), default=None, key=lambda one: one.costs
        )

    def rows(self) -> list[dict[str, Any]]:
        """Return a flat row for each point."""
        rows = []
        for result in self.results:
            fields = {n: v for n, v in vars(result).items() if n not in ("key", "values", "reason")}
            if result.reason:
                fields = dict.fromkeys(fields)
            axes = {name: _number(value) for name, value in result.values.items()}
            rows.append({**axes, **fields, "reason": result.reason})
        return rows

    def to_pandas(self) -> Any:
        """Return :meth:`rows` as a pandas DataFrame.

        Raises
        ------
        SystolithError
            If pandas is not installed.
        """
        return data_frame(self.rows())

    def __len__(self) -> int:
        return len(self.results)

    def __iter__(self) -> "Iterator[Result]":
        return iter(self.results)

    def __repr__(self) -> str:
        good = sum(not one.reason for one in self.results)
        return f"<Sweep of {self.network}: {len(self):,} points, {good:,} of them can be built>"

    def _repr_html_(self) -> str:
        return table(self.rows(), f"{self.network}: {len(self):,} points")


def _number(value: float) -> float | int:
    return int(value) if value == int(value) else value


def explore(
    network: Network | str | os.PathLike[str],
    *,
    base: Accelerator | AcceleratorConfig | str | os.PathLike[str] = "default",
    batch: int = 1,
    sample: int | None = None,
    search: int | None = None,
    seed: int = 0,
    max_multipliers: int | None = None,
    max_memory: int | None = None,
    fits: str | None = None,
    exact: int | None = None,
    out: str | os.PathLike[str] | None = None,
    workers: "int | str | Client" = 1,
    progress: Progress = None,
    **axes: Any,
) -> Sweep:
    """Sweep accelerators and memories; every point is compiled, nothing is calibrated.

    Parameters
    ----------
    network : Network, str or path
        Or a built-in network's name, or an ONNX file.
    base : Accelerator, str or path
        What is not varied; fields that depend on the array are adjusted to it.
    batch : int
        Images of a run, 1 to 256.
    sample : int, optional
        Only so many points, chosen at random.
    search : int, optional
        Look for the Pareto front instead, running at most so many points.
    seed : int
        Of the sample or search, at least 0.
    max_multipliers, max_memory : int, optional
        Leave out points with more multipliers, or more bytes of buffers.
    fits : str, optional
        Leave out points that do not fit an FPGA, as :meth:`Accelerator.resources` names it.
    exact : int, optional
        Points whose every cycle is replayed, those of the Pareto front first; 0 leaves estimates
        only. All points where that takes less than a minute, else 10, if None.
    out : path, optional
        Folder of the results, points.csv and layers.csv; the same sweep goes on there. Without it
        they are kept in memory alone.
    workers : int, str or distributed.Client
        Processes on this machine, 1 to 256; the address of a dask scheduler; or a client of one.
    progress : callable or bool, optional
        See :mod:`systolith.progress`.
    **axes : sequence of numbers, a number, or str
        ``rows``, ``cols`` of the array; ``bandwidth`` of the memory in bytes per cycle,
        ``latency`` and ``turnaround`` in cycles; ``act_buffer`` and ``weight_buffer`` in bytes;
        ``acc_depth`` in pixels; ``winograd`` in patches; ``gather`` in inputs; ``post_lanes``,
        ``bus_bytes``, ``outstanding`` bursts; ``density`` of active inputs, 0 to 1; ``weight_bits``
        of fully connected layers, 4 or 8. A text is as on the command line: "32K..512K",
        "4..16 step 4".

    Returns
    -------
    Sweep

    Raises
    ------
    SystolithError
        If there is no such axis, none is given, or one has no values; if no point can be built or
        run; if the network cannot be used.
    """
    need("explore", "explore")
    from systolith_host.explore.experiment import Experiment
    from systolith_host.explore.results import Result, Results
    from systolith_host.explore.search import search_front
    from systolith_host.explore.space import AXES, Space, parse_values
    from systolith_host.explore.sweep import Runner, replay_best

    if not isinstance(network, Network):
        network = load(network)
    unknown = sorted(set(axes) - set(AXES))
    if unknown:
        raise SystolithError(f"axis must be one of {', '.join(AXES)}, not {unknown[0]!r}")
    values = {name: parse_values(name, _text(name, given)) for name, given in axes.items()}
    if not values:
        raise SystolithError("nothing to vary: give an axis, as bandwidth=[2, 4, 8, 16]")
    if sample is not None and search is not None:
        raise SystolithError("sample and search exclude each other: give one of them")
    for name, limit in (("max_multipliers", max_multipliers), ("max_memory", max_memory)):
        if limit is not None:
            whole_of(name, limit, 1, 1 << 40)
    if exact is not None:
        whole_of("exact", exact, 0, MOST_POINTS)
    part = part_of(fits) if fits is not None else None
    space = Space(Accelerator.of(base).config, values, max_multipliers, max_memory, part)
    batch, seed = whole_of("batch", batch, 1, MOST_BATCH), whole_of("seed", seed, 0, (1 << 63) - 1)
    wanted = sample if sample is not None else search
    name = "sample" if sample is not None else "search"
    count = space.size if wanted is None else min(whole_of(name, wanted, 1, 1 << 40), space.size)
    if count > MOST_POINTS:
        raise SystolithError(f"{count:,} points, more than {MOST_POINTS:,}: give a sample")
    scheduler, processes = _where(workers)
    made = Experiment.of(network.source, space.base, list(values), batch)
    results = Results(None if out is None else Path(out), made)
    points = [] if search is not None else list(space.points(sample, seed))
    with (
        log_of(progress) as log,
        Runner(results, workers=min(processes, count), scheduler=scheduler) as runner,
    ):
        log.stage("exploring")
        ended = 0

        def done(result: Result) -> None:
            nonlocal ended
            ended += 1
            log.update("", min(ended, count), count)

        if search is not None:
            found = search_front(space, lambda some: runner.run(some, done), search, seed=seed)
        else:
            found = runner.run(points, done)
        log.stage("replaying")
        found = replay_best(runner, space, found, exact, processes, log.update)
    if all(result.reason for result in found):
        raise SystolithError(
            f"none of the {len(found):,} points can be built or run; the first: {found[0].reason}"
        )
    return Sweep(network.name, found)


def _text(axis: str, given: Any) -> str:
    """Return an axis' values as the command line writes them."""
    if isinstance(given, str):
        return given
    try:
        numbers = np.asarray(given, np.float64).reshape(-1)
    except (TypeError, ValueError):
        raise SystolithError(f"{axis} must be numbers or a text, not {given!r}") from None
    return ",".join(np.format_float_positional(number, trim="-") for number in numbers)


def _where(workers: Any) -> tuple[Any, int]:
    """Return scheduler and number of processes."""
    if isinstance(workers, str) or hasattr(workers, "submit"):
        need("workers of dask", "cluster")
        return workers, 1
    return None, whole_of("workers", workers, 1, MOST_WORKERS)
