"""Layers whose weights all fit 4 bits: which they are, half the bytes, and exact results."""

import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from systolith_host.compiler import compile_network
from systolith_host.compiler.lower.lower import lower
from systolith_host.compiler.lower.pack import pack_nibbles
from systolith_host.compiler.shortage import ShortageError
from systolith_host.cost.explain import explain_layer
from systolith_host.frontend.vgg import build_network
from systolith_host.lab.exact import run_exactly
from systolith_host.lab.fuzz.gather import (
    dense_qgraph,
    random_dense_qgraph,
    random_gather_config,
)
from systolith_host.lab.fuzz.networks import (
    random_config,
    random_input,
    random_qgraph,
)
from systolith_host.lab.fuzz.nibbles import narrow_weights
from systolith_host.lab.fuzz.winograd import random_winograd_case
from systolith_host.network.qgraph import QConv
from systolith_host.network.shapes import timing_network
from systolith_host.network.weight_bits import narrow_network
from systolith_host.program.instructions import kind_of_convs, weight_bits
from systolith_hw.spec.presets import PRESETS
from systolith_sim.emulator.nibbles import weight_words
from systolith_sim.testing.configs import small_config

TINY = replace(PRESETS["tiny"], nibbles=1)


def run(qgraph, config, images, **options):
    """Return a program after a run that the golden model agrees with."""
    program = compile_network(qgraph, config, len(images), **options)
    run_exactly(program, qgraph, images)
    return program


def weights_of(qgraph):
    """Return the weights of the last layer."""
    layer = qgraph.layers[-1]
    assert isinstance(layer, QConv)
    return layer.weight


def draw(rng, kind):
    """Return a random network with layers of 4 bits, a configuration, and images."""
    if kind == "gather":
        qgraph, config = random_dense_qgraph(rng), random_gather_config(rng)
        images = random_input(rng, qgraph, 1)
    elif kind == "winograd":
        config = small_config(4, 8, act_depth=1024, acc_depth=200, weight_depth=120, winograd=5)
        qgraph, images = random_winograd_case(rng, config)
    else:
        config = random_config(rng)
        qgraph = random_qgraph(rng, functions=bool(config.functions))
        images = random_input(rng, qgraph, rng.choice([1, 1, 3]))
    return narrow_weights(rng, qgraph), config, images


@pytest.mark.parametrize(("kind", "seeds"), [("direct", 30), ("gather", 16), ("winograd", 8)])
def test_random_networks_with_layers_of_4_bits_are_exact(kind, seeds):
    counts = Counter()
    for seed in range(seeds):
        rng = random.Random(seed)
        qgraph, config, images = draw(rng, kind)
        if config.rows % 2:
            continue
        try:
            program = run(qgraph, replace(config, nibbles=1), images, density=0.01)
        except ShortageError:
            continue
        for layer in program.layers:
            counts[kind_of_convs(program, layer), weight_bits(program, layer)] += 1
    assert counts[kind, 4] > 0, counts
    assert any(bits == 8 for _, bits in counts), counts


def test_two_words_share_one_the_first_in_the_low_nibbles():
    words = np.random.default_rng(1).integers(-8, 7, (3, 6, 5), np.int8, endpoint=True)
    packed = pack_nibbles(words)
    assert packed.shape == (3, 3, 5)
    np.testing.assert_array_equal(weight_words(packed, 1), words)
    assert pack_nibbles(np.array([[1], [-2]], np.int8)).tolist() == [[0xE1]]


@pytest.mark.parametrize(("value", "bits"), [(7, 4), (-8, 4), (8, 8), (-9, 8)])
def test_a_single_weight_beyond_keeps_a_layer_at_8_bits(value, bits):
    qgraph = narrow_weights(random.Random(1), dense_qgraph(random.Random(2)), 1)
    weights_of(qgraph).flat[7] = value
    program = compile_network(qgraph, TINY)
    assert [weight_bits(program, layer) for layer in program.layers] == [4, bits]
    without = compile_network(qgraph, PRESETS["tiny"])
    assert {weight_bits(without, layer) for layer in without.layers} == {8}
    assert not any(operation.nibbles for operation in lower(qgraph, PRESETS["tiny"]))


@pytest.mark.parametrize("gather", [0, 240])
def test_weights_take_half_the_bytes(gather):
    config = replace(TINY, gather=gather)
    qgraph = narrow_weights(random.Random(1), dense_qgraph(random.Random(2)), 1)
    sizes = []
    for nibbles in (0, 1):
        program = compile_network(qgraph, replace(config, nibbles=nibbles), density=0.01)
        assert kind_of_convs(program, program.layers[1]) == ("gather" if gather else "direct")
        sizes.append(program.layers[1].compulsory_bytes)
    assert sizes[0] - sizes[1] == weights_of(qgraph).size // 2


def test_a_network_of_shapes_has_weights_of_8_bits_unless_they_are_narrowed():
    qgraph = timing_network(build_network("mini"))
    wide, narrow = (
        compile_network(network, TINY) for network in (qgraph, narrow_network(qgraph, {"fc": 4}))
    )
    for program, bits in ((wide, 8), (narrow, 4)):
        found = {weight_bits(program, layer) for layer in program.layers if layer.kind == "fc"}
        assert found == {bits}
    explained = [
        explain_layer(one, TINY, "fc4") for one in (qgraph, narrow_network(qgraph, {"": 4}))
    ]
    assert [one.weight_bits for one in explained] == [8, 4]
    reads = [one.read_bytes["weights"] for one in explained]
    assert reads[0] == 2 * reads[1]
