"""Running a sweep: here, in several processes, or on dask workers; results as they come."""

import multiprocessing
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from systolith_host.cost.evaluate import LayerCost, evaluate, evaluate_exactly
from systolith_host.errors import SystolithError
from systolith_host.explore.rank import choose_exact
from systolith_host.explore.results import Result, Results, point_key
from systolith_host.explore.space import Point, Space
from systolith_host.runtime.dask import connect

__all__ = ["Runner", "replay_best", "run_sweep"]

_AHEAD = 4
"""Points that wait for each worker."""

Job = tuple[str, Point, int, int]
"""Network, point, batch, and the job's number."""

Answer = tuple[int, list[LayerCost], str]

Work = Callable[[Job], Answer]


def run_sweep(
    points: Iterable[Point],
    results: Results,
    *,
    workers: int = 1,
    scheduler: str | None = None,
    done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Evaluate all points that have no result yet; return the results of all, in order.

    Parameters
    ----------
    points : iterable of Point
    results : Results
        Says network and batch, and takes every result as it comes; those that it has are not made
        again.
    workers : int
        Processes on this machine.
    scheduler : str, optional
        Address of a dask scheduler, whose workers are used instead.
    done : callable
        Is called with every result, found ones included.

    Raises
    ------
    SystolithError
        If the scheduler or a worker fails, or results cannot be kept.
    """
    listed = list(points)
    made = results.experiment
    new = sum(not p.reason and point_key(made, p) not in results.done for p in listed)
    workers = min(workers, new)
    with Runner(results, workers=workers, scheduler=scheduler) as runner:
        return runner.run(listed, done)


class Runner:
    """Evaluates points, as :func:`run_sweep`, keeping processes and their memories between calls.

    On leaving its context, processes end and the folder of the results is unlocked.

    Parameters
    ----------
    results, workers
        As in :func:`run_sweep`.
    scheduler : str or distributed.Client, optional
        Address of a dask scheduler, or a client of one, which stays open.
    """

    def __init__(
        self,
        results: Results,
        *,
        workers: int = 1,
        scheduler: Any = None,
    ) -> None:
        self.results = results
        self._executor: _Here | _Processes | _Dask
        if scheduler is not None:
            self._executor = _Dask(scheduler)
        elif workers > 1:
            self._executor = _Processes(workers)
        else:
            self._executor = _Here()

    def __enter__(self) -> "Runner":
        return self

    def __exit__(self, *exception: object) -> None:
        self._executor.close()
        self.results.close()

    def run(
        self, points: Iterable[Point], done: Callable[[Result], None] | None = None
    ) -> list[Result]:
        """Return the results of points, in order; `done` is called with each as it comes."""
        return self._run(points, _estimate, lambda _: True, done)

    def replay(
        self, points: Iterable[Point], done: Callable[[Result], None] | None = None
    ) -> list[Result]:
        """Return the exact results of points, as :meth:`run`; those that have them stay."""
        try:
            return self._run(points, _replay, lambda r: r.exact or bool(r.reason), done)
        finally:
            self.results.tidy()

    def _run(
        self,
        points: Iterable[Point],
        work: Work,
        enough: Callable[[Result], bool],
        done: Callable[[Result], None] | None,
    ) -> list[Result]:
        results, made = self.results, self.results.experiment
        order: list[str] = []
        todo: list[tuple[str, Point]] = []
        report = done or (lambda _: None)
        for point in points:
            key = point_key(made, point)
            order.append(key)
            if key in results.done and enough(results.done[key]):
                report(results.done[key])
            elif point.reason:
                report(results.add(key, point, [], point.reason))
            else:
                todo.append((key, point))
        jobs = [(made.source, point, made.batch, index) for index, (_, point) in enumerate(todo)]
        for index, layers, reason in self._executor.answers(work, jobs):
            key, point = todo[index]
            report(results.add(key, point, layers, reason))
        return [results.done[key] for key in order]


def replay_best(
    runner: Runner,
    space: Space,
    found: Sequence[Result],
    limit: int | None,
    workers: int,
    told: Callable[[str, float, float], None],
) -> list[Result]:
    """Replay the points whose exact numbers are wanted; return all results, theirs among them.

    Parameters
    ----------
    found : sequence of Result
        The runner's result.
    limit, workers
        As of :func:`systolith_host.explore.rank.choose_exact`.
    told : callable
        Is called with a text, how many are replayed, and how many will be, if any are.
    """
    chosen = [result for result in choose_exact(found, limit, workers) if not result.exact]
    ended = 0

    def done(_: Result) -> None:
        nonlocal ended
        ended += 1
        told("exact cycles", ended, len(chosen))

    if chosen:
        told("exact cycles", 0, len(chosen))
        runner.replay([space.point(result.values) for result in chosen], done)
    return [runner.results.done[result.key] for result in found]


def _estimate(job: Job) -> Answer:
    return _answer(job, evaluate)


def _replay(job: Job) -> Answer:
    return _answer(job, evaluate_exactly)


def _answer(job: Job, cost: Callable[..., list[LayerCost]]) -> Answer:
    network, point, batch, index = job
    assert point.config is not None
    try:
        about = (point.config, point.memory, batch, point.density, point.weight_bits)
        return index, cost(network, *about), ""
    except SystolithError as error:
        return index, [], str(error)


class _Here:
    def answers(self, work: Work, jobs: Sequence[Job]) -> Iterator[Answer]:
        return map(work, jobs)

    def close(self) -> None:
        """Do nothing."""


@contextmanager
def _no_main() -> Iterator[None]:
    """Hide the program that asks from processes that start: each would run it once more.

    They need nothing of it, and a script that sweeps at its top level would sweep in each of them.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


class _Processes:
    def __init__(self, workers: int) -> None:
        self.workers = workers
        context = multiprocessing.get_context("spawn")
        self.pool = ProcessPoolExecutor(workers, mp_context=context)

    def answers(self, work: Work, jobs: Sequence[Job]) -> Iterator[Answer]:
        try:
            yield from self._answers(work, jobs)
        except BrokenProcessPool:
            raise SystolithError(
                "a worker process ended: it was killed, or there is too little memory; "
                "take fewer workers"
            ) from None

    def _answers(self, work: Work, jobs: Sequence[Job]) -> Iterator[Answer]:
        waiting = iter(jobs)
        running: set[Future[Answer]] = set()
        while True:
            for job in waiting:
                with _no_main():
                    running.add(self.pool.submit(work, job))
                if len(running) >= _AHEAD * self.workers:
                    break
            if not running:
                return
            ready, running = wait(running, return_when=FIRST_COMPLETED)
            for future in ready:
                yield future.result()

    def close(self) -> None:
        self.pool.shutdown(cancel_futures=True)


class _Dask:
    def __init__(self, scheduler: Any) -> None:
        self.mine = isinstance(scheduler, str)
        self.client: Any = connect(scheduler) if self.mine else scheduler

    def answers(self, work: Work, jobs: Sequence[Job]) -> Iterator[Answer]:
        from distributed import as_completed

        client = self.client
        futures = [client.submit(work, job, pure=False, priority=-job[3]) for job in jobs]
        try:
            for future in as_completed(futures, loop=client.loop):
                yield future.result()
                future.release()
        finally:
            client.cancel(futures)

    def close(self) -> None:
        if self.mine:
            self.client.close()
