"""Stored results: their commands, their last commits, and what has changed since.

`python tools/manual/results.py` makes the cheap ones again, and lists all of them; `make results`.
"""

import json
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["RESULTS", "Result", "Written", "origin", "results", "written"]

ROOT = Path(__file__).parents[2]

DECIDES = ("hw/systolith_hw", "host/systolith_host/compiler")
"""What cycles, bytes and resources follow from: the gateware, and the programs that it gets."""


@dataclass(frozen=True)
class Result:
    """A stored result.

    Parameters
    ----------
    file : str
    command : str
        Makes it again.
    needs : str
        What it needs beyond the packages of `make setup`.
    cheap : bool
        Whether `make results` runs it.
    """

    file: str
    command: str
    needs: str = ""
    cheap: bool = False


RESULTS = (
    Result(
        "tests/golden_metrics.json",
        "systolith lab metrics --no-synthesis",
        cheap=True,
    ),
    Result("tests/coverage_python.json", "make coverage-python", needs="`make fpga-setup`"),
    Result(
        "docs/operators.md",
        "systolith lab operators --out docs/operators.md",
        cheap=True,
    ),
    Result(
        "docs/zoo.md",
        "systolith lab zoo --config configs/default-functions.toml --out docs/zoo.md",
        needs="the extra `zoo`",
    ),
    Result("docs/model-validation.md", "make validate-model"),
    Result("docs/peers.md", "make peers", needs="the network: it installs the peers"),
    Result("host/systolith_host/fpga/ecp5_grid.csv", "make resources"),
)


@dataclass(frozen=True)
class Written:
    """The last commit of a file, its date, and the later commits that touch what decides."""

    commit: str
    date: str
    since: int


def _git(*arguments: str) -> str | None:
    """Return what git says, or None where there is no repository."""
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def written(file: str) -> Written | None:
    """Return the last commit of a file; None where git does not know.

    In a clone without history every file seems to be of its only commit.
    """
    if _git("rev-parse", "--is-shallow-repository") != "false":
        return None
    found = _git("log", "-1", "--format=%h %cs", "--", file)
    if not found:
        return None
    commit, date = found.split()
    since = _git("rev-list", "--count", f"{commit}..HEAD", "--", *DECIDES)
    return Written(commit, date, int(since or 0))


def _age(found: Written | None) -> str:
    if found is None:
        return "unknown: no history"
    commits = {0: "no commit", 1: "1 commit"}.get(found.since, f"{found.since} commits")
    return f"{found.commit}, {found.date}; {commits} to gateware or compiler since"


def origin(file: str) -> str:
    """Return a note for the top of a page that a command has written, or nothing."""
    for result in RESULTS:
        if result.file == file:
            return (
                f'!!! info "Stored result"\n    Made by `{result.command}`. Last commit of the '
                f"file: {_age(written(file))}.\n"
            )
    return ""


def results() -> str:
    """Return the results with their origins, and the cycles of each preset, as Markdown."""
    lines = [
        "| result | made by | needs besides `make setup` | last commit of the file |",
        "|---|---|---|---|",
    ]
    for one in RESULTS:
        path = one.file.removeprefix("docs/")
        name = f"[{path}]({path})" if one.file.endswith(".md") else f"`{one.file}`"
        lines.append(f"| {name} | `{one.command}` | {one.needs} | {_age(written(one.file))} |")
    metrics = json.loads((ROOT / "tests" / "golden_metrics.json").read_text())["networks"]
    lines += ["", "## Cycles on each preset", ""]
    lines += [
        "A test measures these again with every change, by the replay: 1 image, a memory as fast",
        "as the bus.",
        "",
        "| network and preset | cycles | convolutions | fully connected | MB read | MB written |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, found in metrics.items():
        cycles = (found[key] for key in ("cycles", "convolution_cycles", "fully_connected_cycles"))
        moved = (found[key] / 1e6 for key in ("bytes_read", "bytes_written"))
        cells = [name, *(f"{each:,}" for each in cycles), *(f"{each:.3f}" for each in moved)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Make the cheap results again; say how old the others are."""
    program = str(Path(sys.executable).with_name("systolith"))
    for one in RESULTS:
        if one.cheap:
            print(f"{one.command} ...", flush=True)
            done = subprocess.run([program, *shlex.split(one.command)[1:]], cwd=ROOT)
            if done.returncode:
                return done.returncode
    changed = (_git("diff", "--name-only", "HEAD") or "").splitlines()
    for one in RESULTS:
        state = "changed now, not committed" if one.file in changed else _age(written(one.file))
        print(f"{one.file}: {state}" + ("" if one.cheap else f" ({one.command})"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
