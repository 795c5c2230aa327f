"""The results of campaigns of faults as a table and as data."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from systolith_host.errors import SystolithError
from systolith_host.lab.faults.campaign import KINDS, FaultResult

__all__ = ["MOMENTS", "PROBLEMS", "fault_fields", "fault_table", "keep_result", "kept_results"]

MOMENTS = ("start", "middle", "end", "after")
"""Parts of a run in which a fault strikes: its first tenth, its last tenth, between, behind."""

PROBLEMS = ("silent", "hang", "rule", "report")
"""A wrong result without an error; no end within the limit; a broken rule of AXI4 or a byte outside
of the window; another error than the documentation promises."""


def _cells(results: Sequence[FaultResult]) -> Mapping[tuple[str, str], Counter[str]]:
    cells: dict[tuple[str, str], Counter[str]] = {}
    for kind in KINDS:
        for result in results:
            if result.kind == kind:
                cells.setdefault((kind, result.engine), Counter())[result.moment] += 1
    return cells


def _told(results: Sequence[FaultResult], kind: str, engine: str) -> str:
    codes = Counter(r.code for r in results if (r.kind, r.engine) == (kind, engine) and r.code)
    return ", ".join(f"{code} {count:,}" for code, count in codes.most_common())


def fault_table(results: Sequence[FaultResult]) -> str:
    """Return the runs of each fault, engine and moment in Markdown, and a line for all."""
    head = ["fault", "engine", *MOMENTS, "did not strike", "the accelerator said", *PROBLEMS]
    lines = [head, ["---", "---", *["---:"] * 5, "---", *["---:"] * len(PROBLEMS)]]

    def line(name: str, engine: str, some: Sequence[FaultResult], told: str) -> list[str]:
        moments = Counter(result.moment for result in some if not result.problem)
        problems = Counter(result.problem for result in some)
        counts = [moments[moment] for moment in (*MOMENTS, "")]
        counts_bad = [problems[problem] for problem in PROBLEMS]
        return [
            name,
            engine,
            *(f"{count:,}" for count in counts),
            told,
            *(f"{count:,}" for count in counts_bad),
        ]

    for kind, engine in _cells(results):
        some = [r for r in results if (r.kind, r.engine) == (kind, engine)]
        lines.append(line(kind, engine, some, _told(results, kind, engine)))
    lines.append(line("all", "", results, ""))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def fault_fields(results: Sequence[FaultResult]) -> dict[str, Any]:
    """Return the runs of each cell, and every problem, as JSON values."""
    cells = Counter(
        (r.config, r.kind, r.engine, r.moment, r.code, r.note, r.problem) for r in results
    )
    names = ("config", "fault", "engine", "moment", "code", "note", "problem")
    return {
        "runs": len(results),
        "struck": sum(bool(r.moment) for r in results),
        "problems": {name: sum(r.problem == name for r in results) for name in PROBLEMS},
        "cells": [
            {**dict(zip(names, cell, strict=True)), "runs": count} for cell, count in cells.items()
        ],
        "cases": [
            {"config": r.config, "case": r.index, "fault": r.kind, "text": r.text}
            for r in results
            if r.problem
        ],
    }


def keep_result(file: Path, tool: str, seed: int, result: FaultResult) -> None:
    """Append a line with a result; `tool` says which Systolith it is of."""
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps({"tool": tool, "seed": seed, **asdict(result)}) + "\n")


def kept_results(file: Path, tool: str, seed: int) -> list[FaultResult]:
    """Return the results in a file that are of the same Systolith and seed.

    Raises
    ------
    SystolithError
        If the file is not one of :func:`keep_result`.
    """
    if not file.exists():
        return []
    results = []
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        try:
            fields = json.loads(line)
            same = (fields.pop("tool"), fields.pop("seed")) == (tool, seed)
            result = FaultResult(**fields)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise SystolithError(f"{file}: line {number} is no result of lab faults") from None
        if same:
            results.append(result)
    return results
