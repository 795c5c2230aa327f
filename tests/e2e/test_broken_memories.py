"""Memories that break AXI4 under the whole accelerator: it says so, and a reset ends.

SYSTOLITH_FAULTS says how many broken runs each configuration has, SYSTOLITH_SEED repeats some.
"""

import os
import random
from collections import Counter

import numpy as np
import pytest

from systolith_host.lab.faults.programs import WINDOW, Run, random_layers, simulate_runs
from systolith_hw.spec.registers import STATUS_DONE, Engine, ErrorCode
from systolith_sim.memory.timing import MemoryTiming
from systolith_sim.rtl.simulator import accelerator_build
from systolith_sim.testing.configs import small_config

pytestmark = pytest.mark.rtl

COUNT = int(os.environ.get("SYSTOLITH_FAULTS", "60"))
SEED = os.environ.get("SYSTOLITH_SEED")
LAYERS = 6

CONFIGS = [
    small_config(8, 4, bus_bytes=8, act_depth=512, param_depth=32),
    small_config(4, 8, bus_bytes=16, act_depth=512, post_lanes=2, outstanding_reads=2),
    small_config(4, 2, name="gathers", bus_bytes=8, act_depth=512, param_depth=32, gather=400),
]

BREACHES = range(1, 8)
"""Of axi_memory.v: stray beats and answers, wrong ends of bursts, wrong identifiers, lost beats."""
STRAY_READS = (1, 2)
"""Breaches that are beats which nobody asked for, of instructions or data."""
BEFORE_START = 12
"""Cycles, at most, from the command to break the protocol to the start of the program."""


@pytest.mark.requirement("ERR-2")
@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_a_memory_that_breaks_the_protocol_is_named_and_a_reset_ends(config, tmp_path):
    seed = int(SEED) if SEED else random.SystemRandom().getrandbits(32)
    print(f"SYSTOLITH_SEED={seed}")
    rng = random.Random(seed)
    layers = random_layers(rng, config, LAYERS)

    def good():
        return Run.good(layers, rng.randrange(LAYERS))

    def check_good(number):
        assert answers.status[number] == STATUS_DONE, (number, answers.code[number])
        wanted = layers[runs[number].layer].after
        np.testing.assert_array_equal(answers.memory[number], wanted, err_msg=f"run {number}")

    runs = []
    for index in range(COUNT):
        run = good()
        breach = BREACHES[index % len(BREACHES)]
        moment = rng.choice([rng.randrange(100), rng.randrange(2000)])
        runs.append(Run(run.layer, run.place, run.code, breach, moment))
        # The first of these may still be told of a breach that came after the program's end.
        runs += [good(), good()]
    timing = MemoryTiming(latency=rng.choice([2, 20]), stalls=rng.choice([0.0, 0.3]))
    built = accelerator_build(config)
    jobs, answers = simulate_runs(built, config.bus_bytes, layers, runs, tmp_path, timing)
    kinds = Counter()
    for index in range(0, len(runs), 3):
        what = f"run {index}, breach {runs[index].breach} after {runs[index].breach_at} cycles"
        for run in (index, index + 1):
            code = ErrorCode(answers.code[run])
            assert answers.interrupt[run], what
            assert answers.reset[run], what
            if answers.status[run] == STATUS_DONE:
                check_good(run)
            elif code == ErrorCode.LEFTOVER:
                # A stray beat just before the start: the port is not at rest, which is seen at
                # once; the check of the protocol takes two cycles.
                assert run == index, what
                assert runs[index].breach in STRAY_READS, what
                assert runs[index].breach_at < BEFORE_START, what
            else:
                assert code == ErrorCode.PROTOCOL, f"{what}: {code.name}"
                assert answers.info[run] == 0
            guard = jobs.start_memory(run)[WINDOW:]
            np.testing.assert_array_equal(answers.memory[run][WINDOW:], guard, err_msg=what)
            kinds[f"breach {runs[index].breach}", code.name, Engine(answers.engine[run]).name] += 1
        check_good(index + 2)
    for breach in BREACHES:
        assert any(kind[0] == f"breach {breach}" and kind[1] == "PROTOCOL" for kind in kinds), kinds
    assert {kind[2] for kind in kinds if kind[1] == "PROTOCOL"} == {"FETCH", "LOAD", "STORE"}
