"""What is changed to make a mutant: operators of Cosmic Ray, and two for gateware."""

from collections.abc import Iterator

from cosmic_ray.operators.operator import Example, Operator
from cosmic_ray.operators.provider import OperatorProvider
from parso import parse
from parso.python.tree import Keyword
from parso.tree import NodeOrLeaf

__all__ = ["OPERATORS", "DeleteStatement", "NegateIf"]

Position = tuple[tuple[int, int], tuple[int, int]]
"""Line and column of the start and of the end."""

SILENT = ("log", "logging", "print", "warnings")
"""Calls that only tell something."""


class DeleteStatement(Operator):
    """Leaves out an augmented assignment, as all of gateware's are, or a call without a value."""

    def mutation_positions(self, node: NodeOrLeaf) -> Iterator[Position]:
        if node.parent is None or node.parent.type != "simple_stmt":
            return
        children = getattr(node, "children", ())
        if node.type == "expr_stmt":
            wanted = children[1].type == "operator" and children[1].value not in ("=", ":=")
        else:
            wanted = (
                node.type == "atom_expr"
                and children[-1].type == "trailer"
                and children[-1].children[0].value == "("
                and children[0].get_code(include_prefix=False) not in SILENT
            )
        if wanted:
            yield node.start_pos, node.end_pos

    def mutate(self, node: NodeOrLeaf, index: int) -> NodeOrLeaf:
        return Keyword("pass", node.start_pos, node.get_first_leaf().prefix)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (
            Example("m.d.sync += x.eq(1)\n", "pass\n"),
            Example("rows.append(1)\n", "pass\n"),
        )


class NegateIf(Operator):
    """Inverts the condition of gateware's `m.If` or `m.Elif`."""

    def mutation_positions(self, node: NodeOrLeaf) -> Iterator[Position]:
        if node.type == "atom_expr" and len(node.children) == 3:
            name, choice, call = node.children
            if (
                name.type == "name"
                and choice.get_code() in (".If", ".Elif")
                and call.type == "trailer"
            ):
                yield call.children[1].start_pos, call.children[1].end_pos

    def mutate(self, node: NodeOrLeaf, index: int) -> NodeOrLeaf:
        call = node.children[2]
        call.children[1] = parse(f"({call.children[1].get_code()}) == 0")
        return node

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (
            Example("with m.If(a & b): pass\n", "with m.If((a & b) == 0): pass\n"),
            Example("with m.Elif(a): pass\n", "with m.Elif((a) == 0): pass\n"),
        )


BINARY = {
    "Add": ("Sub",),
    "Sub": ("Add",),
    "Mul": ("Add", "FloorDiv"),
    "Div": ("Mul",),
    "FloorDiv": ("Mul",),
    "Mod": ("FloorDiv",),
    "Pow": ("Mul",),
    "RShift": ("LShift",),
    "LShift": ("RShift",),
    "BitOr": ("BitAnd", "BitXor"),
    "BitAnd": ("BitOr", "BitXor"),
    "BitXor": ("BitOr", "BitAnd"),
}
"""Others mostly end in a TypeError, and a test that notices that says nothing about itself."""

COMPARISONS = {
    "Eq": ("NotEq", "LtE", "GtE"),
    "NotEq": ("Eq", "Lt", "Gt"),
    "Lt": ("LtE", "GtE", "NotEq"),
    "LtE": ("Lt", "Gt", "Eq"),
    "Gt": ("GtE", "LtE", "NotEq"),
    "GtE": ("Gt", "Lt", "Eq"),
    "Is": ("IsNot",),
    "IsNot": ("Is",),
}


def _pairs(choices: dict[str, tuple[str, ...]]) -> Iterator[tuple[str, str]]:
    return ((old, new) for old, some in choices.items() for new in some)


NAMES = (
    *(f"ReplaceBinaryOperator_{old}_{new}" for old, new in _pairs(BINARY)),
    *(f"ReplaceComparisonOperator_{old}_{new}" for old, new in _pairs(COMPARISONS)),
    *(f"ReplaceUnaryOperator_Delete_{old}" for old in ("USub", "Invert", "Not")),
    "AddNot",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "NumberReplacer",
    "ZeroIterationForLoop",
)
"""Without those of exceptions and decorators: what `@cache` or `@njit` changes is no result."""

_PROVIDER = OperatorProvider()
OPERATORS: dict[str, Operator] = {
    **{name: _PROVIDER[name]() for name in NAMES},
    **{one.__name__: one() for one in (DeleteStatement, NegateIf)},
}
