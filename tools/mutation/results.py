"""What came of mutants: kept as lines of JSON, and told as a page of the manual has it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from manual.figures import Share
from mutation.mutants import Mutant
from mutation.trial import Verdict

__all__ = ["Result", "keep", "kept", "share", "table", "told"]


@dataclass(frozen=True)
class Result:
    """A mutant and its fate.

    Attributes
    ----------
    key : str
        Of the file's text with the mutant: it changes with the file.
    area : str
    mutant : Mutant
    verdict : Verdict
    equivalent : bool
    """

    key: str
    area: str
    mutant: Mutant
    verdict: Verdict
    equivalent: bool = False

    @property
    def survives(self) -> bool:
        """Whether the tests should have noticed it."""
        return not self.equivalent and not self.verdict.killed


def keep(file: Path, result: Result) -> None:
    """Append a line with a result."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(asdict(result)) + "\n")


def kept(file: Path) -> dict[str, Result]:
    """Return the results in a file by their keys, of each the last.

    Raises
    ------
    ValueError
        If a line is none of :func:`keep`.
    """
    results = {}
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    for number, line in enumerate(lines, 1):
        try:
            fields = json.loads(line)
            mutant, verdict = Mutant(**fields.pop("mutant")), Verdict(**fields.pop("verdict"))
            result = Result(mutant=mutant, verdict=verdict, **fields)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise ValueError(f"{file}: line {number} is no result of make mutants") from None
        results[result.key] = result
    return results


def told(results: Sequence[Result]) -> str:
    """Return killed mutants over all that are not equivalent, in words."""
    equivalent = sum(one.equivalent for one in results)
    killed = sum(bool(one.verdict.killed) for one in results if not one.equivalent)
    rest = len(results) - equivalent
    share = f"{100 * killed / rest:.1f} %" if rest else "none"
    return f"{killed} of {rest} killed ({share}), {equivalent} equivalent"


def table(results: Sequence[Result]) -> str:
    """Return a Markdown table with a line for each area, and the survivors by name."""
    areas: Mapping[str, list[Result]] = {}
    for one in results:
        areas.setdefault(one.area, []).append(one)
    lines = [
        "| area | mutants | equivalent | failed a test | timed out | survived | killed |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(_row(area, some) for area, some in sorted(areas.items())),
        _row("all", results),
    ]
    survivors = sorted(
        (one for one in results if one.survives), key=lambda one: (one.mutant.path, one.mutant.line)
    )
    if survivors:
        lines += ["", "Survivors:", ""]
        lines += [f"- {_name(one)}" for one in survivors]
    return "\n".join(lines)


def _row(area: str, results: Sequence[Result]) -> str:
    rest = [one for one in results if not one.equivalent]
    failed, timed_out = (
        sum(one.verdict.killed == how for one in rest) for how in ("failed", "timed out")
    )
    survived = sum(one.survives for one in rest)
    share = f"{100 * (failed + timed_out) / len(rest):.1f} %" if rest else ""
    counts = (len(results), len(results) - len(rest), failed, timed_out, survived)
    return f"| {area} | {' | '.join(map(str, counts))} | {share} |"


def _name(result: Result) -> str:
    mutant = result.mutant
    rest = "" if result.verdict.whole else "; there was no time for all tests"
    return f"`{mutant.path}`, {mutant.where}: `{mutant.old}` → `{mutant.new}`{rest}"


def share(results: Sequence[Result], tool: str) -> Share:
    """Return how many were killed, of those that are not equivalent, in all areas together."""
    rest = [one for one in results if not one.equivalent]
    return Share("all areas", sum(bool(one.verdict.killed) for one in rest), len(rest), tool)
