"""Jobs on the workers of a dask scheduler: any number of machines."""

import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from systolith_host.errors import SystolithError
from systolith_host.program.program import Program
from systolith_host.runtime.jobs import DeviceOptions, Job, Outcome, Progress, run_job

__all__ = ["run_remote"]

CONNECT_SECONDS = 15
"""Time for the scheduler to answer, and for its first worker to appear."""

_REPORT_SECONDS = 2.0
"""Time between a worker's reports."""


def run_remote(
    program: Program,
    jobs: Sequence[Job],
    options: DeviceOptions,
    address: str,
    progress: Progress,
    done: Callable[[Outcome], None],
    message: Callable[[str], None],
) -> list[Outcome]:
    """Run jobs on dask workers, the first ones first; return all outcomes.

    The program goes to each worker once; inputs and outputs travel with the jobs, so that the
    machines need no file system in common. They need this package, in the same version.

    Parameters
    ----------
    address : str
        Of the scheduler, "tcp://host:port".
    progress, done : callable
        Called with a layer's name and cycles now and then, and with each outcome.
    message : callable
        Called with a line for people.

    Raises
    ------
    SystolithError
        If there is no scheduler or worker, or the accelerator fails.
    """
    from distributed import Client, as_completed  # takes a second to import

    try:
        client: Any = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, ImportError) as error:
        raise SystolithError(
            f"--scheduler: no dask scheduler answers at {address}: {_one_line(error)}"
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except TimeoutError:
            raise SystolithError(
                f"--scheduler: {address} has no workers; start some with `dask worker {address}`"
            ) from None
        message(f"{len(client.scheduler_info(n_workers=-1)['workers'])} dask workers at {address}")
        topic = f"systolith-{uuid.uuid4()}"
        client.subscribe_topic(topic, lambda event: progress(*event[1]))
        (remote,) = client.scatter([program], hash=False)
        futures = [
            client.submit(
                _run, remote, job, options, topic, pure=False, priority=job.cost, key=_key(topic, i)
            )
            for i, job in enumerate(jobs)
        ]
        outcomes: list[Outcome] = []
        try:
            for future in as_completed(futures, loop=client.loop):
                for outcome in future.result():
                    done(outcome)
                    outcomes.append(outcome)
        except SystolithError:
            raise
        except Exception as error:  # whatever a foreign machine runs into
            raise SystolithError(
                f"--scheduler: a worker failed: {type(error).__name__}: {_one_line(error)}"
            ) from None
        finally:
            client.cancel(futures)
        return outcomes


def _key(topic: str, index: int) -> str:
    return f"{topic}-{index}"


def _run(program: Program, job: Job, options: DeviceOptions, topic: str) -> list[Outcome]:
    """Run a job on the worker that this is called on."""
    from distributed import get_worker

    worker = get_worker()
    last = 0.0

    def report(layer: str, cycles: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _REPORT_SECONDS:
            last = time.monotonic()
            worker.log_event(topic, (layer, cycles))

    return run_job(program, job, options, report)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
