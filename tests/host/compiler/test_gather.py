"""Layers that gather their weights: which do, how they are cut, and their exact results."""

import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from systolith_host.compiler import compile_network
from systolith_host.compiler.gathered import choose_gathering, pack_gathered
from systolith_host.compiler.lower.lower import lower
from systolith_host.compiler.schedule.gather import instructions_of, slices_of
from systolith_host.compiler.shortage import ShortageError
from systolith_host.cost.evaluate import operations_of
from systolith_host.lab.exact import run_exactly
from systolith_host.lab.fuzz.gather import (
    dense_qgraph,
    random_dense_qgraph,
    random_gather_config,
)
from systolith_host.lab.fuzz.networks import random_input, random_qgraph
from systolith_host.network.qgraph import QConv
from systolith_host.program.instructions import layer_instructions
from systolith_hw.spec.isa import Opcode
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import PRESETS
from systolith_sim.testing.configs import small_config

DEFAULT = replace(PRESETS["default"], gather=25088)


def run(qgraph, config, images, **options):
    """Return a program of a network after a run with the golden model's tensors."""
    program = compile_network(qgraph, config, len(images), **options)
    run_exactly(program, qgraph, images)
    return program


def convs(program):
    """Return the CONVs that gather, layer by layer."""
    for layer in program.layers:
        found = [
            one
            for one in layer_instructions(program, layer)
            if one.opcode is Opcode.CONV and one["gather"]
        ]
        if found:
            yield found


def test_random_networks_that_gather_are_exact():
    layers = 0
    for seed in range(40):
        rng = random.Random(seed)
        config = random_gather_config(rng)
        qgraph = random_qgraph(rng, functions=bool(config.functions))
        images = random_input(rng, qgraph, rng.choice([1, 1, 2, 3]))
        try:
            program = run(qgraph, config, images, density=rng.choice([0.01, 0.2]))
        except ShortageError:
            continue
        layers += len(list(convs(program)))
    assert layers >= 2


def test_random_dense_layers_are_exact():
    kinds: Counter[str] = Counter()
    for seed in range(40):
        rng = random.Random(seed)
        config = random_gather_config(rng)
        qgraph = random_dense_qgraph(rng)
        try:
            images = random_input(rng, qgraph, rng.choice([1, 1, 2, 5]))
            program = run(qgraph, config, images, density=0.01)
        except ShortageError:
            continue
        for found in convs(program):
            kinds["layers"] += 1
            kinds["several images"] += len(images) > 1
            kinds["unsigned"] += found[0]["unsigned"]
            kinds["slices"] += len(found) > 1
            kinds["rings"] += found[0]["units"] > 1
    assert kinds["layers"] >= 10, kinds
    assert min(kinds[kind] for kind in ("unsigned", "slices", "rings", "several images")) >= 3, (
        kinds
    )


@pytest.mark.parametrize(
    ("zero", "low", "high", "flags"),
    [
        (-128, -128, 127, {1}),
        (0, -128, 127, {0}),
        (10, 10, 127, {0}),
        (-50, -50, 100, {1}),
        (30, -90, 120, {0}),
        (30, -128, 127, set()),
        (-100, -128, 127, set()),
    ],
)
def test_zero_points_decide_how_differences_are_read(zero, low, high, flags):
    rng = random.Random(f"{zero} {low}")
    config = small_config(4, 8, gather=400, act_depth=1024, weight_depth=512)
    qgraph = dense_qgraph(rng, zero=zero, low=low, high=high)
    program = run(qgraph, config, random_input(rng, qgraph, 1), density=0.1)
    assert {one["unsigned"] for found in convs(program) for one in found} == flags


def test_layers_gather_only_where_mask_and_units_are():
    rng = random.Random(2)
    config = small_config(4, 8, gather=400, act_depth=1024, weight_depth=512)
    qgraph = dense_qgraph(rng)
    for images, changes, layers in (
        (1, {}, 1),
        (2, {}, 1),
        (1, {"gather": 0}, 0),
        (1, {"gather": 236}, 0),
        (1, {"gather": 240}, 1),
    ):
        program = run(
            qgraph, replace(config, **changes), random_input(rng, qgraph, images), density=0.1
        )
        assert len(list(convs(program))) == layers


def test_weights_stand_slice_by_slice_and_input_by_input():
    qgraph = dense_qgraph(random.Random(4))
    config = small_config(8, 4, gather=400, act_depth=1024, weight_depth=512)
    operation = lower(qgraph, config)[1]
    schedule = choose_gathering(operation, config, 1, Memory(), 0.1)
    assert schedule is not None
    weights, params = pack_gathered(operation, schedule, config)
    layer = qgraph.layers[1]
    assert isinstance(layer, QConv)
    # Bytes of the input in memory: blocks of 4 channels, rows, pixels, channels.
    inputs = layer.weight.reshape(37, 10, 4, 3, 2).transpose(1, 3, 4, 2, 0).reshape(240, 37)
    padded = np.zeros((240, 40), np.int8)
    padded[:, :37] = inputs
    position = 0
    for first, count in slices_of(operation, schedule, config):
        part = padded[:, 4 * first : 4 * (first + count)]
        found = weights[position : position + part.size].view(np.int8).reshape(part.shape)
        np.testing.assert_array_equal(found, part)
        position += part.size
    assert position == weights.size
    bias = params.view("<i4").reshape(-1, 2)[:, 0]
    assert bias.tolist() == [*layer.bias.tolist(), 0, 0, 0]


def test_vgg16_gathers_runs_of_a_kibibyte_by_few_instructions():
    plans = {}
    for operation in operations_of("vgg16", DEFAULT):
        plan = choose_gathering(operation, DEFAULT, 1, Memory())
        assert (plan is not None) == operation.linear
        if plan is not None:
            plans[operation.name] = (plan.pixels, plan.units)
            assert instructions_of(operation, plan, DEFAULT) <= 17
    assert plans == {"fc6": (64, 4), "fc7": (64, 4), "fc8": (63, 4)}


def test_estimates_follow_the_density():
    fc6 = next(one for one in operations_of("vgg16", DEFAULT) if one.name == "fc6")
    for density in (1, 0.5, 0.108, 0.05):
        plan = choose_gathering(fc6, DEFAULT, 1, Memory(), density)
        assert plan is not None
        assert plan.linear
        ideal = density * 25088 * 256
        assert ideal < plan.estimate < 1.04 * ideal
        assert ideal * 16 < plan.read_bytes < 1.01 * ideal * 16 + 60_000
    # An input is looked at every two cycles, active or not.
    empty = choose_gathering(fc6, DEFAULT, 1, Memory(), 0)
    assert empty is not None
    assert 4 * 2 * 25088 < empty.estimate < 250_000


def test_images_gather_one_by_one_as_long_as_that_reads_less():
    fc6 = next(one for one in operations_of("vgg16", DEFAULT) if one.name == "fc6")
    single = choose_gathering(fc6, DEFAULT, 1, Memory(), 0.108)
    assert single is not None
    assert single.compute_cycles > 0
    for batch in (2, 4, 8):
        plan = choose_gathering(fc6, DEFAULT, batch, Memory(), 0.108)
        assert plan is not None
        for name in ("compute_cycles", "read_bytes", "write_bytes"):
            assert getattr(plan, name) == batch * getattr(single, name)
        assert plan.estimate < batch * single.estimate
    # Ten images of this density need more than all weights once.
    assert choose_gathering(fc6, DEFAULT, 16, Memory(), 0.108) is None
    assert choose_gathering(fc6, DEFAULT, 2, Memory()) is None


def test_small_layers_do_not_gather_for_a_vector_without_zeros():
    config = small_config(4, 8, gather=400, act_depth=1024, weight_depth=512)
    operation = lower(dense_qgraph(random.Random(2), outputs=8), config)[1]
    assert choose_gathering(operation, config, 1, Memory(), 0.1) is not None
    assert choose_gathering(operation, config, 1, Memory()) is None
