"""Requirements, the tests and proofs that carry their tags, and each preset's stage.

`python tools/manual/requirements.py` writes them into docs/verification.md.
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT / part) for part in ("host", "sim", "hw", "tools")]

from manual.figures import Share, least  # noqa: E402
from manual.tables import table  # noqa: E402
from systolith_host.cli.page import split_page  # noqa: E402
from systolith_hw.spec.compat import tomllib  # noqa: E402

__all__ = ["Goal", "Requirement", "Shown", "page", "read", "shown", "stages"]

PAGE = ROOT / "docs" / "verification.md"
BEGIN, END = "<!-- tools/manual/requirements.py -->\n", "<!-- end of the requirements -->\n"
PROOFS = "tests/sim/formal/"


@dataclass(frozen=True)
class Requirement:
    """Something that the accelerator promises; see tests/requirements.toml."""

    tag: str
    stage: int
    text: str
    each: bool = False


@dataclass(frozen=True)
class Goal:
    """A share that stage 3 needs.

    Parameters
    ----------
    text : str
    wanted : float
        In per cent.
    command : str
        Finds it.
    found : Share, optional
        The least one of the command's file; None if it was not measured.
    """

    text: str
    wanted: float
    command: str
    found: Share | None

    @property
    def reached(self) -> bool:
        """Whether what was found is enough."""
        if self.found is None:
            return False
        return 100 * self.found.reached >= self.wanted * self.found.total


@dataclass(frozen=True)
class Shown:
    """A test that carries a tag: its file, its name, and the presets on which it shows it."""

    tag: str
    file: str
    test: str
    presets: tuple[str, ...]


def read(path: Path = ROOT / "tests" / "requirements.toml") -> tuple[list[Requirement], list[Goal]]:
    """Return the requirements and goals of a file.

    Raises
    ------
    ValueError
        If a tag stands there twice.
    """
    with path.open("rb") as file:
        found = tomllib.load(file)
    requirements = [Requirement(**one) for one in found["requirement"]]
    tags = [one.tag for one in requirements]
    for tag in tags:
        if tags.count(tag) > 1:
            raise ValueError(f"{path}: {tag} is there twice")
    goals = [
        Goal(one["text"], one["wanted"], one["command"], least(ROOT / one["stored"], one["figure"]))
        for one in found.get("goal", [])
    ]
    return requirements, goals


def shown(folder: Path = ROOT / "tests") -> list[Shown]:
    """Return what the tests of a folder carry, by file and line."""
    found = []
    for path in sorted(folder.rglob("test_*.py")):
        text = path.read_text("utf-8")
        if "mark.requirement(" in text:
            name = path.relative_to(folder.parent).as_posix()
            found += [Shown(tag, name, *rest) for tag, *rest in _marks(ast.parse(text))]
    return found


def _marks(module: ast.Module) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    constants = {
        statement.targets[0].id: statement.value
        for statement in module.body
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
    }
    for function in module.body:
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for mark in function.decorator_list:
            if not (isinstance(mark, ast.Call) and ast.unparse(mark.func).endswith(".requirement")):
                continue
            presets: Any = ()
            for keyword in mark.keywords:
                value = keyword.value
                if isinstance(value, ast.Name):
                    value = constants[value.id]
                presets = ast.literal_eval(value)
            for tag in mark.args:
                yield ast.literal_eval(tag), function.name, tuple(presets)


def stages(
    requirements: list[Requirement], goals: list[Goal], carried: list[Shown]
) -> dict[str, int]:
    """Return the stage of each preset that some test names, 0 to 3.

    Stage 1 needs the requirements of stage 1, on the preset itself where they ask for it; stage 2
    all of them; stage 3 also the goals.
    """
    presets = list(dict.fromkeys(preset for one in carried for preset in one.presets))

    def holds(one: Requirement, preset: str) -> bool:
        mine = [each for each in carried if each.tag == one.tag]
        return any(preset in each.presets for each in mine) if one.each else bool(mine)

    def reached(preset: str) -> int:
        for stage in (1, 2):
            if not all(holds(one, preset) for one in requirements if one.stage <= stage):
                return stage - 1
        return 3 if goals and all(one.reached for one in goals) else 2

    return {preset: reached(preset) for preset in presets}


def _name(one: Shown) -> str:
    kind = "proof " if one.file.startswith(PROOFS) else ""
    says = one.test.removeprefix("test_").replace("_", " ")
    return f"{kind}`{one.file}`: {says}"


def _goal(one: Goal) -> tuple[str, ...]:
    share = one.found
    if share is None:
        return one.text, f"{one.wanted:g} %", "not measured", "", f"`{one.command}`"
    found = f"{share.percent:g} % of {share.total:,}"
    return one.text, f"{one.wanted:g} %", found, share.name, f"`{one.command}`; {share.tool}"


def page() -> str:
    """Return the tables of the page."""
    requirements, goals = read()
    carried = shown()
    reached = stages(requirements, goals, carried)
    rows = []
    for one in requirements:
        mine = [each for each in carried if each.tag == one.tag]
        tests = ", ".join(_name(each) for each in mine)
        where = "each preset" if one.each else "small ones"
        rows.append((one.tag, one.text, f"V{one.stage}", where, tests))
    parts = [
        table(
            ("preset", "stage"),
            [(f"`{preset}`", f"V{stage}") for preset, stage in reached.items()],
        ),
        table(
            ("goal of V3", "wanted", "found, least of all", "in", "by"),
            [_goal(one) for one in goals],
        )
        if goals
        else "",
        table(("tag", "requirement", "stage", "shown on", "by"), rows),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


if __name__ == "__main__":
    before, after = split_page(PAGE, BEGIN, END)
    PAGE.write_text(f"{before}{BEGIN}\n{page()}\n{END}{after}", "utf-8")
