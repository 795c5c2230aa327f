"""Running a sweep: here, in several processes, or on dask workers; results as they come."""

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import Any

from systolith_host.errors import SystolithError
from systolith_host.explore.evaluate import LayerCost, evaluate
from systolith_host.explore.results import Result, Results, point_key
from systolith_host.explore.space import Point

__all__ = ["run_sweep"]

CONNECT_SECONDS = 15
"""Time for a dask scheduler to answer, and for its first worker to appear."""

_AHEAD = 4
"""Points that wait for each worker."""

Answer = tuple[int, list[LayerCost], str]


def run_sweep(
    network: str,
    points: Iterable[Point],
    results: Results,
    *,
    batch: int = 1,
    workers: int = 1,
    scheduler: str | None = None,
    done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Evaluate all points that have no result yet; return the results of all, in order.

    Parameters
    ----------
    network : str
        A built-in network.
    points : iterable of Point
    results : Results
        Takes every result as it comes; those that it has are not made again.
    batch : int
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
    order: list[str] = []
    todo: list[tuple[str, Point]] = []
    report = done or (lambda _: None)
    for point in points:
        key = point_key(network, batch, point)
        order.append(key)
        if key in results.done:
            report(results.done[key])
        elif point.reason:
            report(results.add(key, point, [], point.reason))
        else:
            todo.append((key, point))
    jobs = [(network, point, batch, index) for index, (_, point) in enumerate(todo)]
    if scheduler is not None:
        answers = _on_dask(jobs, scheduler)
    elif workers > 1 and len(jobs) > 1:
        answers = _in_processes(jobs, workers)
    else:
        answers = (_evaluate(job) for job in jobs)
    for index, layers, reason in answers:
        key, point = todo[index]
        report(results.add(key, point, layers, reason))
    return [results.done[key] for key in order]


def _evaluate(job: tuple[str, Point, int, int]) -> Answer:
    network, point, batch, index = job
    assert point.config is not None
    try:
        return index, evaluate(network, point.config, point.bandwidth, batch), ""
    except SystolithError as error:
        return index, [], str(error)


def _in_processes(jobs: Sequence[Any], workers: int) -> Iterator[Answer]:
    waiting = iter(jobs)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=context) as pool:
        running: set[Future[Answer]] = set()
        try:
            while True:
                for job in waiting:
                    running.add(pool.submit(_evaluate, job))
                    if len(running) >= _AHEAD * workers:
                        break
                if not running:
                    return
                ready, running = wait(running, return_when=FIRST_COMPLETED)
                for future in ready:
                    yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _on_dask(jobs: Sequence[Any], address: str) -> Iterator[Answer]:
    from distributed import Client, as_completed  # takes a second to import

    try:
        client: Any = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, ImportError) as error:
        raise SystolithError(f"--scheduler: no dask scheduler answers at {address}: {error}") from (
            None
        )
    with client:
        try:
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except TimeoutError:
            raise SystolithError(
                f"--scheduler: {address} has no workers; start some with `dask worker {address}`"
            ) from None
        futures = [client.submit(_evaluate, job, pure=False, priority=-job[3]) for job in jobs]
        try:
            for future in as_completed(futures, loop=client.loop):
                yield future.result()
                future.release()
        finally:
            client.cancel(futures)
