"""Bits of weights: what users say, for which layers it counts, and networks of shapes."""

import re
from typing import Any

import numpy as np
import pytest

from systolith_host.errors import SystolithError
from systolith_host.frontend.vgg import build_network
from systolith_host.frontend.weights import random_weights
from systolith_host.network.qgraph import QConv
from systolith_host.network.shapes import timing_network
from systolith_host.network.weight_bits import (
    bits_of,
    narrow_network,
    narrow_weights,
    parse_weight_bits,
)

GRAPH = build_network("mini")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("4", {"": 4}),
        ("8", {"": 8}),
        ("fc6=4", {"fc6": 4}),
        ("fc6=4, fc7=8", {"fc6": 4, "fc7": 8}),
        ("linear=4,conv=8", {"fc": 4, "conv": 8}),
        ("/model/fc=1=4", {"/model/fc=1": 4}),
    ],
)
def test_a_text_names_layers_or_kinds(text, found):
    assert parse_weight_bits(text) == found


@pytest.mark.parametrize("text", ["", "3", "fc6", "fc6=", "fc6=5", "=4", "4,fc6=4", "fc6=4,8"])
def test_other_texts_are_refused(text):
    message = (
        "--weight-bits must be one of 4, 8, or that for each of some layers or kinds of layers, "
        f"as fc6=4,fc7=4 or linear=4, not {text!r}"
    )
    with pytest.raises(SystolithError, match=f"^{re.escape(message)}$"):
        parse_weight_bits(text)


def test_a_mapping_says_the_same_of_layers_or_kinds():
    assert parse_weight_bits({"linear": 4, "a,b=c": 8}) == {"fc": 4, "a,b=c": 8}
    assert parse_weight_bits({}) == {}
    refused: list[Any] = [{"": 4}, {"fc6": 5}, {"fc6": 4.5}]
    for given in refused:
        message = re.escape("weight_bits must be one of 4, 8, or ") + f".*{re.escape(repr(given))}$"
        with pytest.raises(SystolithError, match=f"^{message}"):
            parse_weight_bits(given, "weight_bits")


def test_a_name_counts_before_a_kind_and_a_kind_before_the_rest():
    bits = {"": 8, "fc": 4, "fc8": 8, "conv1": 4}
    assert [bits_of(bits, *layer) for layer in (("fc6", "fc"), ("fc8", "fc"))] == [4, 8]
    assert [bits_of(bits, *layer) for layer in (("conv1", "conv"), ("conv2", "conv"))] == [4, 8]
    assert bits_of({}, "fc6", "fc") == 8


def test_chosen_layers_of_a_network_of_shapes_have_narrow_weights():
    qgraph = timing_network(GRAPH)
    for bits, narrow in (({"fc": 4}, "fc"), ({"": 4}, ""), ({"conv2_1": 4}, "conv2_1"), ({}, "-")):
        for layer in narrow_network(qgraph, bits).layers:
            if isinstance(layer, QConv):
                chosen = layer.name.startswith(narrow)
                assert layer.weight.max() == (7 if chosen else 127), layer.name


def test_weights_of_a_float_network_know_their_bits():
    weights = random_weights(GRAPH, 1)
    narrow = narrow_weights(GRAPH, weights, {"fc5": 4, "conv": 4})
    found = {name: layer.bits for name, layer in narrow.items()}
    assert found == {
        **dict.fromkeys(("conv1_1", "conv2_1", "conv2_2", "conv3_1", "fc5"), 4),
        **dict.fromkeys(("fc4", "fc6"), 8),
    }
    np.testing.assert_array_equal(narrow["fc5"].weight, weights["fc5"].weight)


def test_a_layer_that_is_not_there_is_named():
    message = "^--weight-bits: 'fc9' is no layer with weights; there are conv1_1, .*, fc6$"
    with pytest.raises(SystolithError, match=message):
        narrow_network(timing_network(GRAPH), {"fc9": 4})
    with pytest.raises(SystolithError, match=message):
        narrow_weights(GRAPH, random_weights(GRAPH, 1), {"fc9": 4})
