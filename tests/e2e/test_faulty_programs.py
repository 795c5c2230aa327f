"""Faulty programs on the whole accelerator, under Verilator.

Each run either ends in an error that names who saw it and which instruction it is, or gives what
the emulator gives; it touches nothing outside of the window, needs no watchdog, and the correct
program that follows is exact. SYSTOLITH_FAULTS says how many faulty runs each configuration has,
SYSTOLITH_SEED repeats some.
"""

import os
import random
from collections import Counter

import numpy as np
import pytest

from systolith_host.lab.faults.judge import Ended, FaultError, judge_program
from systolith_host.lab.faults.programs import (
    WINDOW,
    Run,
    emulate,
    flipped,
    off_by_one,
    random_layers,
    simulate_runs,
)
from systolith_hw.control import controller, fetch
from systolith_hw.spec.isa import Instruction, Opcode, decode
from systolith_hw.spec.registers import STATUS_DONE, STATUS_ERROR, ErrorCode
from systolith_sim.faults.bench import Outcome
from systolith_sim.memory.timing import MemoryTiming
from systolith_sim.rtl.build import build
from systolith_sim.rtl.simulator import accelerator_build
from systolith_sim.rtl.testbench import accelerator_testbench
from systolith_sim.testing.broken import BROKEN, Broken, broken_verilog
from systolith_sim.testing.configs import small_config

pytestmark = pytest.mark.rtl

COUNT = int(os.environ.get("SYSTOLITH_FAULTS", "60"))
SEED = os.environ.get("SYSTOLITH_SEED")
MORE = os.environ.get("SYSTOLITH_MUTANTS")
LAYERS = 6

CONFIGS = [
    small_config(8, 4, bus_bytes=8, act_depth=512, param_depth=32, nibbles=1),
    small_config(4, 8, bus_bytes=16, act_depth=512, post_lanes=2, outstanding_reads=2, functions=1),
    small_config(4, 2, name="gathers", bus_bytes=8, act_depth=512, param_depth=32, gather=400),
]


def campaign(built, config, count, seed, folder):
    """Return what went wrong in a campaign, a text for each, and how often each kind was seen."""
    print(f"SYSTOLITH_SEED={seed}")
    rng = random.Random(seed)
    layers = random_layers(rng, config, LAYERS)
    runs = []
    for index in range(count):
        number = rng.randrange(LAYERS)
        layer = layers[number]
        place = rng.randrange(layer.count)
        change = off_by_one if index % 2 else flipped
        bad = change(rng, decode(layer.code(place), config))
        runs.append(Run(number, layer.place(place), bad))
        runs.append(Run.good(layers, rng.randrange(LAYERS)))
    timing = MemoryTiming(latency=rng.choice([2, 20]), stalls=rng.choice([0.0, 0.3]))
    jobs, answers = simulate_runs(built, config.bus_bytes, layers, runs, folder, timing)
    kinds: Counter[str] = Counter()
    problems = []
    for index, run in enumerate(runs):
        if index % 2:
            if answers.status[index] != STATUS_DONE:
                problems.append(f"run {index}: a correct program fails: {answers.code[index]}")
            elif not np.array_equal(answers.memory[index], layers[run.layer].after):
                problems.append(f"run {index}: a correct program computes something else")
            continue
        layer, memory = layers[run.layer], jobs.start_memory(index)
        place = (run.place - layer.address) // len(run.code)
        what = f"run {index}, instruction {place} is {run.code.hex()}"
        outcome = Outcome(
            int(answers.status[index]),
            int(answers.code[index]),
            int(answers.engine[index]),
            int(answers.info[index]),
        )
        ended = Ended(bool(answers.interrupt[index]), outcome, answers.memory[index])
        try:
            kinds[judge_program(config, layer, memory, ended, what)] += 1
        except FaultError as error:
            problems.append(str(error))
        if not answers.reset[index]:
            problems.append(f"{what}: the reset does not end")
        if answers.violations[index]:
            problems.append(f"{what}: the bus's rules are broken")
    return problems, kinds


@pytest.mark.requirement("ERR-3")
@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_a_faulty_program_is_named_or_does_what_the_emulator_does(config, tmp_path):
    seed = int(SEED) if SEED else random.SystemRandom().getrandbits(32)
    problems, kinds = campaign(accelerator_build(config), config, COUNT, seed, tmp_path)
    print(kinds)
    assert problems == []
    assert kinds["COUNT"] + kinds["torn"] > COUNT // 30
    assert kinds["NONE"] > COUNT // 30


@pytest.mark.requirement("ISA-4")
def test_a_gathering_load_that_is_not_its_scans_ends_by_the_watchdog(tmp_path):
    config = CONFIGS[-1]
    layers = random_layers(random.Random(11), config, LAYERS)
    runs, torn = [], []
    for number, layer in enumerate(layers):
        program = layer.program(config)
        loads = [i for i, one in enumerate(program) if one.opcode is Opcode.LOAD and one["gather"]]
        for place in loads[-1:]:
            # A single run is a unit at most, and the CONV waits for all of those that were scanned.
            code = Instruction(Opcode.LOAD, {**program[place].fields, "runs": 1}).encode()
            memory = layer.before.copy()
            memory[layer.place(place) :][: len(code)] = np.frombuffer(code, np.uint8)
            if emulate(config, layer, memory).code == ErrorCode.WATCHDOG:
                torn.append((layer, memory))
                runs += [Run(number, layer.place(place), code), Run.good(layers, number)]
    assert len(torn) >= 3
    built = accelerator_build(config)
    _, answers = simulate_runs(built, config.bus_bytes, layers, runs, tmp_path, MemoryTiming())
    for index, (layer, memory) in enumerate(torn):
        run = 2 * index
        assert (answers.status[run], answers.code[run]) == (STATUS_ERROR, ErrorCode.WATCHDOG)
        assert answers.interrupt[run]
        assert answers.reset[run]
        assert answers.violations[run] == 0
        np.testing.assert_array_equal(answers.memory[run][WINDOW:], memory[WINDOW:])
        assert answers.status[run + 1] == STATUS_DONE
        np.testing.assert_array_equal(answers.memory[run + 1], layer.after)


COUNTED = ("a STORE's words are not counted", "a LOAD's words are not counted")
MUTANTS = {
    **{name: BROKEN[name] for name in COUNTED},
    "illegal instructions are not refused": Broken(
        "Fetch",
        fetch,
        (("legal[index].eq(mine & Cat(tests).all())", "legal[index].eq(mine)"),),
    ),
    "the first of two faults does not win": Broken(
        "Controller",
        controller,
        (("fault & ~faults[:index].any()", "fault & ~faults[index + 1 :].any()"),),
    ),
    "a fault's engine is forgotten": Broken(
        "Controller",
        controller,
        (("self.error_engine.eq(engine)", "self.error_engine.eq(0)"),),
    ),
}


# Each is compiled, which takes most of a minute.
@pytest.mark.parametrize("name", MUTANTS if MORE else list(MUTANTS)[:1])
def test_the_campaign_notices_a_broken_accelerator(name, tmp_path):
    config = small_config(4, 2, bus_bytes=8, act_depth=512, param_depth=32)
    verilog = broken_verilog(config, MUTANTS[name])
    broken = build(accelerator_testbench(config, verilog), "verilator")
    problems, _ = campaign(broken, config, 60, 1, tmp_path)
    print(len(problems), problems[:3])
    assert problems
