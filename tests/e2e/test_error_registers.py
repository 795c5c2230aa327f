"""Each error of the whole accelerator: its code, whose it is, and what ERROR_INFO says."""

import random
from dataclasses import replace

import numpy as np
import pytest

from systolith_host.lab.faults.programs import (
    GUARD,
    WINDOW,
    Layer,
    Run,
    random_layers,
    simulate_runs,
)
from systolith_host.lab.faults.table import faulty_instructions
from systolith_hw.spec.isa import FIELDS, Buffer, Instruction, Opcode
from systolith_hw.spec.registers import STATUS_DONE, STATUS_ERROR, Engine, ErrorCode
from systolith_sim.memory.timing import MemoryTiming
from systolith_sim.rtl.simulator import accelerator_build
from systolith_sim.testing.configs import small_config

pytestmark = pytest.mark.rtl

CONFIGS = [
    small_config(8, 4, bus_bytes=8, act_depth=512, param_depth=32),
    small_config(4, 8, bus_bytes=16, act_depth=512, post_lanes=2, outstanding_reads=2),
]
END = WINDOW + GUARD
"""Of the memory: the windows of these tests reach beyond it."""


@pytest.mark.requirement("ERR-1")
@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_each_error_says_whose_it_is_and_where(config, tmp_path):
    layers = random_layers(random.Random(7), config, 1)
    layer = layers[0]
    good = Run.good(layers, 0)
    cases = [
        (Run(0, layer.place(number), code), error, engine, info)
        for number, code, error, engine, info in faulty_instructions(
            config, layer.program(config), END
        )
    ]
    cases += [
        (replace(good, address=address), error, Engine.FETCH, info)
        for address, error, info in (
            (2 * END, ErrorCode.ADDRESS, 2 * END),
            (END, ErrorCode.BUS, 0),
            (layer.address + 8, ErrorCode.ILLEGAL, 0),
            (layer.address + 1, ErrorCode.ILLEGAL, 0),
        )
    ]
    # The memory below answers after 30 cycles.
    cases.append((replace(good, watchdog=20), ErrorCode.WATCHDOG, Engine.FETCH, 0))
    runs = []
    for case, *_ in cases:
        runs += [replace(case, window=(0, 2 * END)), good]
    built = accelerator_build(config)
    timing = MemoryTiming(latency=30)
    _, answers = simulate_runs(built, config.bus_bytes, layers, runs, tmp_path, timing)
    for index, (_, error, engine, info) in enumerate(cases):
        run = 2 * index
        what = f"case {index}: {error.name} of {engine.name}"
        assert answers.status[run] == STATUS_ERROR, what
        assert answers.code[run] == error, what
        assert answers.engine[run] == engine, what
        assert answers.info[run] == info, what
        assert answers.interrupt[run], what
        assert answers.reset[run], what
        assert answers.status[run + 1] == STATUS_DONE, (what, answers.code[run + 1])
        np.testing.assert_array_equal(answers.memory[run + 1], layer.after, err_msg=what)


@pytest.mark.requirement("AXI-3")
def test_no_address_wraps_where_the_window_reaches_beyond_all_of_memory(tmp_path):
    config = small_config(4, 4, addr_width=16)
    top, base = 1 << config.addr_width, (1 << config.addr_width) - 0x4000
    memory = np.random.default_rng(5).integers(0, 256, top, np.uint8)

    def load(**fields):
        plain = dict.fromkeys((field.name for field in FIELDS[Opcode.LOAD]), 0)
        plain |= {name: 1 for name in ("runs", "planes", "rows", "pixels")}
        return Instruction(
            Opcode.LOAD, {**plain, "buffer": Buffer.WEIGHT, "addr": top - 64, **fields}
        )

    layer = Layer(memory, memory, base, 1)
    window = (base, top + 0x1000)
    runs = [
        Run(0, base, load(run_words=words).encode(), window=window)
        # Up to the end of memory, a word beyond it, and a burst that begins beyond it.
        for words in (16, 17, 32)
    ]
    built = accelerator_build(config)
    jobs, answers = simulate_runs(
        built, config.bus_bytes, [layer], runs, tmp_path, MemoryTiming(latency=5)
    )
    assert list(answers.status) == [STATUS_DONE, STATUS_ERROR, STATUS_ERROR]
    assert list(answers.code) == [ErrorCode.NONE, ErrorCode.ADDRESS, ErrorCode.ADDRESS]
    assert list(answers.engine[1:]) == [Engine.LOAD] * 2
    assert list(answers.info[1:]) == [top] * 2
    assert not answers.violations.any()
    assert all((answers.memory[run] == jobs.start_memory(run)).all() for run in range(3))
