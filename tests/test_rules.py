"""Rules about the tree itself: how long files may be, and which have tests of their name."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST_LINES = 400

UNTESTED = {
    "hw": set(),
    "sim": {
        "bench/bench_memory.py",
        "bench/bench_programs.py",
        "bench/bench_resets.py",
        "emulator/hazards.py",
        "memory/timing.py",
        "replay/bus.py",
        "replay/compute.py",
        "replay/control.py",
        "replay/fetch.py",
        "replay/kernel.py",
        "replay/load.py",
        "replay/memory.py",
        "replay/parts.py",
        "replay/store.py",
        "replay/table.py",
        "rtl/cocotb_device.py",
        "rtl/process.py",
        "rtl/simulator.py",
        "rtl/testbench.py",
        "testing/configs.py",
        "testing/damaged_onnx.py",
        "testing/equivalence.py",
        "testing/limited.py",
    },
}
"""Modules of each root that only the tests of others exercise so far."""


def python_files():
    for folder in ("hw", "sim", "host", "tests", "tools", "examples"):
        yield from (ROOT / folder).rglob("*.py")
    yield from ROOT.glob("*.py")


def test_no_file_is_too_long():
    lines = {path: len(path.read_text().splitlines()) for path in python_files()}
    long = {str(path.relative_to(ROOT)) for path, count in lines.items() if count > MOST_LINES}
    assert long == set(), f"more than {MOST_LINES} lines: split them"


@pytest.mark.parametrize("root", UNTESTED)
def test_every_module_has_a_test_of_its_name(root):
    package = ROOT / root / f"systolith_{root}"
    modules = [path.relative_to(package) for path in package.rglob("*.py")]
    missing = {
        path.as_posix()
        for path in modules
        if path.name != "__init__.py"
        and not (ROOT / "tests" / root / path.parent / f"test_{path.name}").exists()
    }
    assert missing - UNTESTED[root] == set(), f"write tests/{root}/FOLDER/test_MODULE.py for them"
    assert UNTESTED[root] - missing == set(), "these have one now: take them out of UNTESTED"
