"""Networks that ask for more than the limits: one line, before memory or time are taken."""

import itertools
import tracemalloc

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from systolith_host.errors import SystolithError
from systolith_host.frontend import limits
from systolith_host.frontend.constants import Budget, compute, result_size
from systolith_host.frontend.onnx import read_onnx

node = helper.make_node
LARGE = (1 << 63) - 1


def model(nodes, constants, shape=("N", 3, 8, 8)):
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def refused(tmp_path, proto):
    """Return the one line that a file is refused with, after little memory was taken."""
    path = tmp_path / "net.onnx"
    onnx.save_model(proto, str(path))
    tracemalloc.start()
    try:
        with pytest.raises(SystolithError) as raised:
            read_onnx(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 29
    assert "\n" not in str(raised.value)
    return str(raised.value)


W = np.ones((4, 3, 3, 3), np.float32)


def test_doubled_constants(tmp_path):
    names = ["w", *(f"w{number}" for number in range(40))]
    chain = [
        node("Concat", [a, a], [b], f"double{b}", axis=0) for a, b in itertools.pairwise(names)
    ]
    text = refused(tmp_path, model([*chain, node("Conv", ["x", names[-1]], ["y"], "c")], {"w": W}))
    assert "2 of its nodes cannot run" not in text
    assert "doublew16 (Concat): makes a constant of 14,155,776 elements" in text
    assert f"the limit of {limits.CONSTANTS_FREE + limits.CONSTANTS_EACH * W.size:,}" in text


def test_many_copies_of_one_constant(tmp_path):
    large = np.ones((1000, 120), np.float32)
    names = ["w", *(f"w{number}" for number in range(4000))]
    pairs = enumerate(itertools.pairwise(names))
    many = [node("Add", ["w", a], [b], f"n{number}") for number, (a, b) in pairs]
    many.append(node("MatMul", ["x", "w3999"], ["y"], "m"))
    text = refused(tmp_path, model(many, {"w": large}, ("N", 1000)))
    assert "n147 (Add): makes a constant of 120,000 elements" in text


def test_weights_count_for_each_layer_that_uses_them(tmp_path):
    weight = np.ones((1000, 1000), np.int8)
    names = ["x", *(f"y{number}" for number in range(100))]
    many = []
    for a, b in itertools.pairwise(names):
        many.append(node("DequantizeLinear", ["w", "s", "z"], [f"{b}w"], f"d{b}"))
        many.append(node("MatMul", [a, f"{b}w"], [b], f"m{b}"))
    constants = {"w": weight, "s": np.float32(1), "z": np.int8(0)}
    assert "makes a constant of 1,000,000 elements" in refused(
        tmp_path, model(many, constants, ("N", 1000))
    )


@pytest.mark.parametrize("shape", [(1 << 13, 1), (1 << 40, 1)])
def test_two_vectors_that_become_a_matrix(shape):
    first = np.broadcast_to(np.float32(1), shape)
    assert result_size(node("Mul", ["a", "b"], ["c"]), [first, first.T]) == shape[0] ** 2


@pytest.mark.parametrize("operator", ["Expand", "ConstantOfShape", "Tile"])
def test_what_makes_much_of_little_is_not_folded(tmp_path, operator):
    inputs = {"Expand": ["w", "s"], "ConstantOfShape": ["s"], "Tile": ["w", "s"]}[operator]
    made = [node(operator, inputs, ["v"], "grow"), node("Conv", ["x", "v"], ["y"], "c")]
    sizes = np.array([1 << 20, 3, 3, 3] if operator == "Expand" else [1 << 16, 1 << 10, 3, 3])
    weight = W[:1] if operator == "Expand" else W
    text = refused(tmp_path, model(made, {"w": weight, "s": sizes}))
    assert f"grow ({operator}): makes a constant of" in text or "types or shapes" in text


def test_a_large_input(tmp_path):
    made = [node("Conv", ["x", "w"], ["y"], "c")]
    text = refused(tmp_path, model(made, {"w": W}, ("N", 3, 1 << 16, 1 << 16)))
    assert "input 'x' of ?x3x65536x65536 is too large: at most 268,435,456 elements" in text
    for batch in (-1, 0):
        assert "must be of at least one image" in refused(
            tmp_path, model(made, {"w": W}, (batch, 3, 8, 8))
        )


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"pads": [1 << 62] * 4}, "an image of more than 65,536 pixels a side"),
        ({"pads": [0, 0, 1 << 16, 0]}, "an image of more than 65,536 pixels a side"),
        ({"pads": [-1, 0, 0, 0]}, "its pads must be four numbers of at least 0"),
        ({"pads": [-LARGE] * 4}, "its pads must be four numbers of at least 0"),
        ({"strides": [LARGE, 1]}, "its strides must be at most 65,536"),
        ({"strides": [0, 1]}, "its strides must be two positive numbers"),
        ({"strides": [-1, 1]}, "its strides must be two positive numbers"),
        ({"dilations": [LARGE, LARGE]}, "its dilations must be at most 65,536"),
        ({"dilations": [0, 1]}, "its dilations must be two positive numbers"),
        ({"group": 0}, "in 0 groups do not fit"),
        ({"group": -1}, "in -1 groups do not fit"),
        ({"group": LARGE}, "groups do not fit"),
    ],
)
def test_attributes_out_of_range(tmp_path, attributes, message):
    text = refused(tmp_path, model([node("Conv", ["x", "w"], ["y"], "c", **attributes)], {"w": W}))
    assert message in text or "types or shapes do not fit" in text


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ([node("Pad", ["x", "p"], ["y"], "p")], "an image of more than 65,536 pixels a side"),
        (
            [node("MaxPool", ["x"], ["y"], "m", kernel_shape=[LARGE, LARGE])],
            "its kernel_shape must be at most 65,536",
        ),
        (
            [node("AveragePool", ["x"], ["y"], "m", kernel_shape=[0, 1])],
            "its kernel_shape must be two positive numbers",
        ),
    ],
)
def test_other_operators_out_of_range(tmp_path, made, message):
    constants = {"p": np.array([0, 0, LARGE, 0, 0, 0, LARGE, 0])}
    text = refused(tmp_path, model(made, constants))
    assert message in text or "types or shapes do not fit" in text


def test_joined_activations(tmp_path):
    names = ["x", *(f"x{number}" for number in range(40))]
    chain = [
        node("Concat", [a, a], [b], f"double{b}", axis=1) for a, b in itertools.pairwise(names)
    ]
    text = refused(tmp_path, model(chain, {}))
    assert "(Concat): its output of 402653184x8x8 is too large" in text or "exceed" in text


def test_deep_sums_end_soon(tmp_path):
    names = ["x", *(f"x{number}" for number in range(2000))]
    chain = [node("Add", [a, a], [b], b) for a, b in itertools.pairwise(names)]
    padded = node("Pad", [names[-1], "p"], ["p0"], "pad")
    pool = node("MaxPool", ["p0"], ["y"], "m", kernel_shape=[2, 2])
    constants = {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1])}
    text = refused(tmp_path, model([*chain, padded, pool], constants))
    assert "m (MaxPool): takes the zeros of pad" in text


def test_many_nodes(tmp_path):
    names = ["x", *(f"x{number}" for number in range(limits.MOST_NODES + 1))]
    chain = [node("Relu", [a], [b], "same") for a, b in itertools.pairwise(names)]
    assert "must have at most 16,384 nodes, not 16,385" in refused(tmp_path, model(chain, {}))
    path = tmp_path / "net.onnx"
    onnx.save_model(model(chain[:-1], {}), str(path))
    assert len(read_onnx(path).graph.nodes) == limits.MOST_NODES  # equal names do not take for ever


def test_external_data_as_large_as_no_memory(tmp_path):
    proto = model([node("Conv", ["x", "w"], ["y"], "c")], {"w": W})
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="w.bin")
    with (tmp_path / "w.bin").open("wb") as file:
        file.truncate(1 << 40)  # takes no room on the disk
    assert "its external data has 1,099,511,627,776 bytes" in refused(tmp_path, proto)


def test_weights_that_overflow(tmp_path):
    made = [
        node("Mul", ["w", "big"], ["v"], "grow"),
        node("Conv", ["x", "v"], ["y"], "c"),
    ]
    text = refused(tmp_path, model(made, {"w": W * 1e30, "big": np.float32(1e30)}))
    assert "c (Conv): its weights or biases are not finite" in text


def test_a_sparse_constant(tmp_path):
    values = helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0])
    places = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    sparse = helper.make_sparse_tensor(values, places, [1 << 40])
    made = [
        node("Constant", [], ["v"], "sparse", sparse_value=sparse),
        node("Add", ["x", "v"], ["y"], "a"),
    ]
    text = refused(tmp_path, model(made, {}))
    assert "is a sparse constant" in text or "types or shapes" in text


def test_a_budget_counts_all():
    budget = Budget(100)
    assert budget.limit == limits.CONSTANTS_FREE + 100 * limits.CONSTANTS_EACH
    budget.take(budget.limit)
    budget.take(0)
    with pytest.raises(ValueError, match=r"^makes a constant of 1 elements; with 16,778,016 made"):
        budget.take(1)


CASES = [
    (node("Add", "ab", "c"), [np.ones((2, 1)), np.ones((1, 3))]),
    (node("Where", "abc", "d"), [np.ones((2, 1, 1), bool), np.ones((3, 1)), np.ones(4)]),
    (node("Concat", "ab", "c", axis=0), [np.ones((2, 3)), np.ones((4, 3))]),
    (node("Gather", "ab", "c", axis=-1), [np.ones((2, 3)), np.array([0, 1, 2, 0])]),
    (node("Transpose", "a", "b"), [np.ones((2, 3))]),
    (node("Cast", "a", "b", to=TensorProto.INT64), [np.ones((2, 3))]),
    (node("ReduceProd", "a", "b"), [np.ones((2, 3))]),
    (node("Constant", [], "a", value_ints=[1, 2, 3]), []),
]


@pytest.mark.parametrize(("proto", "inputs"), CASES, ids=lambda case: getattr(case, "op_type", ""))
def test_sizes_are_known_before(proto, inputs):
    (result,) = compute(proto, dict(zip(proto.input, inputs, strict=True)), 17)
    size = result_size(proto, inputs)
    assert size == result.size or (proto.op_type == "ReduceProd" and size >= result.size)


@pytest.mark.parametrize(
    ("proto", "inputs", "message"),
    [
        (node("Cast", "a", "b", to=TensorProto.STRING), [np.ones(3)], "makes texts"),
        (node("Add", "ab", "c"), [np.ones(3), np.ones(4)], "do not fit one another"),
        (node("Gather", "ab", "c", axis=9), [np.ones(3), np.ones(1, int)], "axis must be within"),
    ],
)
def test_what_cannot_be_computed_is_said(proto, inputs, message):
    with pytest.raises(ValueError, match=message):
        result_size(proto, inputs)
