"""Damaged ONNX files: always the same for a seed, damaged, and parsed where they should be."""

import random

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from systolith_sim.testing.damaged_onnx import extreme, mutated, rewired, scrambled

SEEDS = range(30)


@pytest.fixture(scope="module")
def model():
    weight = numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "w")
    shape = numpy_helper.from_array(np.array([1, -1]), "s")
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "conv", kernel_shape=[3, 3]),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("Reshape", ["r", "s"], ["y"], "reshape"),
    ]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 144])
    graph = helper.make_graph(nodes, "small", [given], [made], [weight, shape])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


@pytest.mark.parametrize("damage", [rewired, scrambled, extreme])
def test_the_model_itself_stays_and_most_copies_are_damaged_but_parse(model, damage):
    data = model.SerializeToString()
    damaged = 0
    for seed in SEEDS:
        found = damage(random.Random(seed), model)
        onnx.ModelProto.FromString(found)
        damaged += found != data
    assert model.SerializeToString() == data
    assert damaged >= 20


def test_bytes_are_changed_cut_and_doubled(model):
    data = model.SerializeToString()
    sizes = [len(mutated(random.Random(seed), data)) - len(data) for seed in SEEDS]
    assert min(sizes) < 0 < max(sizes)
    assert max(map(abs, sizes)) <= 4 * 8


@pytest.mark.parametrize("damage", [rewired, scrambled, extreme])
def test_a_seed_gives_one_file(model, damage):
    assert damage(random.Random(3), model) == damage(random.Random(3), model)
