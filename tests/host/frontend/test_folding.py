"""What is computed from constants, by shape and value, is what onnxruntime computes."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from systolith_host.errors import SystolithError
from systolith_host.frontend.judge import judge
from systolith_host.frontend.onnx import inspect_onnx, read_onnx

N = helper.make_node
WEIGHT = np.random.default_rng(1).standard_normal((4, 3, 3, 3)).astype(np.float32)


def model(nodes, constants, batch: str | int = "N", opset=17):
    """Return a model whose tensor "y" is the output; nodes make the rest from "x" and constants."""
    tensors = [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def judged(tmp_path, proto):
    path = tmp_path / "net.onnx"
    onnx.save(proto, path)
    made = read_onnx(path)
    line = judge(path, made, 16)
    assert line.startswith("float network equals onnxruntime"), line
    return made


FOUR = np.array([4], np.int64)

BIASES = {
    "ConstantOfShape": ([N("ConstantOfShape", ["n"], ["b"])], {"n": FOUR}),
    "ConstantOfShape with a value": (
        [
            N(
                "ConstantOfShape",
                ["n"],
                ["b"],
                value=numpy_helper.from_array(np.array([0.5], np.float32)),
            )
        ],
        {"n": FOUR},
    ),
    "Expand": ([N("Expand", ["k", "n"], ["b"])], {"k": np.float32(2), "n": FOUR}),
    "Range and Cast": (
        [N("Range", ["low", "high", "step"], ["r"]), N("Cast", ["r"], ["b"], to=1)],
        {"low": np.array(1), "high": np.array(9), "step": np.array(2)},
    ),
    "Tile": ([N("Tile", ["k", "n"], ["b"])], {"k": np.array([3], np.float32), "n": FOUR}),
    "Slice": (
        [N("Slice", ["k", "from", "to"], ["b"])],
        {"k": np.arange(9, dtype=np.float32), "from": np.array([2]), "to": np.array([6])},
    ),
    "Split": (
        [N("Split", ["k"], ["b", "other"], axis=0)],
        {"k": np.arange(8, dtype=np.float32)},
    ),
    "Pad": (
        [N("Pad", ["k", "p"], ["b"])],
        {"k": np.array([1, 2], np.float32), "p": np.array([1, 1])},
    ),
    "ReduceSum": (
        [N("ReduceSum", ["k", "axes"], ["b"], keepdims=0)],
        {"k": np.arange(8, dtype=np.float32).reshape(4, 2), "axes": np.array([1])},
    ),
    "ReduceMean of old": (
        [N("ReduceMean", ["k"], ["b"], axes=[1], keepdims=0)],
        {"k": np.arange(8, dtype=np.float32).reshape(4, 2)},
    ),
    "arithmetic": (
        [
            N("Pow", ["k", "two"], ["p"]),
            N("Max", ["p", "two"], ["q"]),
            N("Sum", ["q", "k", "k"], ["r"]),
            N("Exp", ["k"], ["e"]),
            N("Div", ["r", "e"], ["b"]),
        ],
        {"k": np.array([0, 1, 2, 3], np.float32), "two": np.float32(2)},
    ),
}


@pytest.mark.parametrize("case", BIASES)
def test_a_bias_that_is_computed(case, tmp_path):
    nodes, constants = BIASES[case]
    conv = N("Conv", ["x", "w", "b"], ["y"], "conv")
    judged(tmp_path, model([*nodes, conv], {"w": WEIGHT, **constants}))


@pytest.mark.parametrize("batch", ["N", 1])
def test_shape_arithmetic_of_exporters(batch, tmp_path):
    nodes = [
        N("Conv", ["x", "w"], ["c"], "conv"),
        N("Shape", ["c"], ["s"]),
        N("Slice", ["s", "zero", "one"], ["n"]),
        N("Slice", ["s", "one", "four"], ["rest"]),
        N("ReduceProd", ["rest"], ["count"], axes=[0], keepdims=1),
        N("Cast", ["count"], ["f"], to=TensorProto.FLOAT),
        N("Floor", ["f"], ["g"]),
        N("Cast", ["g"], ["i"], to=TensorProto.INT64),
        N("Concat", ["n", "i"], ["t"], axis=0),
        N("Reshape", ["c", "t"], ["y"], "reshape"),
    ]
    constants = {name: np.array([v]) for name, v in (("zero", 0), ("one", 1), ("four", 4))}
    made = judged(tmp_path, model(nodes, {"w": WEIGHT, **constants}, batch))
    assert made.graph.shapes[made.graph.output] == (4 * 6 * 6,)


def test_an_unknown_dimension_chosen_by_where(tmp_path):
    nodes = [
        N("Conv", ["x", "w"], ["c"], "conv"),
        N("ConstantOfShape", ["two"], ["ones"], value=numpy_helper.from_array(np.array([1]))),
        N("Mul", ["ones", "minus"], ["m"]),
        N("Equal", ["want", "m"], ["e"]),
        N("Where", ["e", "ones", "want"], ["t"]),
        N("Expand", ["one", "t"], ["k"]),
        N("Reshape", ["c", "t"], ["y"], "reshape"),
    ]
    constants = {
        "two": np.array([2]),
        "minus": np.array(-1),
        "want": np.array([-1, 144]),
        "one": np.float32(1),
    }
    judged(tmp_path, model(nodes, {"w": WEIGHT, **constants}, 1))


@pytest.mark.parametrize(
    ("nodes", "constants", "reason"),
    [
        (
            [N("ConstantOfShape", ["n"], ["b"], "fill")],
            {"n": np.array([1 << 40])},
            r"fill \(ConstantOfShape\): makes a constant of 1,099,511,627,776 elements",
        ),
        (
            [N("ConstantOfShape", ["n"], ["b"], "fill")],
            {"n": np.array([-3])},
            r"fill \(ConstantOfShape\): its sizes must be at least 0",
        ),
        (
            [N("Expand", ["k", "n"], ["b"], "fill")],
            {"k": np.float32(0), "n": np.array([1 << 20, 1 << 20])},
            r"fill \(Expand\): makes a constant of",
        ),
        (
            [N("Tile", ["k", "n"], ["b"], "fill")],
            {"k": np.zeros(4, np.float32), "n": np.array([1 << 40])},
            r"fill \(Tile\): makes a constant of",
        ),
        (
            [N("Range", ["a", "b1", "c"], ["r"], "fill"), N("Cast", ["r"], ["b"], to=1)],
            {"a": np.array(0), "b1": np.array(1 << 50), "c": np.array(1)},
            r"fill \(Range\): makes a constant of",
        ),
        (
            [N("Range", ["a", "b1", "c"], ["r"], "fill"), N("Cast", ["r"], ["b"], to=1)],
            {"a": np.array(0), "b1": np.array(9), "c": np.array(0)},
            r"fill \(Range\): a range from 0 to 9 by 0 has no end",
        ),
        (
            [N("Pad", ["k", "n"], ["b"], "fill")],
            {"k": np.array([1], np.float32), "n": np.array([1 << 40, 0])},
            r"fill \(Pad\): makes a constant of",
        ),
    ],
)
def test_what_would_take_too_much_memory_is_named(nodes, constants, reason, tmp_path):
    conv = N("Conv", ["x", "w", "b"], ["y"], "conv")
    onnx.save(model([*nodes, conv], {"w": WEIGHT, **constants}), tmp_path / "net.onnx")
    with pytest.raises(SystolithError, match=reason):
        read_onnx(tmp_path / "net.onnx")


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_sums_of_any_number_of_tensors(count, tmp_path):
    nodes = [N("Conv", ["x", "w"], [f"c{n}"], f"conv{n}") for n in range(count)]
    scales = [N("Mul", [f"c{n}", f"k{n}"], [f"m{n}"]) for n in range(count)]
    total = N("Sum", [f"m{n}" for n in range(count)], ["y"], "sum")
    constants = {f"k{n}": np.float32(n - 1.5) for n in range(count)}
    made = judged(tmp_path, model([*nodes, *scales, total], {"w": WEIGHT, **constants}))
    adds = [node.name for node in made.graph.nodes if type(node).__name__ == "Add"]
    assert adds == [f"sum.sum{n}" for n in range(count - 2)] + ["sum"] * (count > 1)


def test_a_sum_with_constants(tmp_path):
    nodes = [
        N("Conv", ["x", "w"], ["c"], "conv"),
        N("Sum", ["a", "b", "c", "b"], ["y"], "sum"),
    ]
    constants = {"a": np.float32(2), "b": np.ones((4, 1, 1), np.float32)}
    made = judged(tmp_path, model(nodes, {"w": WEIGHT, **constants}))
    assert [node.name for node in made.graph.nodes] == ["conv"]


def dense(shape, batch, rows=None):
    bias = np.random.default_rng(2).standard_normal(shape).astype(np.float32)
    if rows is not None:
        bias = np.repeat(bias[:1], rows, axis=0)
    weight = np.random.default_rng(3).standard_normal((192, 4)).astype(np.float32)
    nodes = [N("Flatten", ["x"], ["f"]), N("Gemm", ["f", "v", "b"], ["y"], "dense", beta=0.5)]
    return model(nodes, {"v": weight, "b": bias}, batch)


@pytest.mark.parametrize(
    ("shape", "batch", "rows"),
    [
        ((), "N", None),
        ((1,), "N", None),
        ((4,), "N", None),
        ((1, 4), "N", None),
        ((1, 1), "N", None),
        ((3, 4), 3, 3),
        ((3, 1), 3, 3),
    ],
)
def test_biases_of_every_shape(shape, batch, rows, tmp_path):
    judged(tmp_path, dense(shape, batch, rows))


def test_weights_that_are_one_number_take_no_memory(tmp_path):
    # As files that only show a network's form have them.
    value = numpy_helper.from_array(np.array([0.02], np.float32))
    nodes = [
        N("ConstantOfShape", ["n"], ["w"], value=value),
        N("Flatten", ["x"], ["f"]),
        N("Gemm", ["f", "w", "b"], ["y"], "dense", transB=1),
    ]
    large = {"n": np.array([100_000, 192]), "b": np.zeros(100_000, np.float32)}
    made = judged(tmp_path, model(nodes, large))
    weight = made.weights["dense"].weight
    assert weight.size > 1 << 24
    assert not any(weight.strides)
    large["n"] = np.array([1 << 21, 192])
    large["b"] = np.zeros(1, np.float32)
    onnx.save(model(nodes, large), tmp_path / "net.onnx")
    with pytest.raises(SystolithError, match="for constants that are one number"):
        read_onnx(tmp_path / "net.onnx")


@pytest.mark.parametrize("shape", [(3, 4), (3, 1)])
def test_another_bias_for_each_image_is_refused(shape, tmp_path):
    onnx.save(dense(shape, 3), tmp_path / "net.onnx")
    made, problems = inspect_onnx(tmp_path / "net.onnx")
    assert made is None
    assert [problem.name for problem in problems] == ["dense"]
    assert "another bias to each image of a batch" in problems[0].reason


HEAD = [N("Conv", ["x", "w"], ["c"], "conv"), N("GlobalAveragePool", ["c"], ["g"])]


@pytest.mark.parametrize(
    "tail",
    [
        [N("Softmax", ["g"], ["s"], axis=1), N("Flatten", ["s"], ["y"])],
        [
            N("Softmax", ["g"], ["s"], axis=1),
            N("Transpose", ["s"], ["t"], perm=[0, 2, 3, 1]),
            N("Reshape", ["t", "shape"], ["y"]),
        ],
        [
            N("Flatten", ["g"], ["f"]),
            N("Softmax", ["f"], ["s"]),
            N("Mul", ["s", "k"], ["m"]),
            N("Cast", ["m"], ["y"], to=1),
        ],
        [N("Sigmoid", ["g"], ["s"]), N("Mul", ["s", "s"], ["y"])],
        [
            N("Flatten", ["g"], ["f"]),
            N("Softmax", ["f"], ["s"]),
            N("TopK", ["s", "one"], ["y", "i"]),
        ],
    ],
)
def test_the_host_computes_what_follows_a_softmax(tail, tmp_path):
    constants = {"shape": np.array([0, -1]), "k": np.float32(100), "one": np.array([1])}
    made = judged(tmp_path, model([*HEAD, *tail], {"w": WEIGHT, **constants}))
    operators = [node.op_type for node in tail]
    first = next(i for i, name in enumerate(operators) if name in ("Softmax", "Sigmoid"))
    assert list(made.epilogue) == operators[first:]


@pytest.mark.parametrize(
    "tail",
    [
        [N("Softmax", ["c"], ["s"], axis=1), N("Conv", ["s", "v"], ["y"], "late")],
        [N("Softmax", ["c"], ["s"], axis=1), N("Mul", ["s", "c"], ["y"], "late")],
    ],
)
def test_a_network_that_goes_on_behind_a_softmax_is_refused(tail, tmp_path):
    constants = {"w": WEIGHT, "v": np.ones((2, 4, 1, 1), np.float32)}
    onnx.save(model([*HEAD[:1], *tail], constants), tmp_path / "net.onnx")
    made, problems = inspect_onnx(tmp_path / "net.onnx")
    assert made is None
    assert [problem.name for problem in problems] == ["late"]
    assert "follows Softmax" in problems[0].reason


def test_a_silu_without_tables_and_host_says_where_it_runs(tmp_path):
    # A softmax that was read before it has nothing to do with it.
    nodes = [
        *HEAD[:1],
        N("Softmax", ["c"], ["z"], "soft", axis=1),
        N("Sigmoid", ["c"], ["s"], "sigmoid"),
        N("Mul", ["c", "s"], ["m"], "silu"),
        N("Conv", ["m", "v"], ["y"], "late"),
    ]
    constants = {"w": WEIGHT, "v": np.ones((2, 4, 1, 1), np.float32)}
    proto = model(nodes, constants)
    proto.graph.output.append(onnx.helper.make_empty_tensor_value_info("z"))
    onnx.save(proto, tmp_path / "net.onnx")
    made, problems = inspect_onnx(tmp_path / "net.onnx")
    assert made is None
    assert [problem.name for problem in problems] == ["silu"]
    assert "with the Sigmoid before it, a function of one tensor" in problems[0].reason
    assert "functions 1" in problems[0].reason
    assert inspect_onnx(tmp_path / "net.onnx", host_nodes=True)[0] is not None
