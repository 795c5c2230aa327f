"""What `check` says of a network that cannot run."""

import pytest

from systolith_host.cli.views.problems import problem_list
from systolith_host.frontend.operators import OPERATORS
from systolith_host.frontend.problems import Problem
from systolith_host.frontend.remedies import _BY_OPERATOR, remedy

NOTHING = "has no counterpart on the accelerator, which computes convolutions"


def test_problems_of_one_kind_stand_together_the_most_frequent_first():
    problems = [
        Problem("a", "Resize", NOTHING),
        Problem("b", "Add", "adds (4, 8, 8) and (4, 1, 1): shapes must agree"),
        Problem("c", "Add", "adds (16, 2, 2) and (16, 1, 1): shapes must agree"),
        Problem("d", "Add", "must have its constant on the right"),
        Problem("e", "Frob", "operators of domain com.acme are not supported"),
    ]
    lines = str(problem_list(problems, "net.onnx")).splitlines()
    assert lines[0] == "2 x Add: adds (4, 8, 8) and (4, 1, 1): shapes must agree"
    assert lines[1] == "    nodes: b, c"
    assert lines[2].startswith("1 x Resize: has no counterpart")
    assert lines[4].startswith("    would take: in the accelerator, other addresses of LOAD")
    assert lines[-2] == "    would take: in the model, the same with ONNX's own operators"
    assert lines[-1] == "net.onnx: cannot run: 5 nodes are not supported for 4 reasons"


def test_one_problem():
    text = str(problem_list([Problem("a", "Sin", NOTHING)], "net.onnx"))
    assert text.endswith("net.onnx: cannot run: 1 node is not supported")
    assert "would take: a host that computes parts of a network" in text


def test_names_with_line_breaks_keep_to_their_line():
    text = str(problem_list([Problem("a\nb", "Sin", f"{NOTHING}\nand more")], "net.onnx"))
    assert len(text.splitlines()) == 4
    assert "nodes: a b" in text


@pytest.mark.parametrize("operator", ["Tile", "LSTM", "LayerNormalization", "Tan"])
def test_operators_without_a_counterpart_have_a_remedy(operator):
    assert operator not in OPERATORS
    assert remedy(Problem("a", operator, NOTHING)) is not None


def test_reasons_that_name_the_way_out_stand_alone():
    assert remedy(Problem("a", "Gemm", "adds another bias; export it with a batch of 1")) is None
    assert all(text and not text.endswith(".") for text in _BY_OPERATOR.values())
