"""Outcomes of onnx's operator tests as a page in Markdown."""

from collections.abc import Mapping, Sequence

from systolith_host.lab.nodes.operators import OUTCOMES, Verdict

__all__ = ["operator_page", "operator_table"]

_HEADS = {"host": "with the host", "onnxruntime": "as onnxruntime only"}


def operator_table(counts: Mapping[str, Mapping[str, int]]) -> str:
    """Return a line for each operator, and one for all; parameters as of `count_verdicts`."""
    total = {each: sum(count[each] for count in counts.values()) for each in OUTCOMES}
    lines = [
        ["operator", "tests", *(_HEADS.get(each, each) for each in OUTCOMES)],
        ["---", *["---:"] * (1 + len(OUTCOMES))],
        *(
            [name, *(f"{number:,}" for number in (sum(count.values()), *count.values()))]
            for name, count in {**counts, "all": total}.items()
        ),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def operator_page(
    counts: Mapping[str, Mapping[str, int]], verdicts: Sequence[Verdict], version: str
) -> str:
    """Return docs/operators.md.

    Parameters
    ----------
    counts, verdicts
        As of :func:`~systolith_host.lab.nodes.operators.count_verdicts`.
    version : str
        Of onnx.
    """
    differ = [one for one in verdicts if one.outcome == "onnxruntime"]
    total = sum(count for each in counts.values() for count in each.values())
    return f"""# onnx's tests of its operators

`systolith lab operators --out docs/operators.md` writes this page. The package onnx ({version})
carries tests of its operators: a node, its inputs, and the outputs that the standard demands. The
{total:,} tests below are those with tensors alone and an input of floats. Each becomes a network
with one input; the others are constants, or parts of the one input. Tensors of one or three axes
get one more in front where the node can have it.

A test passes on the array if the node alone runs there, on a configuration with tables. Otherwise
it runs behind a layer, and before another one where that fits, with the host's nodes. A network
that runs is compared three times: its float outputs with onnx's and with onnxruntime's, and each
layer's integers with the float layer. If neither side takes it, an error names the node or the
input and says why.

{operator_table(counts)}

"others" are operators without a counterpart in the array. Most refusals are of inputs that are
neither images nor vectors, of attention, and of nodes that mix the images of a batch. In
{len(differ)} tests onnxruntime gives something else than onnx, and so does the host:
{_listed(differ)}.
"""


def _listed(verdicts: Sequence[Verdict]) -> str:
    return ",\n".join(f"`{one.name}`" for one in verdicts) or "none"
