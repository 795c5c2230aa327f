"""What stands in the way of a network, grouped by operator and reason."""

import re
from collections.abc import Sequence

from rich.text import Text

from systolith_host.frontend.problems import Problem
from systolith_host.frontend.remedies import remedy

__all__ = ["host_list", "problem_list"]


def problem_list(problems: Sequence[Problem], what: str) -> Text:
    """Return the problems of a file, those of one kind together, the most frequent first.

    Problems are of one kind if operator and reason are the same but for numbers.

    Parameters
    ----------
    problems : sequence of Problem
    what : str
        The file.
    """
    lines, groups = _grouped(problems)
    nodes = "node is" if len(problems) == 1 else "nodes are"
    reasons = f" for {groups} reasons" if groups > 1 else ""
    lines.append(f"{what}: cannot run: {len(problems)} {nodes} not supported{reasons}")
    return Text("\n".join(lines))


def host_list(problems: Sequence[Problem]) -> Text:
    """Return the nodes that the host computes, as :func:`problem_list` does."""
    lines, _ = _grouped(problems)
    nodes = "node" if len(problems) == 1 else "nodes"
    lines.append(f"the host computes {len(problems)} {nodes}; --no-host-nodes refuses them")
    return Text("\n".join(lines))


def _grouped(problems: Sequence[Problem]) -> tuple[list[str], int]:
    """Return lines of the problems, those of a kind together, and the number of kinds."""
    groups: dict[tuple[str, str], list[Problem]] = {}
    for problem in problems:
        kind = (problem.operator, re.sub(r"\d+", "#", problem.reason))
        groups.setdefault(kind, []).append(problem)
    lines = []
    for found in sorted(groups.values(), key=len, reverse=True):
        first = found[0]
        lines.append(f"{len(found)} x {first.operator}: {' '.join(first.reason.split())}")
        lines.append(f"    nodes: {', '.join(' '.join(each.name.split()) for each in found)}")
        takes = remedy(first)
        if takes is not None:
            lines.append(f"    would take: {takes}")
    return lines, len(groups)
