"""The float graph and its builder."""

import pytest

from systolith_host.network.graph import GraphBuilder, node_macs, weight_shape


def test_builder_works_out_shapes():
    builder = GraphBuilder("net", (3, 9, 7))
    builder.conv("c", 8, (3, 3), stride=(2, 1), padding=(1, 1, 0, 0))
    builder.relu("r")
    builder.max_pool("p", (2, 2), (2, 2))
    builder.flatten("f")
    builder.linear("l", 10)
    graph = builder.build()
    assert graph.shapes == {
        "input": (3, 9, 7),
        "c": (8, 5, 5),
        "r": (8, 5, 5),
        "p": (8, 2, 2),
        "f": (32,),
        "l": (10,),
    }
    assert (graph.input, graph.output) == ("input", "l")
    assert [weight_shape(graph, node) for node in graph.weighted] == [(8, 3, 3, 3), (10, 32)]
    assert [node_macs(graph, node) for node in graph.nodes] == [5400, 0, 0, 0, 320]


def test_builder_takes_a_named_source():
    builder = GraphBuilder("net", (3, 4, 4))
    builder.conv("a", 2, (1, 1))
    builder.conv("b", 5, (1, 1), source="input")
    assert builder.build().nodes[1].input == "input"


def test_builder_refuses_what_does_not_fit():
    builder = GraphBuilder("net", (3, 4, 4))
    with pytest.raises(ValueError, match=r"^input of l must be a vector, not \(3, 4, 4\)$"):
        builder.linear("l", 10)
    with pytest.raises(ValueError, match=r"^kernel must fit the padded input of 4x4, not span 5x5"):
        builder.conv("c", 2, (5, 5))
    builder.flatten("f")
    with pytest.raises(ValueError, match=r"^tensor 'f' must be an image, not of shape \(48,\)$"):
        builder.conv("c", 2, (1, 1))
    with pytest.raises(ValueError, match=r"^tensor 'f' must be made only once$"):
        builder.relu("f")
