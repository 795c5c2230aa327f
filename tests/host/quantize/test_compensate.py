"""Weights make up for errors of their inputs where other images confirm it, and only there."""

from dataclasses import replace

import numpy as np
import pytest

from systolith_host.network.forward import run_float
from systolith_host.network.golden import run_golden
from systolith_host.network.graph import GraphBuilder, LayerWeights
from systolith_host.network.qgraph import QConv
from systolith_host.quantize.calibrate import calibrate
from systolith_host.quantize.compensate import compensation
from systolith_host.quantize.correct import correct
from systolith_host.quantize.noise import decibels
from systolith_host.quantize.quantize import quantize, quantize_input


def second_of(samples):
    return np.arange(samples) >= samples // 2


@pytest.mark.parametrize(("weights", "samples"), [(5, 400), (120, 90)])
@pytest.mark.parametrize("groups", [1, 3])
def test_errors_that_the_inputs_explain_go_away(weights, samples, groups):
    rng = np.random.default_rng(weights + groups)
    sources = rng.normal(size=(groups, 4, samples))
    inputs = rng.normal(size=(groups, weights, 4)) @ sources
    wanted = rng.normal(size=(groups, 2, weights))
    errors = wanted @ inputs
    change = compensation(inputs, errors, second_of(samples))
    assert change is not None
    assert change.shape == wanted.shape
    left = errors - change @ inputs
    assert (left**2).sum() < 0.05 * (errors**2).sum()


@pytest.mark.parametrize("damping_of", [(40, 60), (60, 40)])
def test_few_samples_and_few_weights_give_the_same_regression(damping_of):
    """Either system of equations is solved, whichever is smaller."""
    weights, samples = damping_of
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(1, weights, samples))
    errors = rng.normal(size=(1, 2, weights)) @ inputs
    change = compensation(inputs, errors, second_of(samples))
    assert change is not None
    moments = inputs[0] @ inputs[0].T
    damped = moments + 0.1 * np.trace(moments) / weights * np.eye(weights)
    wanted = np.linalg.solve(damped, inputs[0] @ errors[0].T).T
    np.testing.assert_allclose(change[0], wanted, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("seed", range(20))
def test_errors_that_only_these_images_have_change_nothing(seed):
    rng = np.random.default_rng(seed)
    inputs, errors = rng.normal(size=(1, 60, 2000)), rng.normal(size=(1, 8, 2000))
    assert compensation(inputs, errors, second_of(2000)) is None


def test_one_image_confirms_nothing():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(1, 4, 50))
    errors = rng.normal(size=(1, 2, 4)) @ inputs
    for one in (True, False):
        assert compensation(inputs, errors, np.full(50, one)) is None


def test_inputs_that_are_always_the_same_change_nothing():
    errors = np.random.default_rng(0).normal(size=(1, 2, 50))
    assert compensation(np.zeros((1, 4, 50)), errors, second_of(50)) is None


def test_a_layer_makes_up_for_a_weak_channel_of_the_layer_before_it(monkeypatch):
    """The first layer keeps integers of which a channel's are too small by a fifth."""
    builder = GraphBuilder("two", (3, 12, 12))
    builder.conv("a", 8, (3, 3), padding=(1, 1, 1, 1))
    builder.relu("r")
    builder.conv("b", 6, (1, 1))
    graph = builder.build()
    rng = np.random.default_rng(3)
    real = {
        name: LayerWeights(rng.normal(size=shape).astype(np.float32), np.zeros(shape[0]))
        for name, shape in (("a", (8, 3, 3, 3)), ("b", (6, 8, 1, 1)))
    }
    images, others = (rng.normal(size=(n, 3, 12, 12)).astype(np.float32) for n in (8, 8))
    qgraph = quantize(graph, real, calibrate(graph, real, images), 16)
    first, *rest = qgraph.layers
    assert isinstance(first, QConv)
    weak = first.weight.copy()
    weak[2] = np.rint(weak[2] * 0.8)
    broken = replace(qgraph, layers=(replace(first, weight=weak), *rest))
    kept = {**real, "a": replace(real["a"], scale=np.ones(8))}
    made, _ = correct(graph, kept, broken, images, biases=False)
    monkeypatch.setattr("systolith_host.quantize.correct.compensation", lambda *_: None)
    alone, _ = correct(graph, kept, broken, images, biases=False)
    (wanted,) = [y for name, y in run_float(graph, real, others) if name == "b"]
    found = []
    for one in (alone, made):
        target = one.tensors["b"]
        values = run_golden(one, quantize_input(one, others))["b"].astype(np.float64)
        found.append(decibels(wanted, (values - target.zero_point) * target.scale))
    assert found[1] > found[0] + 3
