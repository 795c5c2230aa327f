"""Lines of Python that tests run, by folder, for the manual and tests/coverage_python.json.

`make coverage-python`: the tests of these folders, then those of the replay once more in plain
Python, as no lines can be counted in machine code.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coverage import Coverage

ROOT = Path(__file__).parents[1]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT / part) for part in ("host", "sim", "hw", "tools")]

from manual.figures import Share, store  # noqa: E402
from manual.tables import table  # noqa: E402
from nightly import commit  # noqa: E402
from systolith_host.cli.page import split_page  # noqa: E402
from systolith_host.errors import SystolithError  # noqa: E402

__all__ = ["PARTS", "Part", "by_folder", "page"]

STORED = ROOT / "tests" / "coverage_python.json"
PAGE = ROOT / "docs" / "verification.md"
BEGIN, END = "<!-- tools/python_lines.py -->\n", "<!-- end of the lines of Python -->\n"


@dataclass(frozen=True)
class Part:
    """Tests that are run together.

    Parameters
    ----------
    arguments : sequence of str
        Of pytest.
    environment : mapping of str to str
        Variables.
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


PARTS = (
    Part(
        (
            *("tests/sim", "tests/host/compiler", "tests/host/network", "tests/host/runtime"),
            *("tests/host/program", "tests/host/quantize", "tests/host/flow"),
            *("tests/host/frontend/test_functions.py", "tests/host/frontend/test_host_nodes.py"),
            *("tests/host/frontend/test_onnx.py", "tests/host/frontend/test_weights.py"),
            *(
                "tests/hw/stream",
                "tests/hw/store/test_drain.py",
                "tests/host/cost/test_estimate.py",
            ),
            *("tests/host/cli/test_app.py", "tests/host/boards/test_simulated_system.py"),
            *("tests/host/boards/test_simulated_ethernet.py", "tests/host/visual/test_timeline.py"),
            *("tests/e2e/test_faulty_programs.py", "tests/e2e/test_resets.py"),
            *("tests/e2e/test_random_networks.py", "tests/e2e/test_retired.py"),
            "tests/e2e/test_unknown_values.py",
            # Tests that broken gateware is noticed take most of the time, and reach no other lines.
            *("-k", "not counterexample and not breaks_a_rule"),
        )
    ),
    Part(
        (
            *("tests/sim/replay", "tests/host/compiler/schedule/test_lanes.py"),
            "tests/host/compiler/schedule/test_trial.py",
        ),
        {"NUMBA_DISABLE_JIT": "1"},
    ),
)


def by_folder(files: Mapping[str, Any], tool: str) -> list[Share]:
    """Return the lines of each folder of three names, from the files of coverage's JSON report."""
    sums: dict[str, list[int]] = {}
    for file, found in sorted(files.items()):
        folder = sums.setdefault("/".join(Path(file).parent.parts[:3]), [0, 0])
        folder[0] += found["summary"]["covered_lines"]
        folder[1] += found["summary"]["num_statements"]
    return [Share(name, *both, tool) for name, both in sums.items() if both[1]]


def page(folders: Sequence[Share]) -> str:
    """Return the part of the manual."""
    rows = [(f"`{one.name}`", f"{one.total:,}", f"{one.percent:.1f} %") for one in folders]
    return f"Of {folders[0].tool}:\n\n{table(('folder', 'lines', 'reached'), rows)}\n"


def run(jobs: int) -> bool:
    """Run the tests, in so many processes, and return whether all passed."""
    shutil.rmtree(ROOT / "build" / "coverage", ignore_errors=True)
    (ROOT / "build" / "coverage").mkdir(parents=True)
    pytest = ("-m", "pytest", "-q", "-n", str(jobs), "-m", "not registry")
    passed = True
    for part in PARTS:
        command = [sys.executable, "-m", "coverage", "run", *pytest, *part.arguments]
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, **part.environment})
        passed = passed and done.returncode == 0
    return passed


def main() -> int:
    """Measure; return 1 if a test failed or a folder is below coverage's `fail_under`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2, help="tests that run at the same time")
    options = parser.parse_args()
    if options.jobs < 1:
        parser.error("--jobs must be at least 1")
    try:
        before, after = split_page(PAGE, BEGIN, END)
    except SystolithError as error:
        parser.error(str(error))
    tool = f"commit {commit()}"
    passed = run(options.jobs)
    measured = Coverage(config_file=str(ROOT / "pyproject.toml"))
    measured.combine(strict=True)
    measured.save()
    measured.report(skip_covered=True, sort="cover")
    report = ROOT / "build" / "coverage" / "lines.json"
    measured.json_report(outfile=str(report))
    folders = by_folder(json.loads(report.read_text())["files"], tool)
    said = page(folders)
    print(f"\n{said}")
    if not passed:
        print("Tests failed: nothing is stored.", file=sys.stderr)
        return 1
    store(STORED, "lines", folders)
    PAGE.write_text(f"{before}{BEGIN}\n{said}\n{END}{after}", "utf-8")
    least = float(str(measured.get_option("report:fail_under")))
    return int(any(one.percent < least for one in folders))


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
