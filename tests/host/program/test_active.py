"""Densities as texts, and where the active bytes of an input are then."""

import random

import numpy as np
import pytest

from systolith_host.compiler import compile_network
from systolith_host.errors import SystolithError
from systolith_host.lab.fuzz.gather import dense_qgraph
from systolith_host.program.active import check_density, density_of, input_masks, parse_density
from systolith_host.program.instructions import layer_instructions
from systolith_sim.testing.configs import small_config

CONFIG = small_config(4, 8, gather=400, act_depth=1024, weight_depth=512)


def test_a_density_is_a_number_or_some_layers_numbers():
    assert parse_density("0.108") == 0.108
    assert parse_density("fc6=0.1, fc7=1") == {"fc6": 0.1, "fc7": 1}
    assert [density_of({"fc6": 0.1}, name) for name in ("fc6", "fc8")] == [0.1, 1]
    assert density_of(0.5, "fc6") == 0.5
    check_density({"fc6": 0.1}, {"conv": "conv", "fc6": "fc"})
    check_density(0.5, {})


@pytest.mark.parametrize(
    "text", ["", "1.1", "-0.1", "nan", "fc6", "fc6=", "=0.5", "fc6=2", "0.1,0.2"]
)
def test_other_densities_are_refused(text):
    with pytest.raises(SystolithError, match=r"^--density must be a number from 0 to 1"):
        parse_density(text)


def test_layers_that_are_not_fully_connected_have_no_density():
    with pytest.raises(SystolithError, match=r"^--density: 'a' is not .*; there are fc6$"):
        check_density({"a": 0.1}, {"a": "conv", "fc6": "fc"})


def spread(qgraph, density):
    program = compile_network(qgraph, CONFIG, density=0.1)
    first, layer = program.layers
    assert input_masks(program, first, layer_instructions(program, first)) == []
    (mask,) = input_masks(program, layer, layer_instructions(program, layer), density)
    return mask


@pytest.mark.parametrize("density", [0, 0.25, 0.5, 1])
def test_a_density_is_spread_evenly_over_the_values(density):
    mask = spread(dense_qgraph(random.Random(1), channels=6), density)
    # 6 channels are two blocks of 4, of 6 pixels each.
    lanes = mask.reshape(2, 6, 4)
    assert not lanes[1, :, 2:].any()
    assert mask.sum() == density * 36
    values = np.concatenate([lanes[0].reshape(-1), lanes[1, :, :2].reshape(-1)])
    parts = values.reshape(4, -1).sum(axis=1)
    assert parts.max() - parts.min() <= 1
