"""Bias correction: the channels' means come to those of the float network."""

from dataclasses import replace

import numpy as np
import pytest

from systolith_host.frontend.vgg import build_network
from systolith_host.frontend.weights import random_weights
from systolith_host.network.forward import run_float
from systolith_host.network.golden import run_golden
from systolith_host.network.graph import GraphBuilder, LayerWeights
from systolith_host.network.qgraph import QConv
from systolith_host.quantize.calibrate import calibrate
from systolith_host.quantize.correct import correct
from systolith_host.quantize.quantize import quantize, quantize_input

GRAPH = build_network("mini")


def correct_biases(graph, weights, qgraph, images):
    return correct(graph, weights, qgraph, images, rounding=False)


@pytest.fixture(scope="module")
def case():
    weights = random_weights(GRAPH, 5)
    images = np.random.default_rng(2).normal(size=(6, 3, 32, 32)).astype(np.float32)
    calibration = calibrate(GRAPH, weights, images)
    return weights, images, quantize(GRAPH, weights, calibration, 16)


def means(qgraph, images, name):
    """Return the real means of a tensor's channels."""
    target = qgraph.tensors[name]
    values = run_golden(qgraph, quantize_input(qgraph, images))[name].astype(np.float64)
    return (values - target.zero_point).mean(axis=(0, 2, 3)) * target.scale


def test_means_of_the_output_come_closer(case):
    weights, images, qgraph = case
    made, found = correct_biases(GRAPH, weights, qgraph, images)
    wanted = dict(run_float(GRAPH, weights, images))[GRAPH.output].mean(axis=0)
    before = np.abs(means(qgraph, images, qgraph.output) - wanted)
    after = np.abs(means(made, images, made.output) - wanted)
    assert after.mean() < 0.5 * before.mean()
    # Sums agree to half a step of the bias; the outputs were rounded to their own steps.
    assert after.max() < 0.5 * qgraph.tensors[qgraph.output].scale
    assert [one.layer for one in found] == [node.name for node in GRAPH.weighted]


def test_a_bias_that_is_wrong_by_some_steps_is_put_right():
    builder = GraphBuilder("one", (4, 9, 7))
    builder.conv("c", 6, (3, 2), stride=(2, 1), padding=(1, 0, 0, 1), dilation=(1, 2))
    graph = builder.build()
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(6, 4, 3, 2)).astype(np.float32)
    weights = {"c": LayerWeights(weight, rng.normal(size=6))}
    images = rng.normal(size=(5, 4, 9, 7)).astype(np.float32)
    qgraph = quantize(graph, weights, calibrate(graph, weights, images), 16)
    (layer,) = qgraph.layers
    assert isinstance(layer, QConv)
    right, _ = correct_biases(graph, weights, qgraph, images)
    wrong = QConv(**{**layer.__dict__, "bias": layer.bias + np.arange(6, dtype=np.int32) * 5000})
    put_right, (found,) = correct_biases(
        graph, weights, type(qgraph)(**{**qgraph.__dict__, "layers": (wrong,)}), images
    )
    for one, other in zip(right.layers, put_right.layers, strict=True):
        assert isinstance(one, QConv)
        assert isinstance(other, QConv)
        np.testing.assert_array_equal(one.bias, other.bias)
    assert found.steps > 1
    wanted = dict(run_float(graph, weights, images))["c"].mean(axis=(0, 2, 3))
    step = qgraph.tensors["c"].scale
    assert np.abs(means(right, images, "c") - wanted).max() < 0.1 * step


def test_only_biases_change(case):
    weights, images, qgraph = case
    made, _ = correct_biases(GRAPH, weights, qgraph, images)
    assert made.tensors == qgraph.tensors
    changed = 0
    for before, after in zip(qgraph.layers, made.layers, strict=True):
        for name, value in before.__dict__.items():
            if name == "bias":
                changed += bool((value != after.__dict__[name]).any())
            else:
                np.testing.assert_array_equal(value, after.__dict__[name])
    assert changed == len(GRAPH.weighted)


def test_a_bias_counts_behind_the_clamp():
    """Sums far below a ReLU that are wrong by much move no bias; those above it do."""
    builder = GraphBuilder("one", (1, 1, 8))
    builder.conv("c", 1, (1, 1))
    builder.relu("r")
    graph = builder.build()
    weights = {"c": LayerWeights(np.ones((1, 1, 1, 1), np.float32), np.zeros(1, np.float32))}
    x = np.array([1, 2, 3, 4, -3, -3, -4, -4], np.float32).reshape(1, 1, 1, 8)
    qgraph = quantize(graph, weights, calibrate(graph, weights, x), 16)
    (layer,) = qgraph.layers
    assert isinstance(layer, QConv)
    made, _ = correct_biases(graph, weights, qgraph, x)
    right = made.layers[0]
    assert isinstance(right, QConv)
    # Inputs saturate here, but only those of the channel's dead pixels.
    narrow = dict(qgraph.tensors)
    source = narrow["input"]
    narrow["input"] = replace(source, zero_point=-128 + 64, scale=source.scale)
    shifted = replace(qgraph, tensors=narrow)
    found, _ = correct_biases(graph, weights, shifted, x)
    moved = found.layers[0]
    assert isinstance(moved, QConv)
    np.testing.assert_array_equal(moved.bias, right.bias)


def test_once_corrected_there_is_nothing_left_to_correct(case):
    weights, images, qgraph = case
    once, _ = correct_biases(GRAPH, weights, qgraph, images)
    _, found = correct_biases(GRAPH, weights, once, images)
    assert max(one.steps for one in found) < 0.01


def test_sums_just_beyond_the_range_come_back_into_it():
    """There each step of the search sees the part of the error that lies inside only."""
    builder = GraphBuilder("one", (1, 1, 4))
    builder.conv("c", 1, (1, 1))
    graph = builder.build()
    weights = {"c": LayerWeights(np.ones((1, 1, 1, 1), np.float32), np.zeros(1, np.float32))}
    x = np.array([-1, 0, 0.5, 1], np.float32).reshape(1, 1, 1, 4)
    qgraph = quantize(graph, weights, calibrate(graph, weights, x), 16)
    target = qgraph.tensors["c"]
    (layer,) = qgraph.layers
    assert isinstance(layer, QConv)
    step = np.ldexp(layer.multiplier.astype(float), -layer.shift).item()  # in steps of the output
    end = (layer.high - target.zero_point) * target.scale
    near = np.full((1, 1, 1, 4), end - 0.1 * target.scale, np.float32)
    first = qgraph.tensors[qgraph.input]
    sums = np.rint(near[0, 0, 0, 0] / first.scale) * int(layer.weight.item())
    beyond = round((end / target.scale + 0.6) / step - sums)
    wrong = replace(qgraph, layers=(replace(layer, bias=np.array([beyond], np.int32)),))
    made, _ = correct_biases(graph, weights, wrong, near)
    put_right = made.layers[0]
    assert isinstance(put_right, QConv)
    found = (sums + int(put_right.bias[0])) * step
    assert found == pytest.approx(near.max() / target.scale, abs=0.01)
