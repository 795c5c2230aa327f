"""Calibration by percentile and least error, and the noise of layers."""

import numpy as np
import pytest

from systolith_host.errors import SystolithError
from systolith_host.frontend.vgg import build_network
from systolith_host.frontend.weights import random_weights
from systolith_host.network.golden import run_golden
from systolith_host.network.graph import GraphBuilder, LayerWeights
from systolith_host.network.scales import activation_scale
from systolith_host.quantize.calibrate import METHODS, calibrate
from systolith_host.quantize.noise import decibels, layer_noise
from systolith_host.quantize.quantize import quantize, quantize_input
from systolith_host.quantize.ranges import BINS, least_error, percentile


def histogram(values, low, high):
    return np.histogram(values, BINS, (low, high))[0]


def test_percentile_leaves_out_the_outermost_values():
    values = np.concatenate([np.linspace(0, 1, 100_000), [50.0]])
    low, high = percentile(histogram(values, 0, 50), 0.0, 50.0)
    assert low == 0.0
    assert 0.99 < high < 1.05


def test_percentile_keeps_what_has_no_outliers():
    values = np.linspace(-3, 5, 10_000)
    low, high = percentile(histogram(values, -3, 5), -3.0, 5.0)
    assert (low, high) == pytest.approx((-3, 5), abs=0.01)


def test_least_error_beats_the_whole_range_where_tails_are_thin():
    values = np.random.default_rng(0).standard_t(3, 200_000)
    low, high = float(values.min()), float(values.max())
    tried = least_error(histogram(values, low, high), low, high)
    assert tried[1] < 0.8 * high

    def error(limits):
        scale = activation_scale(*limits)
        real = (scale.quantize(values).astype(int) - scale.zero_point) * scale.scale
        return ((real - values) ** 2).mean()

    assert error(tried) < 0.7 * error((low, high))


def test_least_error_keeps_a_flat_range():
    values = np.linspace(0, 6, 50_000)
    assert least_error(histogram(values, 0, 6), 0.0, 6.0) == pytest.approx((0, 6), abs=0.1)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_a_network_with_little_noise(method):
    graph = build_network("mini")
    weights = random_weights(graph, 3)
    images = np.random.default_rng(4).standard_normal((2, 3, 32, 32)).astype(np.float32)
    calibration = calibrate(graph, weights, images, method=method)
    qgraph = quantize(graph, weights, calibration, 16)
    tensors = run_golden(qgraph, quantize_input(qgraph, images))
    noise = layer_noise(graph, weights, qgraph, tensors, images)
    assert noise.keys() == {layer.name for layer in qgraph.layers}
    assert min(noise.values()) > 20
    assert max(noise.values()) < 60


def test_constant_tensors_have_a_range():
    graph = build_network("mini")
    weights = random_weights(graph, 3)
    images = np.zeros((1, 3, 32, 32), np.float32)
    for method in METHODS:
        calibration = calibrate(graph, weights, images, method=method)
        quantize(graph, weights, calibration, 16)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("flat", [False, True])
def test_outputs_keep_their_whole_range(method, flat):
    """The largest output tells the class; it may lie far above the others."""
    builder = GraphBuilder("one", (4, 20, 20))
    builder.conv("a", 4, (1, 1))
    builder.conv("b", 4, (1, 1))
    if flat:
        builder.flatten("flat")
    graph = builder.build()
    rng = np.random.default_rng(0)
    weights = {
        name: LayerWeights(np.eye(4, dtype=np.float32)[..., None, None], np.zeros(4))
        for name in "ab"
    }
    images = rng.standard_t(2, (8, 4, 20, 20)).astype(np.float32)
    ranges = calibrate(graph, weights, images, method=method).ranges
    whole = (float(images.min()), float(images.max()))
    assert ranges["b"] == whole
    assert (ranges["a"] == whole) == (method == "minmax")


def test_a_bright_image_counts_no_more_than_others():
    builder = GraphBuilder("one", (1, 32, 32))
    builder.conv("a", 1, (1, 1))
    builder.conv("b", 1, (1, 1))
    graph = builder.build()
    one = LayerWeights(np.ones((1, 1, 1, 1), np.float32), np.zeros(1))
    images = np.random.default_rng(0).standard_normal((8, 1, 32, 32)).astype(np.float32)
    images[0] *= 30
    found = calibrate(graph, {"a": one, "b": one}, images, method="mse").ranges["a"]
    low, high = float(images.min()), float(images.max())
    alike = least_error(histogram(images, low, high), low, high)
    ratios = []
    for ends in (alike, found):
        scale = activation_scale(*ends)
        rounded = (scale.quantize(images).astype(int) - scale.zero_point) * scale.scale
        ratios.append([decibels(image, real) for image, real in zip(images, rounded, strict=True)])
    gains = np.subtract(*reversed(ratios))
    assert (gains[1:] > 3).all()
    assert ratios[1][0] > 10


def test_unknown_methods_are_refused():
    graph = build_network("mini")
    with pytest.raises(SystolithError, match="calibration must be one of minmax, percentile, mse"):
        calibrate(graph, {}, np.zeros((1, 3, 32, 32), np.float32), method="median")
