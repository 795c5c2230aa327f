"""Cross-layer equalisation: the float network stays the same, and badly scaled ones recover."""

import numpy as np
import pytest

from systolith_host.network.forward import run_float
from systolith_host.network.golden import run_golden
from systolith_host.network.graph import (
    Add,
    AveragePool,
    Clip,
    Concat,
    Conv,
    Flatten,
    Graph,
    LayerWeights,
    Linear,
    MaxPool,
    Relu,
)
from systolith_host.quantize.calibrate import calibrate
from systolith_host.quantize.equalise import equalise
from systolith_host.quantize.groups import divide_channels, equalisable
from systolith_host.quantize.noise import layer_noise
from systolith_host.quantize.quantize import quantize, quantize_input

SHAPES = {
    "x": (3, 16, 16),
    "a": (8, 16, 16),
    "ar": (8, 16, 16),
    "d": (16, 16, 16),
    "dr": (16, 16, 16),
    "p": (16, 8, 8),
    "m": (16, 4, 4),
    "f": (256,),
    "g": (12,),
    "gr": (12,),
    "y": (5,),
}

NODES = (
    Conv("a", ("x",), "a", 8, (3, 3), padding=(1, 1, 1, 1)),
    Relu("ar", ("a",), "ar"),
    Conv("d", ("ar",), "d", 16, (3, 3), padding=(1, 1, 1, 1), groups=4),
    Clip("dr", ("d",), "dr", 0.0, np.inf),
    MaxPool("p", ("dr",), "p", (2, 2), (2, 2)),
    AveragePool("m", ("p",), "m", (2, 2), (2, 2)),
    Flatten("f", ("m",), "f"),
    Linear("g", ("f",), "g", 12),
    Relu("gr", ("g",), "gr"),
    Linear("y", ("gr",), "y", 5),
)
"""Groups, pools of both kinds and a flattening between layers."""


def graph_of(nodes=NODES, shapes=SHAPES, output="y"):
    return Graph("net", shapes, tuple(nodes), "x", output)


def random_layers(graph, seed=0):
    rng = np.random.default_rng(seed)
    found = {}
    for node in graph.weighted:
        inputs = graph.shapes[node.input][0]
        if isinstance(node, Linear):
            shape = (node.features, inputs)
        else:
            shape = (node.channels, inputs // node.groups, *node.kernel)
        weight = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
        bias = rng.standard_normal(shape[0]) * 0.1
        found[node.name] = LayerWeights(weight.astype(np.float32), bias)
    return found


def images_of(count, seed=1):
    values = np.random.default_rng(seed).standard_normal((count, 3, 16, 16))
    return values.astype(np.float32)


def output_of(graph, weights, x):
    return next(y for name, y in run_float(graph, weights, x) if name == graph.output)


def badly_scaled(graph, weights, seed=3):
    rng = np.random.default_rng(seed)
    result = dict(weights)
    for pair in equalisable(graph):
        result |= divide_channels(result, pair, 2 ** rng.uniform(-5, 5, pair.channels))
    return result


def output_noise(graph, weights, calibration, x):
    qgraph = quantize(graph, weights, calibrate(graph, weights, calibration), 16)
    tensors = run_golden(qgraph, quantize_input(qgraph, x))
    return layer_noise(graph, weights, qgraph, tensors, x)[qgraph.output]


def names_of(graph):
    """Return the layers of each group, joined by +."""
    return [
        tuple("+".join(node.name for node in nodes) for nodes in (group.first, group.second))
        for group in equalisable(graph)
    ]


def test_pairs_go_through_whatever_a_positive_factor_goes_through():
    assert names_of(graph_of()) == [("a", "d"), ("d", "g"), ("g", "y")]


def with_clip(low, high):
    between = Clip("ar", ("a",), "ar", low, high)
    return graph_of([between if node.name == "ar" else node for node in NODES])


@pytest.mark.parametrize(("low", "high"), [(-1.0, np.inf), (0.0, 0.0), (1.0, 6.0)])
def test_a_clamp_from_below_separates(low, high):
    assert names_of(with_clip(low, high)) == [("d", "g"), ("g", "y")]


def test_a_mean_of_clamped_values_separates():
    """It does not show how many of them a clamp would take."""
    shapes = {**SHAPES, "ar": (16, 16, 16), "a": (16, 16, 16), "m": (16, 1, 1), "f": (16,)}
    nodes = [
        Conv("a", ("x",), "a", 16, (3, 3), padding=(1, 1, 1, 1)),
        Clip("ar", ("a",), "ar", 0.0, 6.0),
        AveragePool("m", ("ar",), "m", (16, 16), (16, 16)),
        Flatten("f", ("m",), "f"),
        Linear("y", ("f",), "y", 5),
    ]
    assert names_of(graph_of(nodes, shapes)) == []
    nodes[1] = Relu("ar", ("a",), "ar")
    assert names_of(graph_of(nodes, shapes)) == [("a", "y")]


def test_a_layer_that_reads_past_the_clamp_separates():
    shapes = {**SHAPES, "b": (16, 16, 16), "s": (16, 16, 16)}
    past = Conv("b", ("a",), "b", 16, (3, 3), padding=(1, 1, 1, 1), groups=4)
    nodes = [*with_clip(0.0, 6.0).nodes[:3], past, Add("s", ("d", "b"), "s"), *NODES[3:]]
    nodes[5] = Relu("dr", ("s",), "dr")
    assert names_of(graph_of(nodes, shapes)) == [("d+b", "g"), ("g", "y")]


def halved(weights):
    """Return weights of which each channel of the first layer is half the one before."""
    sizes = 2.0 ** -np.arange(8)
    first = weights["a"]
    weight = first.weight * sizes[:, None, None, None].astype(np.float32)
    return {**weights, "a": LayerWeights(weight, (first.bias * sizes).astype(np.float32))}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("high", [0.3, 1.5, 6.0])
def test_channels_below_a_clamp_are_scaled_and_the_outputs_stay(high, seed):
    graph, images = with_clip(0.0, high), images_of(16, seed)
    assert names_of(graph)[0] == ("a", "d")
    weights = halved(random_layers(graph, seed))
    made, found = equalise(graph, weights, images)
    before = output_of(graph, weights, images)
    after = output_of(graph, made, images)
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-5 * np.abs(before).max())
    assert found[0].way or high < 1
    reach = dict(run_float(graph, weights, images))["ar"].max(axis=(0, 2, 3)) >= high
    same = (made["a"].weight == weights["a"].weight).all(axis=(1, 2, 3))
    assert same[reach].all()
    assert same.all() == (not found[0].way)


@pytest.mark.parametrize("seed", range(1, 6))
def test_channels_that_other_images_bring_to_the_clamp_are_left_alone(seed):
    graph = with_clip(0.0, 3.0)
    weights = halved(random_layers(graph, seed))
    images = images_of(8, seed)
    images[1::2] *= 4  # every second image shows how far the others' ranges are from enough
    made, found = equalise(graph, weights, images)
    assert found[0].way == ""
    others = 6 * images_of(16, seed + 50)
    before = output_of(graph, weights, others)
    after = output_of(graph, made, others)
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-5 * np.abs(before).max())


def test_a_channel_that_never_rises_keeps_its_scale_before_a_clamp():
    graph, images = with_clip(0.0, 6.0), images_of(16, 1)
    weights = halved(random_layers(graph, 1))
    weights["a"].bias[5] = -40.0
    made, found = equalise(graph, weights, images)
    assert found[0].way
    changed = (made["a"].weight != weights["a"].weight).any(axis=(1, 2, 3))
    assert not changed[5]
    assert changed[[4, 6]].all()


def test_one_image_scales_nothing_through_a_clamp():
    graph = with_clip(0.0, 6.0)
    weights = halved(random_layers(graph))
    made, found = equalise(graph, weights, images_of(1))
    assert (found[0].way, found[0].after) == ("", found[0].before)
    np.testing.assert_array_equal(made["a"].weight, weights["a"].weight)


def test_a_sum_joins_what_it_adds():
    shapes = {**SHAPES, "s": (8, 16, 16)}
    second = Conv("b", ("ar",), "b", 8, (1, 1))
    nodes = [*NODES[:2], second, Add("s", ("ar", "b"), "s"), *NODES[2:]]
    nodes[4] = Conv("d", ("s",), "d", 16, (3, 3), padding=(1, 1, 1, 1), groups=4)
    graph = graph_of(nodes, {**shapes, "b": (8, 16, 16)})
    assert names_of(graph) == [("a+b", "b+d"), ("d", "g"), ("g", "y")]
    weights = random_layers(graph)
    x = images_of(3)
    before, after = (output_of(graph, w, x) for w in (weights, badly_scaled(graph, weights)))
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-5 * np.abs(before).max())


def test_the_networks_output_and_a_concatenation_separate():
    assert ("a", "d") not in names_of(graph_of(output="ar"))
    nodes = [
        NODES[0],
        Conv("b", ("x",), "b", 8, (3, 3), padding=(1, 1, 1, 1)),
        Concat("j", ("a", "b"), "j"),
        Conv("c", ("j",), "c", 4, (1, 1)),
    ]
    shapes = {"x": (3, 16, 16), "a": (8, 16, 16), "b": (8, 16, 16), "j": (16, 16, 16)}
    assert names_of(graph_of(nodes, {**shapes, "c": (4, 16, 16)}, "c")) == []


@pytest.mark.parametrize("seed", range(4))
def test_dividing_channels_changes_no_output_of_the_float_network(seed):
    graph = graph_of()
    weights, x = random_layers(graph, seed), images_of(4, seed)
    before = output_of(graph, weights, x)
    after = output_of(graph, badly_scaled(graph, weights, seed), x)
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-5 * np.abs(before).max())


@pytest.mark.parametrize("count", [1, 2, 7])
def test_equalisation_changes_no_output_of_the_float_network(count):
    graph = graph_of()
    weights, x = badly_scaled(graph, random_layers(graph)), images_of(5, 9)
    made, found = equalise(graph, weights, images_of(count))
    assert any(pair.way for pair in found)
    before = output_of(graph, weights, x)
    np.testing.assert_allclose(
        output_of(graph, made, x), before, rtol=0, atol=1e-5 * np.abs(before).max()
    )


@pytest.mark.parametrize("count", [1, 8])
def test_a_badly_scaled_network_is_as_good_as_the_well_scaled_one_again(count):
    graph = graph_of()
    good = random_layers(graph)
    bad = badly_scaled(graph, good)
    # The range of a single image is too small for others.
    calibration, x = images_of(count), images_of(16, 5) if count > 1 else images_of(1)
    made, found = equalise(graph, bad, calibration)
    assert [pair.way != "" for pair in found] == [True] * 3
    assert all(pair.after > pair.before + 3 for pair in found)
    well, badly, again = (
        output_noise(graph, weights, calibration, x) for weights in (good, bad, made)
    )
    assert badly < well - 8
    assert again - badly > 0.8 * (well - badly)


def test_what_does_not_help_is_left_alone():
    graph = graph_of()
    weights = random_layers(graph)
    made, found = equalise(graph, weights, images_of(8))
    for pair in found:
        assert pair.after >= pair.before
        if not pair.way:
            assert pair.after == pair.before
    untouched = {"a", "d", "g", "y"} - {
        name for pair in found if pair.way for name in (*pair.first, *pair.second)
    }
    assert untouched
    for name in untouched:
        assert made[name] is weights[name]


def test_dead_channels_stay_as_they_are():
    graph = graph_of()
    weights = badly_scaled(graph, random_layers(graph))
    dead = weights["a"].weight.copy()
    dead[2], bias = 0, weights["a"].bias.copy()
    bias[2] = 0
    weights["a"] = LayerWeights(dead, bias)
    made, _ = equalise(graph, weights, images_of(4))
    assert not made["a"].weight[2].any()
    assert all(np.isfinite(layer.weight).all() for layer in made.values())


def test_layers_that_were_quantised_before_are_left_alone():
    graph = graph_of()
    weights = badly_scaled(graph, random_layers(graph))
    layer = weights["d"]
    weights["d"] = LayerWeights(layer.weight, layer.bias, np.full(16, 0.01))
    made, found = equalise(graph, weights, images_of(4))
    assert [(pair.first, pair.second) for pair in found] == [(("g",), ("y",))]
    assert made["d"] is weights["d"]


def test_it_is_the_same_every_time():
    graph = graph_of()
    weights = badly_scaled(graph, random_layers(graph))
    first, second = (equalise(graph, weights, images_of(3)) for _ in range(2))
    assert first[1] == second[1]
    for name, layer in first[0].items():
        np.testing.assert_array_equal(layer.weight, second[0][name].weight)
