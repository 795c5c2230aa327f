"""Random campaigns with fresh seeds for some hours; each leaves a row in docs/nightly.md.

`make nightly ARGS="--hours 8"`. The campaigns take turns. A row has the seed, the cases, the
failures and the commit; a failure's output is kept in build/nightly.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "nightly.md"
LOGS = ROOT / "build" / "nightly"

END = "<!-- end of the table -->"

LIMIT_SECONDS = 3600.0
"""After that a campaign counts as hung, and as failed."""


@dataclass(frozen=True)
class Campaign:
    """Random cases of one kind.

    Parameters
    ----------
    name : str
    command : sequence of str
        Arguments of Python; "{seed}" and "{cases}" stand for both.
    cases : int
        In one turn.
    environment : mapping of str to str
        Variables, likewise.
    """

    name: str
    command: tuple[str, ...]
    cases: int
    environment: Mapping[str, str] = field(default_factory=dict)


def _tests(name: str, path: str, cases: int, *options: str, **environment: str) -> Campaign:
    return Campaign(name, ("-m", "pytest", "-q", "-n", "2", path, *options), cases, environment)


_SYSTOLITH = ("-c", "from systolith_host.cli.app import main; main()")
_FUZZ = {"SYSTOLITH_FUZZ": "{cases}", "SYSTOLITH_FUZZ_FIRST": "{seed}"}

CAMPAIGNS = (
    Campaign(
        "faults on the whole accelerator",
        (*_SYSTOLITH, "lab", "faults", "--runs", "{cases}", "--seed", "{seed}"),
        500,
    ),
    _tests("small accelerators", "tests/e2e/test_small_accelerators.py", 100, **_FUZZ),
    _tests("networks with Winograd", "tests/e2e/test_winograd_networks.py", 100, **_FUZZ),
    _tests("imports of ONNX graphs", "tests/host/frontend/test_import_random.py", 300, **_FUZZ),
    _tests("damaged ONNX files", "tests/host/frontend/test_onnx_damaged.py", 300, **_FUZZ),
    *(
        _tests(name, path, 1, "-k", "random", SYSTOLITH_SEED="{seed}")
        for name, path in (
            ("networks in the RTL", "tests/e2e/test_rtl.py"),
            ("networks on the emulator", "tests/e2e/test_random_networks.py"),
            ("gathered layers in the RTL", "tests/e2e/test_gather.py"),
        )
    ),
    _tests("self-test of the presets", "tests/e2e/test_presets.py", 1, SYSTOLITH_SEED="{seed}"),
)


def run(campaign: Campaign, seed: int, log: Path) -> int:
    """Run a campaign; return how many of its tests or cases failed, -1 if it hung."""

    def fill(text: str) -> str:
        return text.replace("{seed}", str(seed)).replace("{cases}", str(campaign.cases))

    command = [sys.executable, *map(fill, campaign.command)]
    environment = {name: fill(value) for name, value in campaign.environment.items()}
    with TemporaryDirectory() as folder, log.open("w") as output:
        report = Path(folder) / "tests.xml"
        pytest = "pytest" in command
        if pytest:
            command.append(f"--junitxml={report}")
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            return -1
        finally:  # workers and simulators, too
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if code == 0:
            return 0
        return _failures(report) if pytest else 1


def _failures(report: Path) -> int:
    """Return the failures and errors of a report of pytest; 1 if it could not write one."""
    if not report.exists():
        return 1
    suites = ElementTree.parse(report).iter("testsuite")
    return max(1, sum(int(one.get(kind, 0)) for one in suites for kind in ("failures", "errors")))


def add_row(page: Path, row: tuple[object, ...]) -> None:
    """Append a row to the table of a page.

    Raises
    ------
    ValueError
        If the page has no mark of the table's end.
    """
    before, mark, after = page.read_text("utf-8").partition(END)
    if not mark:
        raise ValueError(f"{page}: has no {END}")
    page.write_text(f"{before.rstrip()}\n| {' | '.join(map(str, row))} |\n\n{END}{after}", "utf-8")


def commit() -> str:
    """Return the commit of the tree, with a plus if files have changed since."""

    def git(*words: str) -> str:
        command = ["git", *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", ":!docs/nightly.md")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("+" if changed else "")


def main() -> int:
    """Run campaigns in turns until the time is up; return 1 if one of them failed."""
    known = [one.name for one in CAMPAIGNS]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=8.0, help="no turn begins after that many")
    parser.add_argument("--only", action="append", choices=known, help="a campaign; repeatable")
    parser.add_argument("--seed", type=int, help="of the first turn; the next ones follow it")
    parser.add_argument("--page", type=Path, default=PAGE, help="gets the rows")
    options = parser.parse_args()
    if options.hours <= 0:
        parser.error("--hours must be more than 0")
    if not options.page.is_file() or END not in options.page.read_text("utf-8"):
        parser.error(f"{options.page}: is no page with a line {END}")
    LOGS.mkdir(parents=True, exist_ok=True)
    chosen = [one for one in CAMPAIGNS if one.name in (options.only or known)]
    seed = random.SystemRandom().getrandbits(30) if options.seed is None else options.seed
    version, end, failed = commit(), time.monotonic() + 3600 * options.hours, 0
    turn = 0
    while turn == 0 or time.monotonic() < end:
        campaign = chosen[turn % len(chosen)]
        log = LOGS / f"{campaign.name.replace(' ', '-')}-{seed}.log"
        left = max(0.0, end - time.monotonic()) / 60
        print(f"{campaign.name}, seed {seed}; {left:.0f} minutes left", flush=True)
        begin = time.monotonic()
        failures = run(campaign, seed, log)
        minutes = (time.monotonic() - begin) / 60
        day = datetime.now(timezone.utc).date()
        told = "hung" if failures < 0 else failures
        add_row(
            options.page,
            (day, version, campaign.name, seed, campaign.cases, told, f"{minutes:.0f}"),
        )
        if failures:
            failed += 1
            print(f"  failed: {log}", flush=True)
        else:
            log.unlink()
        turn, seed = turn + 1, seed + 1
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("stopped: the turns that ended have their rows")
