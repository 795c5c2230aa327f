"""The VGG networks: sizes as published, keys as in torchvision."""

import math

import pytest

from systolith_host.errors import SystolithError
from systolith_host.frontend.vgg import NETWORKS, build_network, torchvision_keys
from systolith_host.network.graph import Conv, node_macs, weight_shape

# Parameters with biases, as torchvision's documentation lists them.
PARAMETERS = {
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_networks_have_the_published_parameters(name):
    graph = build_network(name)
    shapes = [weight_shape(graph, node) for node in graph.weighted]
    assert sum(math.prod(shape) + shape[0] for shape in shapes) == PARAMETERS[name]


def test_vgg16_is_the_reference_network():
    graph = build_network("vgg16")
    names = [node.name for node in graph.weighted]
    assert names[:3] == ["conv1_1", "conv1_2", "conv2_1"]
    assert names[-4:] == ["conv5_3", "fc6", "fc7", "fc8"]
    assert sum(node_macs(graph, node) for node in graph.nodes) == 15_470_264_320
    assert sum(math.prod(weight_shape(graph, node)) for node in graph.weighted) == 138_344_128
    assert graph.shapes["pool5"] == (512, 7, 7)
    assert graph.output == "fc8"


def test_keys_are_those_of_torchvision():
    keys = torchvision_keys("vgg16")
    members = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    assert list(keys.values()) == [f"features.{member}" for member in members] + [
        f"classifier.{member}" for member in (0, 3, 6)
    ]
    assert torchvision_keys("vgg11")["conv5_2"] == "features.18"
    assert torchvision_keys("vgg19")["conv5_4"] == "features.34"


@pytest.mark.parametrize("name", NETWORKS)
def test_every_convolution_keeps_the_image_size(name):
    graph = build_network(name)
    for node in graph.nodes:
        if isinstance(node, Conv):
            assert graph.shapes[node.input][1:] == graph.shapes[node.output][1:]
    assert torchvision_keys(name).keys() == {node.name for node in graph.weighted}


def test_unknown_network_is_refused():
    with pytest.raises(SystolithError, match=r"^network must be one of vgg11, .*, not 'resnet'$"):
        build_network("resnet")
