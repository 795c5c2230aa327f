"""Resets at any cycle: whatever was under way, the next run is bit-exact."""

import json
import os
import random
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from systolith_host.compiler import compile_network
from systolith_host.compiler.shortage import ShortageError
from systolith_host.lab.fuzz.gather import random_dense_qgraph
from systolith_host.lab.fuzz.networks import random_input, random_qgraph
from systolith_host.lab.fuzz.nibbles import narrow_weights
from systolith_host.program.instructions import kind_of_convs
from systolith_host.runtime.driver import Driver
from systolith_hw.load import active
from systolith_hw.load import engine as load_engine
from systolith_hw.spec.config import AcceleratorConfig
from systolith_sim.bench.bench_resets import FOLDER_VARIABLE, Outcome, ResetJob
from systolith_sim.emulator.device import Emulator
from systolith_sim.memory.timing import MemoryTiming
from systolith_sim.rtl.build import Build, build
from systolith_sim.rtl.process import start_simulator
from systolith_sim.rtl.simulator import accelerator_build
from systolith_sim.rtl.testbench import accelerator_testbench
from systolith_sim.testing.broken import BROKEN, Broken, broken_verilog

pytestmark = pytest.mark.rtl

# SYSTOLITH_RESETS_MORE multiplies the cases.
MORE = int(os.environ.get("SYSTOLITH_RESETS_MORE", "1"))
SEED = os.environ.get("SYSTOLITH_SEED")

PROGRAMS = 10
LONGEST = 1500
"""Predicted cycles of a program."""

TALL = AcceleratorConfig(
    name="tall",
    rows=4,
    cols=2,
    act_depth=128,
    weight_depth=40,
    param_depth=8,
    acc_depth=16,
    post_lanes=1,
    multiplier_width=12,
    out_depth=20,
    bus_bytes=8,
    burst_beats=4,
    outstanding_reads=3,
    outstanding_writes=2,
    queue_depth=2,
    functions=1,
)
NARROW = {"rows": 2, "cols": 6, "bus_bytes": 4, "param_depth": 24, "out_depth": 40}
WIDE = replace(TALL, name="wide", functions=0, **NARROW)
GATHERS = replace(TALL, name="gathers", gather=300, weight_depth=96, param_depth=16, nibbles=1)
CONFIGS = {config.name: config for config in (TALL, WIDE, GATHERS)}


def random_programs(rng: random.Random, config: AcceleratorConfig):
    """Return short layers of random networks: the job's entry of each, and its three memories."""
    entries, memories = [], []
    while len(entries) < PROGRAMS:
        gathers = config.gather != 0 and rng.random() < 0.8
        if gathers:
            qgraph = random_dense_qgraph(rng)
        else:
            qgraph = random_qgraph(rng, functions=bool(config.functions))
        if config.nibbles:
            qgraph = narrow_weights(rng, qgraph)
        batch = 1 if gathers else rng.randint(1, 2)
        try:
            program = compile_network(qgraph, config, batch, density=0.01)
        except ShortageError:
            continue
        short = [layer for layer in program.layers if layer.predicted_cycles <= LONGEST]
        if gathers:
            short = [one for one in short if kind_of_convs(program, one) == "gather"]
        if not short:
            continue
        snapshots = []
        for _ in range(2):
            device = Emulator(config, program.memory_size, strict=True)
            driver = Driver(device, config, program.memory_size)
            for address, data in program.segments:
                device.write_memory(address, data)
            images = random_input(rng, qgraph, program.batch)
            for address, data in program.places[program.input].pieces(images):
                device.write_memory(address, data)
            states = []
            for layer in program.layers:
                before = device.memory.copy()
                driver.run_layer(layer, limit_cycles=1)
                states.append((before, device.memory.copy()))
            snapshots.append(states)
        for index, layer in enumerate(program.layers):
            if layer in short[:3]:
                (first, _), (second, after) = (states[index] for states in snapshots)
                entries.append(
                    (layer.instruction_address, layer.instruction_count, layer.predicted_cycles)
                )
                memories.append((first, second, after))
    size = max(states[0].size for states in memories)
    padded = [[np.pad(state, (0, size - state.size)) for state in states] for states in memories]
    return entries, np.array(padded)


def campaign(
    built: Build, config: AcceleratorConfig, cases: int, seed: int, folder: Path
) -> list[Outcome]:
    """Run a campaign and return the outcome of each case."""
    print(f"SYSTOLITH_SEED={seed}")
    rng = random.Random(seed)
    programs, memories = random_programs(rng, config)
    np.save(folder / "memories.npy", memories)
    memories[0, 0].tofile(folder / "image")
    job = ResetJob(cases, rng.getrandbits(32), tuple(programs))
    (folder / "job.json").write_text(json.dumps(asdict(job)))
    timing = MemoryTiming(
        latency=rng.choice([2, 9, 40]),
        bytes_per_cycle=rng.choice([None, config.bus_bytes / 3]),
        stalls=rng.choice([0.0, 0.3]),
        seed=rng.randint(1, 1000),
    )
    process = start_simulator(
        built,
        "systolith_sim.bench.bench_resets",
        [f"+image={folder / 'image'}", *timing.plusargs(config.bus_bytes)],
        folder,
        environment={FOLDER_VARIABLE: str(folder)},
    )
    try:
        process.wait(500)
    finally:
        process.kill()
    log = (folder / "simulator.log").read_text()
    assert (folder / "outcomes.json").exists(), log[-3000:]
    outcomes = [Outcome(**fields) for fields in json.loads((folder / "outcomes.json").read_text())]
    assert len(outcomes) == cases
    return outcomes


@pytest.mark.requirement("RST-2")
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_after_a_reset_at_any_cycle_the_next_run_is_exact(config, tmp_path):
    seed = int(SEED) if SEED else random.SystemRandom().getrandbits(32)
    outcomes = campaign(accelerator_build(config), config, 200 * MORE, seed, tmp_path)
    print(Counter(outcome.way for outcome in outcomes))
    assert [outcome for outcome in outcomes if outcome.problem] == []


SCANS = Broken(
    "ActiveRuns",
    active,
    (
        (
            "scans = Signal(range(LOAD_JOBS + 3))",
            "scans = Signal(range(LOAD_JOBS + 3), reset_less=True)",
        ),
    ),
    load_engine,
)
FORGETFUL = (
    "the weight loader's `full` is not reset",
    "fetch's `beat` is not reset",
    "the engines are reset for too short a time",
)
MUTANTS = {
    "scans that have not ended are not forgotten": (GATHERS, SCANS),
    **{name: (TALL, BROKEN[name]) for name in FORGETFUL},
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_reset_that_forgets_something_is_noticed(name, tmp_path):
    config, part = MUTANTS[name]
    broken = build(accelerator_testbench(config, broken_verilog(config, part)), "verilator")
    outcomes = campaign(broken, config, 100, 1, tmp_path)
    found = [outcome for outcome in outcomes if outcome.problem]
    print(f"{len(found)} of {len(outcomes)}: {Counter(outcome.way for outcome in found)}")
    assert found
