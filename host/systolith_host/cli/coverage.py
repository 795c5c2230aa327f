"""The command `systolith lab coverage`: what the tests of the gateware reach, and what not."""

from json import dumps, loads
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from systolith_host.cli.output import MISMATCH, check_targets, give, save, show
from systolith_host.cli.page import split_page
from systolith_host.errors import SystolithError
from systolith_host.extras import need
from systolith_host.progress import ProgressLog
from systolith_host.terminal import error_console
from systolith_host.version import describe

__all__ = ["coverage"]

BEGIN, END = "<!-- systolith lab coverage --config {} -->\n", "<!-- end of {} -->\n"
"""The lines of a page between which a configuration's table comes."""


def coverage(
    config: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="One of the campaign's, or a preset; repeat it. Default: tiny."
        ),
    ] = None,
    cases: Annotated[
        int, typer.Option(min=0, help="Cases of the campaign of faults, besides directed tests.")
    ] = 250,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all of them.")] = 1,
    exclusions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="What need not be reached, with reasons. Default: Systolith's own."
        ),
    ] = None,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="File for the same as JSON.")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="File for the figures as CSV.")
    ] = None,
    totals: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="JSON file whose totals of these configurations are replaced: "
            "tests/coverage_gateware.json.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A page whose tables of these configurations are replaced: docs/verification.md.",
        ),
    ] = None,
) -> None:
    """Measure which lines, branches, bits, states and fields of the gateware its tests reach.

    Runs cases of the campaign of faults and directed tests on an accelerator that Verilator has
    built to count, and shows a table for each part. What is missing is listed below it.

    Exit status: 1 if a goal is missed, or an exclusion leaves nothing out.
    """
    need("lab coverage", "sim", "amaranth", "pyosys", "verilator")
    from systolith_host.lab.coverage.exclusions import EXCLUSIONS, excluded, read_exclusions
    from systolith_host.lab.coverage.measure import measure_coverage
    from systolith_host.lab.coverage.report import (
        GOALS,
        coverage_fields,
        coverage_table,
        coverage_totals,
        figures,
        missing,
    )
    from systolith_host.lab.faults.campaign import CAMPAIGN_CONFIGS
    from systolith_hw.spec.presets import PRESETS

    known = {**PRESETS, **CAMPAIGN_CONFIGS}
    for name in config or ():
        if name not in known:
            raise SystolithError(f"--config: no {name}; there are {', '.join(known)}")
    check_targets(json, csv, totals, out)
    all_totals = _read_totals(totals)
    names = list(dict.fromkeys(config or ["tiny"]))
    if out is not None:
        for name in names:
            split_page(out, BEGIN.format(name), END.format(name))
    left_out = read_exclusions(exclusions or EXCLUSIONS)
    results, rows, failures = {}, ["config,part,what,total,reached,excluded,percent"], []
    tables, lists = dict[str, str](), []
    with ProgressLog(error_console()) as log, TemporaryDirectory() as folder:
        for name in names:
            targets = measure_coverage(known[name], cases, seed, Path(folder), log)
            left, stale = excluded(targets, left_out, known[name])
            fields = coverage_fields(targets, left)
            results[name] = fields
            all_totals[name] = {
                "tool": describe(),
                "seed": seed,
                "cases": cases,
                **coverage_totals(targets, left),
            }
            rows += [
                f"{name},{row['part']},{row['what']},{row['total']},{row['reached']},"
                f"{row['excluded']},{row['percent']}"
                for row in fields["figures"]
            ]
            found = figures(targets, left)
            head = f"{name}, {describe()}, {cases} cases (seed {seed}):"
            tables[name] = f"{head}\n\n{coverage_table(found)}\n"
            lists += [f"not reached on {name}: {line}" for line in missing(targets, left)]
            failures += [f"stale exclusion: {line}" for line in stale]
            for column, goal in GOALS.items():
                figure = found.get(("all", column))
                if figure is not None and figure.share < goal:
                    failures.append(
                        f"{name}: {figure.share:.2%} of {column} are reached, not {goal:.0%}"
                    )
    if csv is not None:
        save(csv, "\n".join(rows) + "\n")
    if totals is not None:
        save(totals, dumps(all_totals, indent=2) + "\n")
    fields = {"tool": describe(), "seed": seed, "cases": cases, "configs": results}
    if out is not None:
        for name, table in tables.items():
            begin, end = BEGIN.format(name), END.format(name)
            before, after = split_page(out, begin, end)
            save(out, f"{before}{begin}\n{table}\n{end}{after}")
    give("\n".join((*tables.values(), *lists)), {**fields, "failures": failures}, json)
    if json != Path("-"):
        for line in failures:
            show(line)
    if failures:
        raise typer.Exit(MISMATCH)


def _read_totals(path: Path | None) -> dict[str, Any]:
    """Return the totals of a file; none if it is not there yet."""
    if path is None or not path.exists():
        return {}
    try:
        found = loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SystolithError(f"{path}: cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise SystolithError(f"{path}: holds no totals")
    return found
