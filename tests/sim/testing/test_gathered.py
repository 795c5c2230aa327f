"""Random layers that gather: they keep to the configuration, and their memory is as they say."""

import random

import numpy as np
import pytest

from systolith_hw.spec.isa import PARAM_BYTES, Opcode
from systolith_hw.spec.legal import broken_rule
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.gathered import random_layer


@pytest.mark.parametrize(
    ("rows", "cols", "nibbles"),
    [(4, 4, 0), (4, 8, 0), (8, 4, 0), (3, 6, 0), (4, 4, 1), (6, 2, 1)],
)
def test_a_random_layer_fits_its_configuration(rows, cols, nibbles):
    rng = random.Random(rows * cols)
    config = small_config(rows, cols, gather=64 * min(rows, cols), nibbles=nibbles)
    for _ in range(50):
        layer = random_layer(rng, config)
        assert layer.inputs.size % config.block == 0
        assert 0 < layer.inputs.size <= config.gather
        assert len(layer.weight) == sum(blocks for _, blocks in layer.slices) * cols
        assert layer.act_dest + -(-layer.inputs.size // rows) <= config.act_depth
        ring = layer.units * rows * layer.held(layer.blocks)
        assert layer.weight_dest + ring <= config.weight_depth
        assert not layer.nibbles or (-8 <= layer.weight.min() and layer.weight.max() <= 7)
        differences = layer.inputs.astype(int) - layer.zero
        assert (-128, 0)[layer.unsigned] <= differences.min()
        assert differences.max() <= (127, 255)[layer.unsigned]
        program = layer.program()
        assert len(program) == 1 + 4 * len(layer.slices)
        assert [broken_rule(one, config) for one in program] == [None] * len(program)


@pytest.mark.parametrize("density", [0, 0.5, 1])
def test_the_density_is_that_of_the_active_inputs(density):
    config = small_config(gather=256)
    rng = random.Random(density)
    layers = [random_layer(rng, config, density) for _ in range(40)]
    share = np.mean([(layer.inputs != layer.zero).mean() for layer in layers])
    # A value that is drawn may be the zero point.
    assert density - 0.1 <= share <= density
    assert min(layer.active for layer in layers) >= 1


def test_the_weights_of_an_input_stand_together():
    config = small_config(4, 8, gather=256)
    layer = random_layer(random.Random(7), config, 0.5)
    memory, (_, weights, params, output, _) = layer.memory(), layer.places
    cols, (first, blocks) = config.cols, layer.slices[0]
    run = memory[weights + blocks * cols :][: blocks * cols].view(np.int8)
    np.testing.assert_array_equal(run, layer.weight[first * cols :, 1][: blocks * cols])
    assert output - params >= len(layer.weight) * PARAM_BYTES
    assert memory[params:][:4].view("<i4")[0] == layer.bias[0]
    stores = [one for one in layer.program() if one.opcode == Opcode.STORE]
    assert [one["addr"] for one in stores] == [output + first * cols for first, _ in layer.slices]
