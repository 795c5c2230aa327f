"""The least traffic and cycles of a layer: one definition, wherever they are stated."""

import math

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from systolith_host.compiler import compile_network
from systolith_host.cost.bound import least_traffic
from systolith_host.cost.evaluate import evaluate, operations_of
from systolith_host.cost.explain import explain_layer
from systolith_host.cost.replay import replay_program
from systolith_host.flow.load import shape_network
from systolith_host.lab.traffic import traffic_at
from systolith_hw.spec.presets import PRESETS
from systolith_sim.memory.timing import MemoryTiming

TINY = PRESETS["tiny"]


@pytest.fixture
def network(tmp_path):
    """A 1x1 convolution of stride 4 and a pool of stride 3 over 2x2, on 16x33x33 pixels."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], "conv", strides=[4, 4]),
        helper.make_node("MaxPool", ["a"], ["y"], "pool", kernel_shape=[2, 2], strides=[3, 3]),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", [1, 16, 33, 33]), ("y", [1, 8, 3, 3]))
    ]
    weight = rng.standard_normal((8, 16, 1, 1)).astype(np.float32)
    graph = helper.make_graph(
        nodes, "net", ends[:1], ends[1:], [numpy_helper.from_array(weight, "w")]
    )
    path = tmp_path / "net.onnx"
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return str(path)


WANTED = {
    "conv": 16 * 9 * 9 + 8 * 9 * 9 + 8 * 16,  # every fourth pixel
    "pool": 8 * 6 * 6 + 8 * 3 * 3,  # two of three rows and columns
}


def test_all_parts_count_the_pixels_that_are_used_and_no_others(network):
    qgraph = shape_network(network)
    rate = 0.25  # so low that the memory is the bound
    memory = MemoryTiming(bytes_per_cycle=rate)
    program = compile_network(qgraph, TINY, memory=memory)
    replayed = replay_program(program, memory)
    costs = evaluate(network, TINY, memory)
    for operation, layer, replay, cost in zip(
        operations_of(network, TINY), program.layers, replayed, costs, strict=True
    ):
        wanted = WANTED[layer.name]
        assert layer.compulsory_bytes == wanted
        assert least_traffic(qgraph, operation, 1 << 30).bytes == wanted
        told = explain_layer(qgraph, TINY, layer.name, memory=memory)
        assert told.compulsory_bytes == wanted
        bounds = (replay.bound_cycles, cost.bound_cycles, told.bound_cycles)
        assert bounds == (math.ceil(wanted / rate),) * 3
        assert replay.bound_cycles <= replay.cycles
        assert wanted <= cost.estimated_read_bytes + cost.estimated_write_bytes
        assert cost.bound_cycles <= cost.estimated_cycles


@pytest.mark.parametrize("aim", ["cycles", "traffic"])
def test_traffic_is_compared_with_the_pixels_that_are_used(network, aim):
    found = traffic_at(network, TINY, 8192, aim, parts=6)
    assert {layer.layer: layer.compulsory for layer in found.layers} == WANTED
    assert all(layer.traffic >= layer.bound for layer in found.layers)
    assert found.compulsory["all"] == sum(WANTED.values())
