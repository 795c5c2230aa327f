"""Jobs on the workers of a dask scheduler: any number of machines."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from systolith_host.errors import SystolithError
from systolith_host.program.program import Program
from systolith_host.runtime.backend import Facts, Observer
from systolith_host.runtime.jobs import Job, Outcome
from systolith_host.runtime.local import LocalBackend
from systolith_hw.spec.memory import Memory

__all__ = ["DaskBackend", "connect", "run_remote"]

CONNECT_SECONDS = 15
"""Time for the scheduler to answer, and for its first worker to appear."""

_REPORT_SECONDS = 2.0
"""Time between a worker's reports."""


@dataclass(frozen=True)
class DaskBackend:
    """A back end of which each worker of a scheduler has one.

    Parameters
    ----------
    local : LocalBackend
    address : str
        Of the scheduler, as :func:`connect` takes it.
    """

    local: LocalBackend
    address: str

    @property
    def stage(self) -> str:
        """Name of its work, for people."""
        return self.local.stage

    @property
    def sequential(self) -> bool:
        """Never: layers are spread."""
        return False

    @property
    def memory(self) -> Memory:
        """That of the workers' back ends."""
        return self.local.memory

    @property
    def facts(self) -> Facts:
        """Facts for a report."""
        return self.local.facts

    def with_waves(self, layer: str, path: Path) -> "DaskBackend":
        """Refuse: the waveforms would be written on a worker."""
        raise SystolithError("--waves are written on this machine: leave --scheduler out")

    def reach(self) -> None:
        """Refuse a scheduler that does not answer, or has no workers; see :func:`connect`."""
        connect(self.address).close()

    def check(self, program: Program) -> None:
        """Refuse what the workers' back ends refuse."""
        self.local.check(program)

    def prepare(self, program: Program, observer: Observer) -> None:
        """Build nothing: the workers build what they need."""

    def run(self, program: Program, jobs: Sequence[Job], observer: Observer) -> list[Outcome]:
        """Run jobs on the workers; see :func:`run_remote`."""
        return run_remote(program, jobs, self.local, self.address, observer)


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
    program: Program, jobs: Sequence[Job], local: LocalBackend, address: str, observer: Observer
) -> list[Outcome]:
    """Run jobs on dask workers, the first ones first; return all outcomes.

    The program goes to each worker once; inputs and outputs travel with the jobs, so that the
    machines need no common file system. They need this package, in the same version.

    Parameters
    ----------
    address : str
        As :func:`connect` takes it.
    observer : Observer

    Raises
    ------
    SystolithError
        If there is no scheduler or worker, or the accelerator fails.
    """
    from distributed import as_completed  # takes a second to import

    with connect(address) as client:
        workers = client.scheduler_info(n_workers=-1)["workers"]
        observer.message(f"{len(workers)} dask workers at {address}")
        topic = f"systolith-{uuid.uuid4()}"
        client.subscribe_topic(topic, lambda event: observer.at(*event[1]))
        (remote,) = client.scatter([program], hash=False)
        futures = [
            client.submit(
                _run, remote, job, local, topic, pure=False, priority=job.cost, key=_key(topic, i)
            )
            for i, job in enumerate(jobs)
        ]
        outcomes: list[Outcome] = []
        try:
            for future in as_completed(futures, loop=client.loop):
                for outcome in future.result():
                    observer.done(outcome)
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


def _run(program: Program, job: Job, local: LocalBackend, topic: str) -> list[Outcome]:
    """Run a job on the worker that this is called on."""
    from distributed import get_worker

    worker = get_worker()
    last = 0.0

    def at(layer: str, cycles: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _REPORT_SECONDS:
            last = time.monotonic()
            worker.log_event(topic, (layer, cycles))

    return local.run_job(program, job, Observer(at=at))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
