"""Fully connected layers that gather weights or stack sums in the RTL: memory is the emulator's."""

import os
import random
from dataclasses import replace

import numpy as np
import pytest

from systolith_host.compiler import compile_network
from systolith_host.compiler.shortage import ShortageError
from systolith_host.lab.fuzz.gather import random_dense_qgraph, random_gather_config
from systolith_host.lab.fuzz.networks import random_config, random_input, run_program
from systolith_host.lab.fuzz.nibbles import narrow_weights
from systolith_host.network.golden import run_golden
from systolith_host.program.instructions import layer_instructions
from systolith_host.runtime.rtl.simulate import simulate
from systolith_hw.spec.isa import Opcode
from systolith_sim.emulator.device import Emulator
from systolith_sim.memory.timing import MemoryTiming
from systolith_sim.testing.configs import small_config

SEED = os.environ.get("SYSTOLITH_SEED")


def convs_with(program, field):
    """Return the CONVs of which a field is not zero."""
    return [
        one
        for layer in program.layers
        for one in layer_instructions(program, layer)
        if one.opcode is Opcode.CONV and one[field]
    ]


def draw(rng, field, configs, batches=(1,)):
    """Return a random layer that has CONVs with a field, its program and its images.

    Where the configuration has them it has weights of 4 bits.
    """
    for _ in range(200):
        qgraph, batch = random_dense_qgraph(rng), rng.choice(batches)
        config = configs(rng)
        if config.nibbles:
            qgraph = narrow_weights(rng, qgraph, 1)
        try:
            program = compile_network(qgraph, config, batch, density=0.01)
        except ShortageError:
            continue
        short = sum(one.predicted_cycles for one in program.layers) < 8000
        if short and convs_with(program, field):
            return qgraph, program, random_input(rng, qgraph, batch)
    raise AssertionError(f"none of 200 layers has CONVs with {field}")


def check(rng, qgraph, program, images, simulator, folder):
    emulator = Emulator(program.config, program.memory_size, strict=True)
    run_program(program, emulator, images)
    image = folder / "image"
    program.write_image(image, {program.input: images})
    timing = MemoryTiming(
        latency=rng.choice([2, 5, 40]),
        bytes_per_cycle=rng.choice([None, program.config.bus_bytes / 3]),
        stalls=rng.choice([0.0, 0.3]),
        seed=rng.randint(1, 1000),
    )
    counters = simulate(program, None, image, simulator=simulator, memory=timing)
    memory = np.fromfile(image, np.uint8)
    golden = run_golden(qgraph, images)
    for name, place in program.places.items():
        values = place.unpack(memory[place.address : place.address + place.size])
        np.testing.assert_array_equal(values, golden[name], err_msg=name)
    np.testing.assert_array_equal(memory, emulator.memory)
    for layer, counted in zip(program.layers, counters, strict=True):
        for engine, states in counted.states.items():
            assert sum(states.values()) == counted.cycles, f"{layer.name}: {engine}"


@pytest.mark.requirement("NUM-2")
@pytest.mark.rtl
@pytest.mark.parametrize("number", range(3))
def test_icarus_gathers_on_random_configurations(number, tmp_path):
    seed = int(SEED) if SEED else random.SystemRandom().getrandbits(32)
    print(f"SYSTOLITH_SEED={seed}")
    rng = random.Random(seed)
    configs = random_gather_config
    if number:
        fixed = replace(
            small_config(4, 4, gather=512, act_depth=1024, weight_depth=300, param_depth=64),
            acc_depth=150,
            winograd=4,
            nibbles=number - 1,
        )
        configs = lambda _: fixed  # noqa: E731
    check(rng, *draw(rng, "gather", configs, (1, 3) if number else (1, 2)), "icarus", tmp_path)


@pytest.mark.rtl
def test_icarus_stacks_the_sums_of_images_whose_inputs_do_not_fit(tmp_path):
    seed = int(SEED) if SEED else random.SystemRandom().getrandbits(32)
    print(f"SYSTOLITH_SEED={seed}")
    rng = random.Random(seed)

    def configs(rng):
        return replace(random_config(rng), act_depth=rng.choice([40, 100, 200]))

    # Only stacked sums begin anywhere but at the first address of a bank.
    check(rng, *draw(rng, "acc_base", configs, (2, 3, 5)), "icarus", tmp_path)
