"""The parts of the code that are mutated, and the tests that may notice a mutant of a file."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import grimp

__all__ = ["Area", "Tree"]


@dataclass(frozen=True)
class Area:
    """A part of the code.

    Attributes
    ----------
    name : str
    sources, tests : tuple of str
        Folders and files, from the root of the tree; tests in the order in which they run.
    """

    name: str
    sources: tuple[str, ...]
    tests: tuple[str, ...]


class Tree:
    """A tree of sources and tests.

    Parameters
    ----------
    root : Path
    areas : Path
        A file in the form of areas.toml.
    """

    def __init__(self, root: Path, areas: Path) -> None:
        self.root = root
        told = tomllib.loads(areas.read_text("utf-8"))
        self.roots = tuple(told["roots"])
        self.areas = tuple(
            Area(name, tuple(one["sources"]), tuple(one["tests"]))
            for name, one in told["area"].items()
        )

    def sources(self, area: Area) -> list[str]:
        """Return the files of an area, in order."""
        return list(self._files(area.sources, "*.py"))

    def tests(self, area: Area, path: str) -> list[str]:
        """Return the files of tests that import a module, the nearest first.

        That of its own name comes first, wherever the area's tests begin; then they follow the
        area's folders, and in each the number of imports between test and module.
        """
        module = self._module(path)
        found = []
        for place, start in enumerate(area.tests):
            for test in self._files((start,), "test_*.py"):
                steps = self._steps(test, module)
                if steps is not None:
                    own = Path(test).name == f"test_{Path(path).name}"
                    found.append((not (own and steps == 1), place, steps, test))
        return list(dict.fromkeys(test for *_, test in sorted(found)))

    def _files(self, starts: tuple[str, ...], pattern: str) -> Iterator[str]:
        for start in starts:
            path = self.root / start
            for one in [path] if path.is_file() else sorted(path.rglob(pattern)):
                yield one.relative_to(self.root).as_posix()

    def _module(self, path: str) -> str:
        root = next(root for root in self.roots if path.startswith(f"{root}/"))
        return (
            path.removeprefix(f"{root}/")
            .removesuffix(".py")
            .removesuffix("/__init__")
            .replace("/", ".")
        )

    @cached_property
    def _imports(self) -> grimp.ImportGraph:
        packages = [
            one.parent.name
            for root in self.roots
            for one in sorted((self.root / root).glob("*/__init__.py"))
        ]
        sys.path[:0] = [str(self.root / root) for root in self.roots]
        try:
            return grimp.build_graph(*packages, cache_dir=None)
        finally:
            del sys.path[: len(self.roots)]

    def _steps(self, test: str, module: str) -> int | None:
        """Return the length of the shortest way of imports from a test to a module."""
        folders = [self.root / folder for folder in Path(test).parents]
        files = [self.root / test, *(folder / "conftest.py" for folder in folders)]
        ways = []
        for name in {name for file in files if file.exists() for name in _imported(file)}:
            if name == module:
                return 1
            if name in self._imports.modules:
                way = self._imports.find_shortest_chain(name, module)
                if way:
                    ways.append(len(way))
        return min(ways, default=None)


def _imported(file: Path) -> Iterator[str]:
    """Yield the names of modules that a file imports, and of what may be modules."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)
