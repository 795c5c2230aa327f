"""The replay against the RTL's counters, and what it says of programs."""

import os
import random
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from systolith_host.compiler import compile_network
from systolith_host.cost.confirm import compare
from systolith_host.cost.replay import replay_program
from systolith_host.errors import SystolithError
from systolith_host.frontend.vgg import build_network
from systolith_host.lab.fuzz.cases import CONFIGS, random_cases, random_memory
from systolith_host.lab.fuzz.gather import random_dense_qgraph
from systolith_host.lab.fuzz.networks import random_input, random_qgraph
from systolith_host.lab.fuzz.winograd import random_tilings
from systolith_host.network.shapes import timing_network
from systolith_host.program.instructions import layer_instructions
from systolith_host.runtime.replay import replay_table
from systolith_hw.spec import timing
from systolith_hw.spec.isa import Instruction, Opcode
from systolith_hw.spec.memory import WRITE_BEATS
from systolith_hw.spec.presets import PRESETS
from systolith_sim.memory.timing import MemoryTiming
from systolith_sim.replay.table import make_table


@pytest.fixture(scope="module")
def mini():
    return compile_network(timing_network(build_network("mini")), PRESETS["tiny"])


def _random_cases(count, turnarounds):
    rng = random.Random(7)
    cases = []
    while len(cases) < count:
        qgraph = random_qgraph(rng)
        memory = random_memory(rng, PRESETS["tiny"].bus_bytes, turnarounds)
        with random_tilings(rng):
            try:
                program = compile_network(qgraph, PRESETS["tiny"], rng.choice([1, 2]))
            except SystolithError:
                continue
        cases += compare(program, memory)
    return cases


@pytest.mark.rtl
def test_cycles_and_traffic_are_those_of_the_rtl():
    cases = _random_cases(12, (0,))
    differ = [f"{case.layer}, {case.memory}, {case.error}" for case in cases if not case.exact]
    assert not differ


@pytest.mark.rtl
def test_turnarounds_of_the_memory_are_those_of_the_rtl():
    cases = _random_cases(12, (1, 4, 15, 64))
    assert len({case.memory.turnaround for case in cases}) > 1
    differ = [f"{case.layer}, {case.memory}, {case.error}" for case in cases if not case.exact]
    assert not differ


@pytest.mark.rtl
def test_winograds_convolutions_take_the_cycles_of_the_rtl():
    config = next(one for one in CONFIGS if one.name == "4x4-patches")
    cases = random_cases(config, 8, seed=1)
    assert sum(case.kind == "winograd" for case in cases) >= 8
    differ = [f"{case.layer}, {case.memory}, {case.error}" for case in cases if not case.exact]
    assert not differ


@pytest.mark.rtl
@pytest.mark.parametrize("name", ["4x8-gathers", "6x3-gathers"])
def test_layers_that_gather_take_the_cycles_of_the_rtl(name):
    config = next(one for one in CONFIGS if one.name == name)
    cases = random_cases(config, 10, seed=2)
    assert sum(case.kind == "gather" for case in cases) >= 10
    differ = [f"{case.layer}, {case.memory}, {case.error}" for case in cases if not case.exact]
    assert not differ


@pytest.mark.rtl
def test_stacked_sums_take_the_cycles_of_the_rtl():
    config = replace(PRESETS["tiny"], act_depth=120)
    rng = random.Random(3)
    cases = []
    while len(cases) < 8:
        qgraph, batch = random_dense_qgraph(rng), rng.randint(1, 6)
        memory = random_memory(rng, config.bus_bytes)
        try:
            program = compile_network(qgraph, config, batch, memory=memory)
        except SystolithError:
            continue
        convs = layer_instructions(program, program.layers[-1])
        if any(one.opcode is Opcode.CONV and one["acc_base"] for one in convs):
            cases += compare(program, memory)
    differ = [f"{case.layer}, {case.memory}, {case.error}" for case in cases if not case.exact]
    assert not differ


@pytest.mark.rtl
def test_images_that_gather_in_turn_take_the_cycles_of_the_rtl():
    config = next(one for one in CONFIGS if one.name == "4x8-gathers")
    rng = random.Random(4)
    cases = []
    while sum(case.kind == "gather" for case in cases) < 6:
        qgraph, batch = random_dense_qgraph(rng), rng.randint(2, 4)
        memory = random_memory(rng, config.bus_bytes)
        images = random_input(rng, qgraph, batch)
        try:
            program = compile_network(qgraph, config, batch, memory=memory, density=0.01)
        except SystolithError:
            continue
        cases += compare(program, memory, images)
    differ = [f"{case.layer}, {case.memory}, {case.error}" for case in cases if not case.exact]
    assert not differ


OTHER_TIMING = """
from systolith_hw.spec import memory, timing

timing.ACCUMULATOR_UPDATE = {update}
timing.SETTLE, timing.TILE_PREPARE = {settle}, {prepare}
timing.LOAD_RUNS, timing.LOAD_JOBS, timing.READ_BEATS = {load_runs}, {load_jobs}, {read_beats}
timing.DRAIN_WORDS, timing.STORE_RUNS = {drain_words}, {store_runs}
timing.MASK_START = {mask_start}
memory.WRITE_BEATS = {write_beats}

from systolith_host.lab.fuzz.cases import CONFIGS, random_cases
from systolith_hw.compute.sequencer import AccumulatorColumn
from systolith_hw.store.drain import DRAIN_WORDS

assert AccumulatorColumn.UPDATE_LATENCY == timing.ACCUMULATOR_UPDATE
assert DRAIN_WORDS == timing.DRAIN_WORDS
for case in random_cases(CONFIGS[{config}], 4, seed=5):
    assert case.exact, (case.layer, case.memory, case.model, case.measured)
    print(case.layer, case.measured.cycles)
"""


@pytest.mark.rtl
@pytest.mark.parametrize(
    ("config", "changed"),
    [
        (0, {"update": 7, "settle": 4, "prepare": 5, "drain_words": 20}),
        (11, {"mask_start": 6, "load_runs": 3}),
        (2, {"load_runs": 2, "load_jobs": 2, "read_beats": 2, "store_runs": 1, "write_beats": 2}),
    ],
)
def test_gateware_and_replay_agree_when_the_specification_changes(config, changed, tmp_path):
    values = {
        "update": timing.ACCUMULATOR_UPDATE,
        "settle": timing.SETTLE,
        "prepare": timing.TILE_PREPARE,
        "load_runs": timing.LOAD_RUNS,
        "load_jobs": timing.LOAD_JOBS,
        "read_beats": timing.READ_BEATS,
        "drain_words": timing.DRAIN_WORDS,
        "store_runs": timing.STORE_RUNS,
        "mask_start": timing.MASK_START,
        "write_beats": WRITE_BEATS,
    }
    script = tmp_path / "other_timing.py"
    script.write_text(OTHER_TIMING.format(**{**values, **changed}, config=config))
    # The simulators of another gateware are not to be found by those who want this one's.
    environment = {**os.environ, "SYSTOLITH_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) >= 4


def test_a_turnaround_costs_cycles_and_no_bytes(mini):
    plain = replay_program(mini)
    for turnaround in (1, 8):
        slow = replay_program(mini, MemoryTiming(turnaround=turnaround))
        assert sum(layer.cycles for layer in slow) > sum(layer.cycles for layer in plain)
        assert [layer.read_bytes for layer in slow] == [layer.read_bytes for layer in plain]


def test_states_add_up_and_traffic_is_that_of_the_instructions(mini):
    for layer in replay_program(mini, MemoryTiming(bytes_per_cycle=3, latency=25)):
        assert all(sum(part.values()) == layer.cycles for part in layer.counters.states.values())
        assert layer.counters.bytes_read == sum(layer.read_bytes.values())
        assert layer.counters.bytes_written == layer.write_bytes
        assert (layer.times[:, :3] >= 0).all()
        assert (np.diff(layer.times[:, :3], axis=1) >= 0).all()


def test_buffers_are_used_within_their_depths(mini):
    config = mini.config
    depths = {
        "activations": config.act_depth,
        "weights": config.weight_depth,
        "parameters": config.param_depth,
        "accumulators": config.acc_depth,
    }
    for layer in replay_program(mini):
        for name, words in layer.buffer_words.items():
            assert 0 < words <= depths[name], (layer.name, name)


def test_more_bandwidth_is_never_much_slower_and_never_beats_the_bound(mini):
    totals = []
    for rate in (1, 2, 4, 8):
        layers = replay_program(mini, MemoryTiming(bytes_per_cycle=rate))
        assert all(0 < layer.of_bound <= 1 for layer in layers)
        assert all(0 <= layer.utilisation <= 1 for layer in layers)
        totals.append(sum(layer.cycles for layer in layers))
    assert totals == sorted(totals, reverse=True)


def test_a_program_that_never_ends_is_said_to_be_one(mini):
    conv = mini.layers[0]
    instructions = layer_instructions(mini, conv)
    first = next(i for i, one in enumerate(instructions) if one.opcode == Opcode.CONV)
    fields = {**instructions[first].fields, "after_loaded_act": 1_000_000}
    instructions[first] = Instruction(Opcode.CONV, fields)
    table = make_table(instructions, mini.config, conv.instruction_address)
    with pytest.raises(SystolithError, match="do not end"):
        replay_table(table, mini.config)


def test_random_stalls_are_refused(mini):
    with pytest.raises(SystolithError, match="cannot be replayed"):
        replay_program(mini, MemoryTiming(stalls=0.1))
