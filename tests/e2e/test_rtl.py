"""Random networks in the RTL: tensors are the golden model's, memory is the emulator's."""

import os
import random
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from systolith_host.compiler import compile_network
from systolith_host.compiler.shortage import ShortageError
from systolith_host.lab.fuzz.networks import (
    random_config,
    random_input,
    random_qgraph,
    run_program,
)
from systolith_host.lab.fuzz.winograd import (
    random_tilings,
    random_winograd_case,
    random_winograd_config,
)
from systolith_host.lab.validate import CONFIGS
from systolith_host.network.golden import run_golden
from systolith_host.program.instructions import kind_of_convs
from systolith_host.program.program import Program
from systolith_host.runtime.rtl.simulate import run_layers
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.presets import PRESETS
from systolith_sim.emulator.device import Emulator
from systolith_sim.memory.timing import MemoryTiming
from systolith_sim.rtl.simulator import accelerator_build

# Each run takes other networks; SYSTOLITH_SEED repeats one, SYSTOLITH_NETWORKS takes more of them.
SEED = os.environ.get("SYSTOLITH_SEED")
NETWORKS = int(os.environ.get("SYSTOLITH_NETWORKS", "1"))

LARGEST_PREDICTION = {"verilator": 150_000, "icarus": 12_000}
"""Cycles of a network, so that a test takes seconds."""

ODD = AcceleratorConfig(
    name="odd",
    rows=8,
    cols=4,
    act_depth=700,
    weight_depth=131,
    param_depth=24,
    acc_depth=50,
    post_lanes=1,
    multiplier_width=12,
    out_depth=21,
    bus_bytes=16,
    burst_beats=4,
    outstanding_reads=2,
    outstanding_writes=1,
    queue_depth=2,
)
WIDE = replace(ODD, name="wide", rows=3, cols=12, bus_bytes=4, out_depth=40, functions=1)

PATCHES = [config for config in CONFIGS if config.name in ("4x4-patches", "8x4-few-patches")]


def random_seed() -> int:
    return int(SEED) if SEED else random.SystemRandom().getrandbits(32)


def random_timing(rng: random.Random, config: AcceleratorConfig) -> MemoryTiming:
    return MemoryTiming(
        latency=rng.choice([2, 5, 40]),
        bytes_per_cycle=rng.choice([None, None, config.bus_bytes / 3]),
        reads=rng.choice([1, 64]),
        writes=rng.choice([1, 64]),
        stalls=rng.choice([0.0, 0.2, 0.5]),
        seed=rng.randint(1, 1000),
    )


def random_program(rng: random.Random, config: AcceleratorConfig, limit: int):
    """Return the first program of at most that many predicted cycles, its network and its images.

    On the slowest configurations no network is so short; then it is the shortest that was tried.
    With Winograd's units the program uses them.
    """
    tried = []
    for _ in range(100):
        if config.winograd:
            qgraph, images = random_winograd_case(rng, config)
        else:
            qgraph = random_qgraph(rng, functions=bool(config.functions), mosaics=True)
            images = random_input(rng, qgraph, rng.randint(1, 3))
        tilings = random_tilings(rng, winograd=1.0) if config.winograd else nullcontext()
        try:
            with tilings:
                program = compile_network(qgraph, config, len(images), fuse_pool=rng.random() < 0.7)
        except ShortageError:
            # A tile of one output can be too much for the smallest buffers; nothing else may be.
            continue
        kinds = {kind_of_convs(program, one) for one in program.layers}
        if config.winograd and "winograd" not in kinds:
            continue
        cycles = sum(layer.predicted_cycles for layer in program.layers)
        tried.append((cycles, program, qgraph, images))
        if cycles <= limit:
            break
    assert tried, f"none of 100 networks runs on {config}"
    return min(tried, key=lambda entry: entry[0])[1:]


def memory_in_rtl(
    program: Program, images: np.ndarray, simulator: str, timing: MemoryTiming, folder: Path
) -> np.ndarray:
    """Return what external memory holds after all layers have run in one piece.

    In Icarus all registers and memories of the accelerator begin with X.
    """
    image = folder / "image"
    program.write_image(image, {program.input: images})
    unknown = simulator == "icarus"
    built = accelerator_build(program.config, simulator, program.memory_size, unknown=unknown)
    counters = run_layers(built, program.config, program.layers, image, memory=timing)
    for layer, counted in zip(program.layers, counters, strict=True):
        for engine, states in counted.states.items():
            assert sum(states.values()) == counted.cycles, f"{layer.name}: {engine}"
    return np.fromfile(image, np.uint8)


def check(rng: random.Random, config: AcceleratorConfig, simulator: str, folder: Path) -> None:
    program, qgraph, images = random_program(rng, config, LARGEST_PREDICTION[simulator])
    timing = random_timing(rng, config)
    emulator = Emulator(config, program.memory_size, strict=True)
    run_program(program, emulator, images)
    memory = memory_in_rtl(program, images, simulator, timing, folder)
    golden = run_golden(qgraph, images)
    for name, place in program.places.items():
        values = place.unpack(memory[place.address : place.address + place.size])
        np.testing.assert_array_equal(values, golden[name], err_msg=name)
    np.testing.assert_array_equal(memory, emulator.memory)


@pytest.mark.requirement("NUM-2", "AXI-6", "CNT-2")
@pytest.mark.rtl
@pytest.mark.parametrize(
    "config", [PRESETS["tiny"], ODD, WIDE, *PATCHES], ids=lambda config: config.name
)
def test_verilator_runs_random_networks_as_the_golden_model(config, tmp_path):
    for _ in range(3 * NETWORKS):
        seed = random_seed()
        print(f"SYSTOLITH_SEED={seed}")
        check(random.Random(seed), config, "verilator", tmp_path)


@pytest.mark.requirement("NUM-2", "AXI-6", "CNT-2", "RST-3")
@pytest.mark.rtl
@pytest.mark.parametrize("number", range(4))
def test_icarus_runs_random_networks_on_random_configurations(number, tmp_path):
    for _ in range(NETWORKS):
        seed = random_seed()
        print(f"SYSTOLITH_SEED={seed}")
        rng = random.Random(seed)
        config = (random_config if number < 2 else random_winograd_config)(rng)
        check(rng, config, "icarus", tmp_path)
