"""Folding of ReLU and flattening."""

import pytest

from systolith_host.errors import SystolithError
from systolith_host.model.graph import GraphBuilder
from systolith_host.model.vgg import build_network
from systolith_host.quantize.fold import fold


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


def test_relu_must_follow_a_convolution():
    builder = GraphBuilder("net", (3, 4, 4))
    builder.max_pool("p", (2, 2), (2, 2))
    builder.relu("r")
    with pytest.raises(SystolithError, match=r"^r: a ReLU must follow a convolution or linear$"):
        fold(builder.build())


def test_sum_must_not_be_used_beside_its_relu():
    builder = GraphBuilder("net", (3, 4, 4))
    builder.conv("c", 2, (1, 1))
    builder.relu("r")
    builder.conv("d", 2, (1, 1), source="c")
    with pytest.raises(SystolithError, match=r"^r: c must not be used beside its ReLU as well$"):
        fold(builder.build())
