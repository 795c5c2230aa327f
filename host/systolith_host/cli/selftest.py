"""The command `systolith selftest`."""

from typing import Annotated

import typer

from systolith_host.cli import options
from systolith_host.cli.output import MISMATCH, check_targets, give
from systolith_host.cli.triage import keep_case
from systolith_host.progress import ProgressLog
from systolith_host.runtime.choose import DeviceOptions, choose_backend
from systolith_host.terminal import error_console
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import load_config

__all__ = ["selftest"]


def selftest(
    config: options.AcceleratorOption = "default",
    device: options.DeviceOption = "rtl",
    board: options.BoardOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of random bytes and layers.")] = 0,
    layers: Annotated[
        int, typer.Option(min=1, max=100_000, help="Random layers to run, at least.")
    ] = 20,
    memory_test: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="BYTES",
            help="Random bytes that are written all over the memory and read; 262,144 take a "
            "serial line of 1 Mbaud some 7 s.",
        ),
    ] = 1 << 18,
    json: options.JsonOption = None,
    bandwidth: options.BandwidthOption = None,
    latency: options.LatencyOption = options.DEFAULT_LATENCY,
) -> None:
    """Test new hardware in stages: identity, memory, random layers, faults, bandwidth.

    Each stage ends in a line: pass, or FAIL with what was found first and where to look, or "not
    on this device" with the reason. If identity or memory fail, the stages after them do not run.
    A wrong layer is saved for `systolith triage`. The device's memory is overwritten.

    Exit status: 0 if no stage fails, 1 if one does, 2 if the command or a file is wrong.
    """
    from systolith_host.selftest.result import Verdict
    from systolith_host.selftest.stages import run_selftest

    check_targets(json)
    target = load_config(config)
    memory = Memory(latency=latency, bytes_per_cycle=bandwidth)
    backend = choose_backend(device, DeviceOptions(memory=memory, board=board))
    with ProgressLog(error_console()) as log:
        results = run_selftest(
            backend, target, seed=seed, layers=layers, memory_test=memory_test, log=log
        )
    fields = {
        "device": device,
        "config": target.name,
        "fingerprint": f"{target.fingerprint:016x}",
        "seed": seed,
        "stages": [result.to_dict() for result in results],
    }
    give("\n".join(result.line for result in results), fields, json)
    for result in results:
        if result.finding.case is not None:
            keep_case(result.finding.case)
    if any(result.verdict is Verdict.FAIL for result in results):
        raise typer.Exit(MISMATCH)
