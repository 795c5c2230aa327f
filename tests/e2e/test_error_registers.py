"""Each error of the whole accelerator: its code, whose it is, and what ERROR_INFO says."""

import random
from dataclasses import replace

import numpy as np
import pytest

from systolith_host.lab.faulty_programs import (
    GUARD,
    WINDOW,
    Layer,
    Run,
    random_layers,
    simulate_runs,
)
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


def changed(instruction, **fields):
    return Instruction(instruction.opcode, {**instruction.fields, **fields}).encode()


def faulty_instructions(config, program):
    """Return (number, code in its place, error, engine, information) for each fault."""
    first = {opcode: [i.opcode for i in program].index(opcode) for opcode in Opcode}
    depths = {
        Buffer.ACT: config.act_depth,
        Buffer.WEIGHT: config.weight_depth,
        Buffer.PARAM: config.param_depth,
    }
    table = [
        (first[opcode], b"\xff" + bytes(63), "ILLEGAL", Engine.FETCH, first[opcode])
        for opcode in Opcode
    ]
    loads = [number for number, i in enumerate(program) if i.opcode is Opcode.LOAD]
    for number in loads:
        i = program[number]
        depth = depths[Buffer(i["buffer"])]
        table.append((number, changed(i, dest=depth + 2), "BUFFER", Engine.LOAD, depth + 2))
        table.append((number, changed(i, addr=2 * END), "ADDRESS", Engine.LOAD, 2 * END))
        table.append((number, changed(i, addr=END), "BUS", Engine.LOAD, 0))
    act = next(number for number in loads if program[number]["buffer"] == Buffer.ACT)
    more_rows = changed(program[act], rows=program[act]["rows"] + 1)
    table.append((act, more_rows, "COUNT", Engine.LOAD, loads.index(act)))
    conv, store = program[first[Opcode.CONV]], program[first[Opcode.STORE]]
    for field, value in (
        ("act_base", config.act_depth + 5),
        ("weight_base", config.weight_depth + 3),
        ("acc_base", config.acc_depth + 1),
    ):
        bad = changed(conv, **{field: value})
        table.append((first[Opcode.CONV], bad, "BUFFER", Engine.COMPUTE, value))
    for fields, error, info in (
        ({"acc_base": config.acc_depth + 1}, "BUFFER", config.acc_depth + 1),
        ({"param_base": config.param_depth + 4}, "BUFFER", config.param_depth + 4),
        ({"addr": 2 * END}, "ADDRESS", 2 * END),
        ({"addr": END}, "BUS", 0),
        ({"run_words": store["run_words"] + 1}, "COUNT", 0),
    ):
        table.append((first[Opcode.STORE], changed(store, **fields), error, Engine.STORE, info))
    return table


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_each_error_says_whose_it_is_and_where(config, tmp_path):
    layers = random_layers(random.Random(7), config, 1)
    layer = layers[0]
    good = Run.good(layers, 0)
    cases = [
        (Run(0, layer.place(number), code), error, engine, info)
        for number, code, error, engine, info in faulty_instructions(config, layer.program(config))
    ]
    cases += [
        (replace(good, address=address), error, Engine.FETCH, info)
        for address, error, info in (
            (2 * END, "ADDRESS", 2 * END),
            (END, "BUS", 0),
            (layer.address + 8, "ILLEGAL", 0),
            (layer.address + 1, "ILLEGAL", 0),
        )
    ]
    # The memory below answers after 30 cycles.
    cases.append((replace(good, watchdog=20), "WATCHDOG", Engine.FETCH, 0))
    runs = []
    for case, *_ in cases:
        runs += [replace(case, window=(0, 2 * END)), good]
    built = accelerator_build(config)
    timing = MemoryTiming(latency=30)
    _, answers = simulate_runs(built, config.bus_bytes, layers, runs, tmp_path, timing)
    for index, (_, error, engine, info) in enumerate(cases):
        run = 2 * index
        what = f"case {index}: {error} of {engine.name}"
        assert answers.status[run] == STATUS_ERROR, what
        assert ErrorCode(answers.code[run]).name == error, what
        assert answers.engine[run] == engine, what
        assert answers.info[run] == info, what
        assert answers.interrupt[run], what
        assert answers.reset[run], what
        assert answers.status[run + 1] == STATUS_DONE, (what, answers.code[run + 1])
        np.testing.assert_array_equal(answers.memory[run + 1], layer.after, err_msg=what)


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
