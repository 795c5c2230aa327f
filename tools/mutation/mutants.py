"""All mutants of a file: where, what changes, and the text that results."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.mutating import mutate_code
from parso import parse
from parso.tree import NodeOrLeaf

from mutation.operators import OPERATORS

__all__ = ["Mutant", "Site", "changed", "sites"]

UNSEEN = ("assert_stmt", "decorator", "fstring", "import_from", "import_name", "raise_stmt")
"""Nodes that are left out. Assertions say what holds without them, decorators change no result, or
everything; the texts of errors are for people."""

TEXTS = ("__repr__", "__str__", "__rich__")
"""Methods that are left out: what they return is for people."""

PLACES = ("src_loc_at", "stacklevel")
"""Arguments that are left out: they only choose the line that a warning names."""


@dataclass(frozen=True)
class Mutant:
    """One change of one file.

    Attributes
    ----------
    path : str
        Of the file, from the root of the tree.
    line : int
        The first that changes, from 1.
    where : str
        The function or class around it, such as ``Queue.elaborate``, or ``module``.
    operator : str
    occurrence : int
        Which of the operator's places in this file, from 0.
    old, new : str
        The lines before and after, without what is equal around them or their indentation.
    """

    path: str
    line: int
    where: str
    operator: str
    occurrence: int
    old: str
    new: str

    @property
    def name(self) -> str:
        """What a reader calls it."""
        return f"{self.path}:{self.line} {self.where}: `{self.old}` -> `{self.new}`"


@dataclass(frozen=True)
class Site:
    """A place of a file, and the ways to change it: names of operators with their occurrences."""

    path: str
    line: int
    column: int
    where: str
    ways: tuple[tuple[str, int], ...]

    def mutant(self, root: Path, way: int) -> Mutant | None:
        """Return the mutant, or None if its text is not Python or is what it was."""
        text = (root / self.path).read_text("utf-8")
        operator, occurrence = self.ways[way]
        made = changed(text, operator, occurrence)
        try:
            same = compile(made, "", "exec") == compile(text, "", "exec")
        except SyntaxError:
            return None
        if same:
            return None
        old, new = _difference(text, made)
        return Mutant(self.path, self.line, self.where, operator, occurrence, old, new)


def changed(text: str, operator: str, occurrence: int) -> str:
    """Return a file's text as this mutant has it."""
    made = mutate_code(text, OPERATORS[operator], occurrence)
    if made is None:
        raise ValueError(f"{operator} must have a place {occurrence} in the file")
    return made


def sites(text: str, path: str) -> list[Site]:
    """Return the places of a file that can be mutated, from its start to its end."""
    found: dict[tuple[int, int], list[tuple[str, int]]] = {}
    owners: dict[tuple[int, int], str] = {}
    seen = dict.fromkeys(OPERATORS, 0)
    for node, hidden in _walk(parse(text), False):
        for name, operator in OPERATORS.items():
            for start, _ in operator.mutation_positions(node):
                if not hidden:
                    found.setdefault(start, []).append((name, seen[name]))
                    owners[start] = _owner(node)
                seen[name] += 1
    return [Site(path, *start, owners[start], tuple(found[start])) for start in sorted(found)]


def _walk(node: NodeOrLeaf, hidden: bool) -> Iterator[tuple[NodeOrLeaf, bool]]:
    """Yield nodes in the order in which Cosmic Ray counts them, and whether they are left out."""
    yield node, hidden
    for child in getattr(node, "children", ()):
        yield from _walk(child, hidden or _left_out(child))


def _left_out(node: NodeOrLeaf) -> bool:
    parent = node.parent
    if node.type in UNSEEN:
        return True
    if node.type == "funcdef":
        return node.name.value in TEXTS
    if node.type == "expr_stmt":
        return node.children[0].get_code(include_prefix=False) == "__all__"
    if node.type == "if_stmt":
        return node.children[1].get_code(include_prefix=False) == "TYPE_CHECKING"
    if node.type == "argument":
        return node.children[0].get_code(include_prefix=False) in PLACES
    if parent.type == "tfpdef":
        return node is parent.children[-1]
    if parent.type == "funcdef":
        return node is parent.annotation
    if parent.type == "annassign" and node is parent.children[1]:
        # Amaranth reads those with a call: `i: In(8)`.
        return "(" not in node.get_code()
    return False


def _owner(node: NodeOrLeaf) -> str:
    names = []
    while node.parent is not None:
        node = node.parent
        if node.type in ("funcdef", "classdef"):
            names.append(node.name.value)
    return ".".join(reversed(names)) or "module"


def _difference(old: str, new: str) -> tuple[str, str]:
    """Return the lines that differ, each as one text."""
    before, after = old.splitlines(), new.splitlines()
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    blocks = [block for block in matcher.get_opcodes() if block[0] != "equal"]
    lines = before[blocks[0][1] : blocks[-1][2]], after[blocks[0][3] : blocks[-1][4]]
    first, second = (" ".join(" ".join(some).split()) for some in lines)
    return first, second
