"""Stored results: where each came from, and whether the gateware has changed since.

`python tools/manual/results.py` makes the cheap ones again, and lists all of them; `make results`.
"""

import json
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
    arguments : tuple of str
        The command's, after `systolith`, where it is cheap: minutes, with what `make setup` brings.
    cost : str
        In words.
    """

    file: str
    command: str
    arguments: tuple[str, ...] = ()
    cost: str = ""


RESULTS = (
    Result(
        "tests/golden_metrics.json",
        "systolith lab metrics --no-synthesis",
        ("lab", "metrics", "--no-synthesis"),
        "a minute; with resources some minutes",
    ),
    Result(
        "docs/operators.md",
        "systolith lab operators --out docs/operators.md",
        ("lab", "operators", "--out", "docs/operators.md"),
        "two minutes",
    ),
    Result(
        "docs/zoo.md",
        "systolith lab zoo --config configs/default-functions.toml --out docs/zoo.md",
        cost="half an hour; PyTorch",
    ),
    Result("docs/model-validation.md", "make validate-model", cost="an hour"),
    Result("docs/peers.md", "make peers", cost="an hour; packages of the peers"),
    Result("host/systolith_host/fpga/ecp5_grid.csv", "make resources", cost="half an hour"),
)


@dataclass(frozen=True)
class Written:
    """The commit that wrote a file last, its date, and the changes to what decides since."""

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
    """Return when a file was written; None where git does not know.

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
    if not found.since:
        return f"{found.commit}, {found.date}: of the present gateware and compiler"
    changes = "1 change" if found.since == 1 else f"{found.since} changes"
    return f"{found.commit}, {found.date}: {changes} to gateware or compiler since"


def origin(file: str) -> str:
    """Return a note for the top of a page that a command has written, or nothing."""
    for result in RESULTS:
        if result.file == file:
            return (
                f'!!! info "Stored result"\n    Made by `{result.command}`; last written at '
                f"{_age(written(file))}.\n"
            )
    return ""


def results() -> str:
    """Return the results with their origins, and the cycles of each preset, as Markdown."""
    lines = ["| result | made by | takes | last written at |", "|---|---|---|---|"]
    for one in RESULTS:
        path = one.file.removeprefix("docs/")
        name = f"[{path}]({path})" if one.file.endswith(".md") else f"`{one.file}`"
        lines.append(f"| {name} | `{one.command}` | {one.cost} | {_age(written(one.file))} |")
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
    """Make the cheap results again; say which others are older than the gateware."""
    program = str(Path(sys.executable).with_name("systolith"))
    for one in RESULTS:
        if one.arguments:
            print(f"{one.command} ...", flush=True)
            done = subprocess.run([program, *one.arguments], cwd=ROOT)
            if done.returncode:
                return done.returncode
    changed = (_git("diff", "--name-only", "HEAD") or "").splitlines()
    for one in RESULTS:
        state = "changed now, not committed" if one.file in changed else _age(written(one.file))
        print(f"{one.file}: {state}" + ("" if one.arguments else f" ({one.command}, {one.cost})"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
