"""The stages in their order, and which of them have to pass before others make sense."""

import time
from collections.abc import Callable
from contextlib import ExitStack

from systolith_host.errors import SystolithError
from systolith_host.flow.log import Log
from systolith_host.runtime.backend import Backend
from systolith_host.selftest.bandwidth import check_bandwidth
from systolith_host.selftest.bench import Bench
from systolith_host.selftest.faults import check_faults
from systolith_host.selftest.identity import check_identity
from systolith_host.selftest.layers import check_layers
from systolith_host.selftest.memory import check_memory
from systolith_host.selftest.opening import open_device
from systolith_host.selftest.result import Absent, Finding, Result, Verdict
from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["STAGES", "run_selftest", "run_stages"]

Stage = Callable[[Bench], Finding]

STAGES: dict[str, Stage] = {
    "identity": check_identity,
    "memory": check_memory,
    "layers": check_layers,
    "faults": check_faults,
    "bandwidth": check_bandwidth,
}

FOUNDATIONS = ("identity", "memory")
"""Stages without which no later one means anything."""


def run_selftest(
    backend: Backend,
    config: AcceleratorConfig,
    *,
    seed: int,
    layers: int,
    memory_test: int,
    log: Log,
) -> list[Result]:
    """Open the device of a back end and run all stages; parameters as of :class:`Bench`."""
    start = time.monotonic()
    with ExitStack() as stack:
        try:
            opened = stack.enter_context(open_device(backend, config, log))
        except SystolithError as error:
            seconds = time.monotonic() - start
            first, *others = STAGES
            failed = Result(first, Verdict.FAIL, Finding(str(error)), seconds)
            return [failed, *(_skipped(name, first) for name in others)]
        return run_stages(Bench(opened, config, seed, layers, memory_test, log))


def run_stages(bench: Bench) -> list[Result]:
    """Run all stages; a failure of a foundation leaves out those that build on it."""
    results: list[Result] = []
    for name, stage in STAGES.items():
        broken = next(
            (r.stage for r in results if r.verdict is Verdict.FAIL and r.stage in FOUNDATIONS), None
        )
        if broken is not None:
            results.append(_skipped(name, broken))
            continue
        start = time.monotonic()
        try:
            finding = stage(bench)
            verdict = Verdict.PASS if finding.case is None else Verdict.FAIL
        except Absent as reason:
            verdict, finding = Verdict.ABSENT, Finding(str(reason))
        except SystolithError as error:
            verdict, finding = Verdict.FAIL, Finding(str(error))
        results.append(Result(name, verdict, finding, time.monotonic() - start))
    return results


def _skipped(name: str, broken: str) -> Result:
    return Result(name, Verdict.SKIPPED, Finding(f"{broken} has to pass first"), 0.0)
