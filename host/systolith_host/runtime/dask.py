"""Jobs on the workers of a dask scheduler: any number of machines."""

import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from systolith_host.errors import SystolithError
from systolith_host.program.program import Program
from systolith_host.runtime.jobs import DeviceOptions, Job, Outcome, Progress, run_job

__all__ = ["connect", "run_remote"]

CONNECT_SECONDS = 15
"""Time for the scheduler to answer, and for its first worker to appear."""

_REPORT_SECONDS = 2.0
"""Time between a worker's reports."""


def connect(address: str) -> Any:
    """Return a client of a dask scheduler that has workers.

    Parameters
    ----------
    address : str
        "tcp://host:port", or "tls://host:port" with certificates, whose files dask's own settings
        name: `DASK_DISTRIBUTED__COMM__TLS__CA_FILE`, `..._TLS__CLIENT__CERT` and
        `..._TLS__CLIENT__KEY` (docs/explorer.md).

    Raises
    ------
    SystolithError
        If there is no scheduler or worker, or a file of the certificates is missing.
    """
    from distributed import Client  # takes a second to import
    from distributed.security import Security

    try:
        security = Security()
        if address.startswith("tls://"):
            _check_tls(security)
        client: Any = Client(
            address, timeout=CONNECT_SECONDS, set_as_default=False, security=security
        )
    except (OSError, ValueError, ImportError, TypeError) as error:
        raise SystolithError(
            f"--scheduler: no dask scheduler answers at {address}: {_one_line(error)}"
        ) from None
    try:
        client.wait_for_workers(1, timeout=CONNECT_SECONDS)
    except TimeoutError:
        client.close()
        raise SystolithError(
            f"--scheduler: {address} has no workers; start some with `dask worker {address}`"
        ) from None
    return client


def _check_tls(security: Any) -> None:
    files = {
        "CA_FILE": security.tls_ca_file,
        "CLIENT__CERT": security.tls_client_cert,
        "CLIENT__KEY": security.tls_client_key,
    }
    for name, path in files.items():
        if not path or not Path(path).is_file():
            raise SystolithError(
                f"--scheduler: tls:// needs certificates: DASK_DISTRIBUTED__COMM__TLS__{name} must "
                f"name a file, not {path!r}"
            )


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
        As :func:`connect` takes it.
    progress, done : callable
        Called with a layer's name and cycles now and then, and with each outcome.
    message : callable
        Called with a line for people.

    Raises
    ------
    SystolithError
        If there is no scheduler or worker, or the accelerator fails.
    """
    from distributed import as_completed  # takes a second to import

    with connect(address) as client:
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
