"""Second-order rounding: products on the samples come closer than with rounding to nearest."""

import numpy as np
import pytest

from systolith_host.frontend.vgg import build_network
from systolith_host.frontend.weights import random_weights
from systolith_host.network.golden import run_golden
from systolith_host.network.qgraph import QConv
from systolith_host.quantize.calibrate import calibrate
from systolith_host.quantize.correct import correct
from systolith_host.quantize.noise import layer_noise
from systolith_host.quantize.quantize import quantize, quantize_input
from systolith_host.quantize.rounding import round_columns, round_taps


def case(seed, rows=12, columns=150, samples=400):
    """Return weights in steps, and inputs whose elements go together, as those of images do."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(columns, columns // 4)) @ rng.normal(size=(columns // 4, samples))
    return rng.normal(size=(rows, columns)) * 30, mixed + 0.1 * rng.normal(size=mixed.shape)


@pytest.mark.parametrize("seed", range(5))
def test_errors_of_products_are_less_than_half_of_those_of_rounding_to_nearest(seed):
    steps, inputs = case(seed)
    made = round_columns(steps, inputs, 127)
    nearest = np.clip(np.rint(steps), -127, 127)
    error, plain = (((values - steps) @ inputs) ** 2 for values in (made, nearest))
    assert error.sum() < 0.25 * plain.sum()
    np.testing.assert_array_equal(made, np.rint(made))
    assert np.abs(made).max() <= 127


def test_whole_weights_stay_and_dead_inputs_are_rounded_to_nearest():
    steps, inputs = case(7)
    np.testing.assert_array_equal(round_columns(np.rint(steps), inputs, 127), np.rint(steps))
    dead = np.zeros_like(inputs)
    np.testing.assert_array_equal(round_columns(steps, dead, 127), np.rint(steps))


@pytest.mark.parametrize("seed", range(5))
def test_taps_are_rounded_as_columns_of_each_row(seed):
    rng = np.random.default_rng(seed)
    steps = rng.normal(size=(6, 9)) * 30
    inputs = rng.normal(size=(6, 9, 3)) @ rng.normal(size=(6, 3, 50))
    # The order of columns is by their inputs there: make it the order of the taps.
    inputs *= np.geomspace(100, 1, 9)[None, :, None]
    inputs += rng.normal(size=inputs.shape) * 1e-3
    order = [np.argsort(-(one**2).sum(axis=1), kind="stable") for one in inputs]
    together = round_taps(
        np.stack([row[one] for row, one in zip(steps, order, strict=True)]),
        np.stack([values[one] for values, one in zip(inputs, order, strict=True)]),
        127,
    )
    for number, one in enumerate(order):
        alone = round_columns(steps[number : number + 1], inputs[number], 127)
        np.testing.assert_array_equal(together[number], alone[0, one])


def test_a_network_loses_less_with_its_weights_rounded_together():
    graph = build_network("mini")
    weights = random_weights(graph, 5)
    images = np.random.default_rng(2).normal(size=(8, 3, 32, 32))
    images = images.cumsum(axis=2).cumsum(axis=3)  # neighbours are alike, as in photographs
    images = (images / images.std()).astype(np.float32)
    plain = quantize(graph, weights, calibrate(graph, weights, images), 16)
    made, found = correct(graph, weights, plain, images, biases=False)
    assert [one.rounded for one in found][:2] == [True, True]
    _, few = correct(graph, weights, plain, images[:1], biases=False)
    assert not few[-1].rounded  # one image cannot say how a classifier is rounded
    noise = {}
    for name, qgraph in (("plain", plain), ("made", made)):
        tensors = run_golden(qgraph, quantize_input(qgraph, images))
        noise[name] = layer_noise(graph, weights, qgraph, tensors, images)
    first = graph.weighted[0].name
    assert noise["made"][first] > noise["plain"][first] + 0.2
    for before, after in zip(plain.layers, made.layers, strict=True):
        if isinstance(before, QConv) and isinstance(after, QConv):
            np.testing.assert_array_equal(before.bias, after.bias)
