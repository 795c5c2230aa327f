"""Rules about the tree itself: how long files may be, and which have tests of their name."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST_LINES = 400


def python_files():
    for folder in ("hw", "sim", "host", "tests", "tools", "examples"):
        yield from (ROOT / folder).rglob("*.py")
    yield from ROOT.glob("*.py")


def test_no_file_is_too_long():
    lines = {path: len(path.read_text().splitlines()) for path in python_files()}
    long = {str(path.relative_to(ROOT)) for path, count in lines.items() if count > MOST_LINES}
    assert long == set(), f"more than {MOST_LINES} lines: split them"


@pytest.mark.parametrize("root", ["hw", "sim"])
def test_every_module_has_a_test_of_its_name(root):
    package = ROOT / root / f"systolith_{root}"
    modules = [path.relative_to(package) for path in package.rglob("*.py")]
    missing = {
        path.as_posix()
        for path in modules
        if path.name != "__init__.py"
        and path.parts[0] != "bench"
        and not (ROOT / "tests" / root / path.parent / f"test_{path.name}").exists()
    }
    assert missing == set(), f"write tests/{root}/FOLDER/test_MODULE.py for them"


def test_a_test_runs_every_bench():
    # Benches are themselves tests, which run inside of the simulator.
    texts = [path.read_text() for path in (ROOT / "tests").rglob("test_*.py")]
    texts += [path.read_text() for path in (ROOT / "host/systolith_host/lab").rglob("*.py")]
    for bench in (ROOT / "sim" / "systolith_sim" / "bench").glob("bench_*.py"):
        name = f'"systolith_sim.bench.{bench.stem}"'
        assert any(name in text for text in texts), f"no test runs {name}"
