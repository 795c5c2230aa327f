"""Every command and every block of Python of the manual's own pages runs and prints what it says.

A page is a notebook, and Jupyter's own client runs it.
"""

import os
import re
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from systolith_host.visual.browser import find_browser

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from manual.notebooks import PAGES, SAVED, blocks_of, notebook_of, saved_text  # noqa: E402

LIMIT = 1500
"""Seconds that a cell may take, on a busy machine with nothing compiled."""


@pytest.fixture
def started(tmp_path):
    """End what a page has started in the background, also where a cell has failed."""
    yield
    for file in tmp_path.glob("*.pid"):
        with suppress(ProcessLookupError, ValueError):
            os.kill(int(file.read_text()), signal.SIGKILL)


def printed(cell):
    """Return what a cell has printed or shown, without colours."""
    text = []
    for output in cell.get("outputs", []):
        if output.output_type == "stream" and output.name == "stdout":
            text.append(output.text)
        elif output.output_type == "execute_result":
            text.append(output.data.get("text/plain", ""))
    return re.sub(r"\x1b\[[\d;]*m", "", "".join(text))


def missing(wanted, text):
    """Return the first line that should have been printed and was not, in this order."""
    lines = iter([" ".join(line.split()) for line in text.splitlines()])
    for line in filter(None, (" ".join(line.split()) for line in wanted.splitlines())):
        pattern = re.compile(".*".join(map(re.escape, line.split("..."))))
        if line != "..." and not any(pattern.fullmatch(each) for each in lines):
            return line
    return None


def needs_browser(page):
    return "--picture" in page.read_text() and find_browser() is None


@pytest.mark.rtl
@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_the_blocks_of_a_page_run(page, tmp_path, started, monkeypatch):
    if needs_browser(page):
        pytest.skip("no Chrome or Chromium: apt-get install chromium")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook: Any = nbformat.from_dict(notebook_of(page, testing=True))
    resources = {"metadata": {"path": str(tmp_path)}}
    # A busy machine needs more than the 4 seconds that nbclient waits for what was printed.
    client = NotebookClient(
        notebook, timeout=LIMIT, iopub_timeout=60, kernel_name="python3", resources=resources
    )
    client.execute()
    for cell in notebook.cells:
        text = printed(cell)
        line = missing(cell.metadata.printed, text)
        assert line is None, f"{page.name} says {line!r}, printed was:\n{text}"


@pytest.mark.parametrize("name", SAVED)
def test_saved_notebooks_are_those_of_their_pages(name):
    file = ROOT / "examples" / name
    assert file.read_text() == saved_text(SAVED[name]), "run tools/manual/notebooks.py"
    nbformat.validate(nbformat.read(file, as_version=4))


def test_a_block_that_does_not_run_says_why():
    for page in PAGES:
        for block in blocks_of(page.read_text()):
            assert not block.skipped or len(block.skipped) > 10
            assert block.kind in ("prose", "bash", "python", "text") or block.title
            assert block.kind != "prose" or "```" not in block.text, "a fence that is no block"


def test_what_is_not_printed_is_noticed():
    assert missing("a 1\n...\nb ... 3\n", "a  1\nx\nb 2 3\n") is None
    assert missing("b\na\n", "a\nb\n") == "a"
    assert missing("12 cycles\n", "13 cycles\n") == "12 cycles"


def test_blocks_are_found():
    page = "One.\n\n<!-- test: true -->\n```bash\nsleep 9\n```\n\n```text\nout\n```\n\nTwo.\n"
    page += '```toml title="a.toml"\nb = 1\n```\n<!-- not run: needs a board -->\n```bash\nx\n```\n'
    page += "1. Three:\n\n    ```bash\n    one\n      two\n    ```\n"
    found = [(each.kind, each.cheap, each.runs) for each in blocks_of(page)]
    assert found == [
        ("prose", "", False),
        ("bash", "true", True),
        ("prose", "", False),
        ("toml", "", True),
        ("bash", "", False),
        ("prose", "", False),
        ("bash", "", True),
    ]
    assert [*blocks_of(page)][-1].text == "one\n  two\n"
    assert [each.printed for each in blocks_of(page)][1] == "out\n"
