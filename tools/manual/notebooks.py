"""Pages of the manual as notebooks: the tests run them, and those of examples/ are saved.

`python tools/manual/notebooks.py` writes examples/*.ipynb, without outputs, from the tutorials.

A block of bash or Python is a cell. A block with a title is a file that the reader writes. A block
of text after a cell is what it prints; "..." stands for anything. Comments in front of a block:

    <!-- test: COMMANDS -->     these run in the tests instead, because the block takes long or
                                needs PyTorch
    <!-- not run: REASON -->    the block needs what a test does not have; it stays text
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from posixpath import normpath, relpath
from textwrap import dedent
from typing import Any

__all__ = ["PAGES", "SAVED", "Block", "blocks_of", "notebook_of", "saved_text"]

ROOT = Path(__file__).parents[2]

PAGES = [
    ROOT / "docs" / "start.md",
    *sorted((ROOT / "docs" / "tutorials").glob("*.md")),
    *sorted((ROOT / "docs" / "how-to").glob("*.md")),
    *sorted((ROOT / "docs" / "explanation").glob("*.md")),
]
"""The pages whose blocks the tests run."""

SAVED = {
    "onnx.ipynb": ROOT / "docs" / "tutorials" / "onnx.md",
    "accelerator.ipynb": ROOT / "docs" / "tutorials" / "accelerator.md",
    "sweep.ipynb": ROOT / "docs" / "tutorials" / "sweep.md",
}
"""The notebooks of examples/ and the pages that they are made of."""

FENCE = re.compile(r'^( *)```(\w+)(?: title="([^"]+)")?\n(.*?)^\1```\n', re.M | re.S)
COMMENT = re.compile(r"<!-- (test|not run): (.+?) -->\n\Z", re.S)


@dataclass
class Block:
    """A piece of a page: prose, or a fenced block.

    Parameters
    ----------
    kind : str
        "prose", or the language of the fence.
    text : str
    title : str
        Name of the file that the block is.
    cheap : str
        Runs in the tests instead.
    skipped : str
        Why no test runs it.
    printed : str
        What it prints.
    """

    kind: str
    text: str
    title: str = ""
    cheap: str = ""
    skipped: str = ""
    printed: str = ""

    @property
    def runs(self) -> bool:
        """Whether it is a cell of a notebook."""
        return not self.skipped and (self.kind in ("bash", "python") or bool(self.title))


def blocks_of(page: str) -> Iterator[Block]:
    """Return the blocks of a page; what a block prints goes with it."""
    found: list[Block] = []
    end = 0
    for match in FENCE.finditer(page):
        prose = page[end : match.start()]
        end = match.end()
        comment = COMMENT.search(prose)
        if comment:
            prose = prose[: comment.start()]
        if prose.strip():
            found.append(Block("prose", prose.strip()))
        kind, title, text = match[2], match[3] or "", dedent(match[4])
        if kind == "text" and found and found[-1].runs and not found[-1].printed:
            found[-1].printed = text
            continue
        told = dict([comment.groups()]) if comment else {}
        found.append(
            Block(
                kind, text, title, told.get("test", ""), " ".join(told.get("not run", "").split())
            )
        )
    if page[end:].strip():
        found.append(Block("prose", page[end:].strip()))
    yield from found


def _cell(block: Block, testing: bool) -> tuple[str, str]:
    """Return kind and source of the cell of a block."""
    text = (block.cheap if testing and block.cheap else block.text).rstrip("\n")
    if not block.runs:
        fenced = block.kind != "prose"
        return "markdown", f"```{block.kind}\n{text}\n```" if fenced else text
    if block.title:
        return "code", f"%%writefile {block.title}\n{text}"
    return "code", f"%%bash\n{text}" if block.kind == "bash" else text


def notebook_of(page: Path, testing: bool = False) -> dict[str, Any]:
    """Return a page as a notebook without outputs.

    With `testing` long blocks have their cheap form, and the metadata of a cell say what is to be
    printed.
    """
    cells = []
    for number, block in enumerate(blocks_of(page.read_text())):
        kind, source = _cell(block, testing)
        if kind == "markdown":
            source = _links(source, page)
        cell: dict[str, Any] = {
            "cell_type": kind,
            "id": f"cell-{number}",
            "metadata": {},
            "source": source.splitlines(keepends=True),
        }
        if kind == "code":
            cell |= {"execution_count": None, "outputs": []}
        if testing:
            cell["metadata"] = {"printed": "" if block.cheap else block.printed}
            cell["source"] = source
        cells.append(cell)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def _links(text: str, page: Path) -> str:
    """Return links of a page as they are from examples/."""
    here = page.parent.relative_to(ROOT).as_posix()

    def turned(match: re.Match[str]) -> str:
        if "://" in match[1]:
            return match[0]
        return f"]({relpath(normpath(f'{here}/{match[1]}'), 'examples')}{match[2]})"

    return re.sub(r"\]\(([^)#\s]+)([^)]*)\)", turned, text)


def saved_text(page: Path) -> str:
    """Return the content of a notebook of examples/."""
    return json.dumps(notebook_of(page), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name, page in SAVED.items():
        (ROOT / "examples" / name).write_text(saved_text(page))
        print(f"examples/{name}", file=sys.stderr)
