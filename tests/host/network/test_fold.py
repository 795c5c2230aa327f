"""Folding of ReLU and flattening."""

from systolith_host.frontend.vgg import build_network
from systolith_host.network.fold import fold
from systolith_host.network.graph import Clip, Conv, Graph, GraphBuilder, Relu


def test_vgg16_becomes_21_layers():
    layers = fold(build_network("vgg16"))
    assert len(layers) == 21
    assert [layer.node.name for layer in layers if not layer.relu] == [
        "pool1",
        "pool2",
        "pool3",
        "pool4",
        "pool5",
        "fc8",
    ]
    by_name = {layer.node.name: layer for layer in layers}
    assert (by_name["conv1_1"].input, by_name["conv1_1"].output) == ("input", "relu1_1")
    assert by_name["fc6"].input == "pool5"


def test_a_clamp_behind_a_pool_is_a_layer():
    builder = GraphBuilder("net", (3, 4, 4))
    builder.max_pool("p", (2, 2), (2, 2))
    builder.relu("r")
    pool, clamp = fold(builder.build())
    assert (pool.output, clamp.inputs, clamp.output, clamp.relu) == ("p", ("p",), "r", True)


def test_a_clamp_next_to_another_user_is_a_layer():
    builder = GraphBuilder("net", (3, 4, 4))
    builder.conv("c", 2, (1, 1))
    builder.relu("r")
    builder.conv("d", 2, (1, 1), source="c")
    assert [(layer.input, layer.output) for layer in fold(builder.build())] == [
        ("input", "c"),
        ("c", "r"),
        ("c", "d"),
    ]


def test_clamps_one_after_the_other_are_one():
    nodes = (
        Conv("c", ("input",), "c", 2, (1, 1)),
        Clip("a", ("c",), "a", -1.0, 6.0),
        Relu("r", ("a",), "r"),
    )
    shapes = {name: (2, 4, 4) for name in ("input", "c", "a", "r")}
    (layer,) = fold(Graph("net", shapes, nodes, "input", "r"))
    assert (layer.output, layer.low, layer.high) == ("r", 0.0, 6.0)
