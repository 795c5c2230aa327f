"""Fully connected layers on more images than fit: stacked sums, and weights read once."""

import random
from contextlib import nullcontext
from dataclasses import replace

import pytest

from systolith_host.compiler import compile_network
from systolith_host.compiler.compile import explain_network
from systolith_host.compiler.shortage import ShortageError
from systolith_host.cost.evaluate import evaluate
from systolith_host.lab.exact import run_exactly
from systolith_host.lab.fuzz.gather import dense_qgraph, random_dense_qgraph
from systolith_host.lab.fuzz.networks import random_config, random_input
from systolith_host.lab.fuzz.winograd import random_tilings
from systolith_host.program.instructions import layer_instructions
from systolith_hw.spec.isa import Buffer, Opcode
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import PRESETS
from systolith_sim.testing.configs import small_config

SMALL = replace(
    small_config(4, 8, act_depth=200, weight_depth=96, param_depth=64), acc_depth=20, post_lanes=4
)


def run(qgraph, config, images):
    """Return a program of a network after a run with the golden model's tensors."""
    program = compile_network(qgraph, config, len(images))
    run_exactly(program, qgraph, images)
    return program


def instructions_of(program, opcode):
    """Return the instructions of the last layer with an opcode."""
    return [one for one in layer_instructions(program, program.layers[-1]) if one.opcode is opcode]


@pytest.mark.parametrize("batch", [1, 3, 4, 9])
def test_weights_are_read_once_where_inputs_do_not_fit(batch):
    rng = random.Random(batch)
    # 240 inputs are 60 words of an image, 540 of nine, and the buffer holds 200.
    qgraph = dense_qgraph(rng, outputs=75)
    program = run(qgraph, SMALL, random_input(rng, qgraph, batch))
    loads = instructions_of(program, Opcode.LOAD)
    words = sum(one["run_words"] for one in loads if one["buffer"] == Buffer.WEIGHT)
    assert words == 10 * 60 * 4  # blocks of outputs, words of inputs, rows
    places = {one["acc_base"] for one in instructions_of(program, Opcode.CONV)}
    assert len(places) == (1 if batch * 60 <= 200 else 20 // batch)
    assert places == {one["acc_base"] for one in instructions_of(program, Opcode.STORE)}


def test_one_image_too_large_for_the_buffer_runs():
    rng = random.Random(5)
    config = replace(SMALL, act_depth=40)
    qgraph = dense_qgraph(rng, channels=80, size=(1, 1), outputs=50)
    run(qgraph, config, random_input(rng, qgraph, 1))
    schedule = explain_network(qgraph, replace(config, act_depth=16))[-1]
    assert (schedule.stack, schedule.resident) == (7, False)
    run(qgraph, replace(config, act_depth=16), random_input(rng, qgraph, 1))


def test_random_stacks_are_exact():
    stacks = several = 0
    for seed in range(24):
        rng = random.Random(seed)
        config = replace(random_config(rng), act_depth=rng.choice([40, 100, 300]))
        qgraph = random_dense_qgraph(rng)
        images = random_input(rng, qgraph, rng.randint(1, 7))
        with random_tilings(rng) if rng.random() < 0.7 else nullcontext():
            try:
                program = run(qgraph, config, images)
            except ShortageError:
                continue
        places = {one["acc_base"] for one in instructions_of(program, Opcode.CONV)}
        stacks += len(places) > 1
        several += len(places) > 1 and len(images) > 1
    assert stacks >= 5, stacks
    assert several >= 4, several


@pytest.mark.parametrize(
    ("config", "rate", "most"), [("default", 16, 1.04), ("ecp5-85f", 3.66, 1.07)]
)
def test_vgg16_reads_its_weights_once_for_16_images(config, rate, most):
    costs = evaluate("vgg16", PRESETS[config], Memory(bytes_per_cycle=rate), 16)
    layers = [cost for cost in costs if cost.kind == "fc"]
    weights = sum(count * outputs for count, outputs in ((25088, 4096), (4096, 4096), (4096, 1000)))
    assert sum(cost.estimated_read_bytes for cost in layers) < 1.07 * weights
    assert sum(c.estimated_cycles for c in layers) < most * sum(c.bound_cycles for c in layers)
