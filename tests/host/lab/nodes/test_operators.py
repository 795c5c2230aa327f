"""The operator tests of the package onnx: passed, or refused by name; never anything else."""

from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from systolith_host.cli.views.operators import operator_page
from systolith_host.lab.nodes.axes import lifted
from systolith_host.lab.nodes.cases import CLAIMED, VERSION, NodeTest, node_tests
from systolith_host.lab.nodes.operators import OUTCOMES, count_verdicts, judge_node
from systolith_host.network.forward import run_float

PAGE = Path(__file__).parents[4] / "docs" / "operators.md"


@cache
def suite() -> tuple[NodeTest, ...]:
    return tuple(node_tests())


def named(name):
    (test,) = [test for test in suite() if test.name == name]
    return test


def test_none_is_wrong_and_the_page_has_the_counts(tmp_path):
    verdicts = [judge_node(test, tmp_path) for test in suite()]
    assert [verdict for verdict in verdicts if verdict.outcome == "wrong"] == []
    for verdict in verdicts:
        assert bool(verdict.reason) == (verdict.outcome in ("refused", "onnxruntime")), verdict
    counts = count_verdicts(verdicts)
    assert PAGE.read_text() == operator_page(counts, verdicts, VERSION)


def test_every_claimed_operator_has_suite():
    # Those of integers have no input that a network could start from.
    integers = {"QLinearConv", "QLinearMatMul", "ConstantOfShape", "Constant"}
    assert CLAIMED - integers <= {test.operator for test in suite()}


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("test_basic_conv_with_padding", "array"),
        ("test_add", "array"),
        ("test_maxpool_2d_same_upper", "array"),
        ("test_softsign", "array"),
        ("test_slice", "array"),
        ("test_cos", "host"),
        ("test_transpose_all_permutations_4", "host"),
        ("test_maxpool_3d_default", "refused"),
        ("test_argmax_default_axis_example", "refused"),
        ("test_resize_downsample_scales_linear_align_corners", "onnxruntime"),
    ],
)
def test_outcomes_that_are_known(name, outcome, tmp_path):
    assert judge_node(named(name), tmp_path).outcome == outcome


def test_another_result_of_onnx_is_told_from_a_fault(monkeypatch, tmp_path):
    test = named("test_basic_conv_with_padding")
    changed = {name: values + 1 for name, values in test.alone.wanted.items()}
    other = replace(test, alone=replace(test.alone, wanted=changed))
    assert judge_node(other, tmp_path).outcome == "onnxruntime"

    def off(*arguments):
        return [(name, values + 1) for name, values in run_float(*arguments)]

    monkeypatch.setattr("systolith_host.lab.nodes.operators.run_float", off)
    verdict = judge_node(test, tmp_path)
    assert (verdict.outcome, verdict.reason) == ("wrong", "output y is not onnx's")


def test_a_traceback_is_wrong(monkeypatch, tmp_path):
    def fail(*_, **__):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("systolith_host.lab.nodes.operators.inspect_onnx", fail)
    verdict = judge_node(suite()[0], tmp_path)
    assert (verdict.outcome, verdict.reason) == ("wrong", "ZeroDivisionError: by zero")


def test_verdicts_are_counted_by_operator(tmp_path):
    chosen = [test for test in suite() if test.operator in ("Relu", "Cos")]
    counts = count_verdicts(judge_node(test, tmp_path) for test in chosen)
    assert list(counts) == ["Relu", "others"]
    assert all(list(each) == list(OUTCOMES) for each in counts.values())
    assert Counter(counts["Relu"])["array"] >= 1


@pytest.mark.parametrize(
    ("node", "inputs"),
    [
        (helper.make_node("Softmax", ["x"], ["y"], axis=0), []),
        (helper.make_node("ArgMax", ["x"], ["y"]), []),
        (helper.make_node("Transpose", ["x"], ["y"], perm=[1, 2, 0]), []),
        (helper.make_node("Transpose", ["x"], ["y"]), []),
        (helper.make_node("Reshape", ["x", "s"], ["y"]), [np.array([4, -1, 2])]),
        (helper.make_node("ReduceMean", ["x", "a"], ["y"]), [np.array([-1, 1])]),
        (helper.make_node("Unsqueeze", ["x", "a"], ["y"]), [np.array([1])]),
        (helper.make_node("Add", ["x", "b"], ["y"]), [np.ones(4, np.float32)]),
    ],
)
def test_a_node_with_one_more_axis_makes_the_same(node, inputs):
    x = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
    wanted = np.asarray(evaluate(node, x, *inputs))
    made = lifted(node, [x, *inputs], [wanted], 0)
    assert made is not None
    assert made.given[0].shape == (1, 2, 3, 4)
    np.testing.assert_array_equal(evaluate(made.node, *made.given), made.wanted[0])


def evaluate(node, *inputs):
    """Return a node's output by onnx's own evaluator."""
    from onnx.reference import ReferenceEvaluator  # it takes a moment

    values = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
        for name, x in zip(node.input, inputs, strict=True)
    ]
    output = helper.make_empty_tensor_value_info(node.output[0])
    graph = helper.make_graph([node], "g", values, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    found = ReferenceEvaluator(model).run(None, dict(zip(node.input, inputs, strict=True)))
    return next(iter(found))
