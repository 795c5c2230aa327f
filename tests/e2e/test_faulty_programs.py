"""Faulty programs and faulty memories on the whole accelerator, under Verilator.

Each run either ends in an error that names who saw it and which instruction it is, or gives what
the emulator gives; it touches nothing outside of the window, needs no watchdog, and the correct
program that follows is exact. SYSTOLITH_FAULTS says how many runs there are, SYSTOLITH_SEED repeats
some.
"""

import os
import random
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest

from systolith_host.compiler import compile_network
from systolith_host.compiler.shortage import ShortageError
from systolith_host.lab.random_networks import random_input, random_qgraph
from systolith_host.runtime.driver import Driver
from systolith_hw.spec.isa import (
    FIELDS,
    INSTRUCTION_BYTES,
    OPCODE_WIDTH,
    Buffer,
    Instruction,
    Opcode,
    decode,
)
from systolith_hw.spec.registers import (
    CONTROL_RESET,
    CONTROL_START,
    REGISTERS,
    STATUS_DONE,
    STATUS_ERROR,
    Engine,
    ErrorCode,
)
from systolith_sim.bench.bench_programs import IMAGE_VARIABLE, RUNS_VARIABLE, Answers, Runs
from systolith_sim.emulator.device import Emulator, EmulatorError
from systolith_sim.memory.timing import MemoryTiming
from systolith_sim.rtl.process import start_simulator
from systolith_sim.rtl.simulator import accelerator_build
from systolith_sim.testing.configs import small_config

pytestmark = pytest.mark.rtl

COUNT = int(os.environ.get("SYSTOLITH_FAULTS", "120"))
SEED = os.environ.get("SYSTOLITH_SEED")

WINDOW = 1 << 15
GUARD = 1 << 12
"""Bytes behind the window that nobody may touch."""
LAYERS = 6
LARGEST_PREDICTION = 4000

CONFIGS = [
    small_config(8, 4, bus_bytes=8, act_depth=512, param_depth=32),
    small_config(4, 8, bus_bytes=16, act_depth=512, post_lanes=2, outstanding_reads=2),
]
COUNTS = ("run_words", "runs", "planes", "rows", "pixels", "blocks", "pixel_bytes", "lane")


@dataclass(frozen=True)
class Layer:
    """A program that is correct: memory before and after it, its place and its instructions."""

    before: np.ndarray
    after: np.ndarray
    address: int
    count: int


def layers_of(rng, config):
    """Return short programs of random networks."""
    layers = []
    while len(layers) < LAYERS:
        qgraph = random_qgraph(rng)
        try:
            program = compile_network(qgraph, config, rng.choice([1, 1, 2]))
        except ShortageError:
            continue
        if program.memory_size > WINDOW:
            continue
        memory = np.random.default_rng(rng.getrandbits(32)).integers(
            0, 256, WINDOW + GUARD, np.uint8
        )
        device = Emulator(config, memory, strict=True)
        driver = Driver(device, config, WINDOW)
        for address, data in program.segments:
            device.write_memory(address, data)
        for address, data in program.places[program.input].pieces(
            random_input(rng, qgraph, program.places[program.input].shape[0])
        ):
            device.write_memory(address, data)
        for layer in program.layers:
            before = memory.copy()
            driver.run_layer(layer, 1_000_000)
            if layer.predicted_cycles < LARGEST_PREDICTION:
                layers.append(
                    Layer(before, memory.copy(), layer.instruction_address, layer.instruction_count)
                )
    return rng.sample(layers, LAYERS)


def emulate(config, layer, memory, fill, *, strict=False):
    """Return status, code, engine and info, and the memory; `fill` is what buffers hold at first.

    Sums are all high with an even fill and all low with an odd one, so that no clamp hides them.
    """
    device = Emulator(config, memory.copy(), strict=strict)
    engines = device._engines
    values = np.random.default_rng(fill)
    for buffer in (engines.act, engines.weight):
        buffer[:] = values.integers(-128, 128, buffer.shape)
    engines.param[:] = values.integers(0, 256, engines.param.shape)
    engines.acc[:] = -(1 << 20) if fill % 2 else 1 << 20

    def access(name, value=None):
        register = REGISTERS[name]
        if value is None:
            low = device.read_register(register.offset)
            high = device.read_register(register.offset + 4) if register.width == 64 else 0
            return low | high << 32
        return device.write_register(register.offset, value)

    access("WINDOW_END", WINDOW)
    access("PROGRAM_ADDR", layer.address)
    access("PROGRAM_COUNT", layer.count)
    access("CONTROL", CONTROL_RESET)
    access("CONTROL", CONTROL_START)
    status = access("STATUS")
    return (
        status,
        *(access(f"ERROR_{name}") for name in ("CODE", "ENGINE", "INFO")),
        device.memory,
    )


def is_defined(config, layer, memory):
    """Return whether the result depends on nothing but the program and its memory."""
    try:
        emulate(config, layer, memory, 1, strict=True)
    except EmulatorError:
        return False
    first, *others = (emulate(config, layer, memory, fill)[4] for fill in range(4))
    return all(np.array_equal(first, other) for other in others)


def off_by_one(rng, instruction):
    """Return the instruction with a count that is one more or less, or None."""
    fields = [
        field
        for field in FIELDS[instruction.opcode]
        if field.name in COUNTS or field.name.endswith("_count") or field.name.startswith("pad_")
    ]
    field = rng.choice(fields)
    value = instruction[field.name] + rng.choice([-1, 1])
    mask = (1 << field.width) - 1
    position = OPCODE_WIDTH
    for other in FIELDS[instruction.opcode]:
        if other is field:
            break
        position += other.width
    code = int.from_bytes(instruction.encode(), "little")
    code = code & ~(mask << position) | (value & mask) << position
    return code.to_bytes(INSTRUCTION_BYTES, "little")


def flipped(rng, instruction):
    """Return the instruction with one bit flipped."""
    used = OPCODE_WIDTH + sum(field.width for field in FIELDS[instruction.opcode])
    code = int.from_bytes(instruction.encode(), "little") ^ 1 << rng.randrange(used)
    return code.to_bytes(INSTRUCTION_BYTES, "little")


def simulate_runs(config, layers, runs, folder, timing, window_end=WINDOW):
    """Return the answers to runs of (layer number, place, patch, breach, moment)."""
    columns = list(zip(*runs, strict=True))
    patch = np.array([np.frombuffer(code, np.uint8) for code in columns[2]])
    jobs = Runs(
        memory=np.stack([layer.before for layer in layers]),
        image=np.array(columns[0]),
        address=np.array([layers[number].address for number in columns[0]]),
        count=np.array([layers[number].count for number in columns[0]]),
        patch_at=np.array(columns[1]),
        patch=patch,
        breach=np.array(columns[3]),
        breach_at=np.array(columns[4]),
        window_end=np.array([window_end]),
        watchdog=np.array([3000]),
        limit=np.array([300_000]),
    )
    jobs.save(folder / "runs.npz")
    image = folder / "image"
    layers[0].before.tofile(image)
    process = start_simulator(
        accelerator_build(config),
        "systolith_sim.bench.bench_programs",
        [f"+image={image}", *timing.plusargs(config.bus_bytes)],
        folder,
        environment={RUNS_VARIABLE: str(folder / "runs.npz"), IMAGE_VARIABLE: str(image)},
    )
    try:
        process.wait(400)
    finally:
        process.kill()
    answers = folder / "runs.answers.npz"
    assert answers.exists(), (folder / "simulator.log").read_text()[-3000:]
    return jobs, Answers.load(answers)


def good_run(layers, number):
    layer = layers[number]
    code = layer.before[layer.address : layer.address + INSTRUCTION_BYTES].tobytes()
    return number, layer.address, code, 0, 0


def check_good(layers, jobs, answers, number):
    assert answers.status[number] == STATUS_DONE, (number, answers.code[number])
    wanted = layers[jobs.image[number]].after
    np.testing.assert_array_equal(answers.memory[number], wanted, err_msg=f"run {number}")


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_a_faulty_program_is_named_or_does_what_the_emulator_does(config, tmp_path):
    seed = int(SEED) if SEED else random.SystemRandom().getrandbits(32)
    print(f"SYSTOLITH_SEED={seed}")
    rng = random.Random(seed)
    layers = layers_of(rng, config)
    runs = []
    for index in range(COUNT):
        number = rng.randrange(LAYERS)
        layer = layers[number]
        place = layer.address + rng.randrange(layer.count) * INSTRUCTION_BYTES
        code = layer.before[place : place + INSTRUCTION_BYTES].tobytes()
        instruction = decode(code, config.addr_width)
        bad = (off_by_one if index % 2 else flipped)(rng, instruction)
        runs += [(number, place, bad, 0, 0), good_run(layers, rng.randrange(LAYERS))]
    timing = MemoryTiming(latency=rng.choice([2, 20]), stalls=rng.choice([0.0, 0.3]))
    jobs, answers = simulate_runs(config, layers, runs, tmp_path, timing)
    kinds = Counter()
    for index in range(0, len(runs), 2):
        layer = layers[runs[index][0]]
        memory = jobs.start_memory(index)
        status, code, engine, info, wanted = emulate(config, layer, memory, 1)
        seen = (answers.code[index], answers.engine[index], answers.info[index])
        what = (
            f"run {index}: {ErrorCode(code).name} of {Engine(engine).name}, {info:#x}; RTL {seen}"
        )
        number = (runs[index][1] - layer.address) // INSTRUCTION_BYTES
        what += f" {decode_or_none(runs[index][2], config)} instead of {number}"
        assert answers.interrupt[index], what
        assert answers.reset[index], what
        assert answers.violations[index] == 0, what
        assert seen[0] != ErrorCode.WATCHDOG, what
        np.testing.assert_array_equal(answers.memory[index][WINDOW:], memory[WINDOW:])
        defined = is_defined(config, layer, memory) if status == STATUS_DONE else True
        kinds[ErrorCode(code).name if defined else "undefined"] += 1
        if defined:
            assert (answers.status[index] == STATUS_ERROR) == (status == STATUS_ERROR), what
        if defined and status == STATUS_DONE:
            np.testing.assert_array_equal(answers.memory[index], wanted, err_msg=what)
        elif defined:
            # An instruction with two faults: hardware sees the one that comes first in time.
            assert seen[1] == engine, what
            if seen[0] == code and code in (ErrorCode.ILLEGAL, ErrorCode.COUNT):
                assert seen[2] == info, what
        check_good(layers, jobs, answers, index + 1)
    print(kinds)
    assert kinds["COUNT"] > COUNT // 30
    assert kinds["NONE"] > COUNT // 30


def changed(instruction, **fields):
    return Instruction(instruction.opcode, {**instruction.fields, **fields}).encode()


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_each_error_says_whose_it_is_and_where(config, tmp_path):
    layers = layers_of(random.Random(7), config)
    layer = layers[0]
    code = layer.before[layer.address :][: layer.count * INSTRUCTION_BYTES].tobytes()
    program = [
        decode(code[place : place + INSTRUCTION_BYTES], config.addr_width)
        for place in range(0, len(code), INSTRUCTION_BYTES)
    ]
    first = {opcode: [i.opcode for i in program].index(opcode) for opcode in Opcode}
    act = next(
        number
        for number, i in enumerate(program)
        if i.opcode is Opcode.LOAD and i["buffer"] == Buffer.ACT
    )
    loads = sum(i.opcode is Opcode.LOAD for i in program[:act])
    conv, store = program[first[Opcode.CONV]], program[first[Opcode.STORE]]
    depths = {
        Buffer.ACT: config.act_depth,
        Buffer.WEIGHT: config.weight_depth,
        Buffer.PARAM: config.param_depth,
    }
    end = WINDOW + GUARD
    table = [
        (first[opcode], b"\xff" + bytes(63), "ILLEGAL", Engine.FETCH, first[opcode])
        for opcode in Opcode
    ]
    for number, i in enumerate(program):
        if i.opcode is Opcode.LOAD:
            depth = depths[Buffer(i["buffer"])]
            table.append((number, changed(i, dest=depth + 2), "BUFFER", Engine.LOAD, depth + 2))
            table.append((number, changed(i, addr=2 * end), "ADDRESS", Engine.LOAD, 2 * end))
            # The window of this test reaches beyond the memory.
            table.append((number, changed(i, addr=end), "BUS", Engine.LOAD, 0))
    table += [
        (act, changed(program[act], rows=program[act]["rows"] + 1), "COUNT", Engine.LOAD, loads),
        *(
            (first[Opcode.CONV], changed(conv, **{field: value}), "BUFFER", Engine.COMPUTE, value)
            for field, value in (
                ("act_base", config.act_depth + 5),
                ("weight_base", config.weight_depth + 3),
                ("acc_base", config.acc_depth + 1),
            )
        ),
        *(
            (first[Opcode.STORE], changed(store, **fields), error, Engine.STORE, info)
            for fields, error, info in (
                ({"acc_base": config.acc_depth + 1}, "BUFFER", config.acc_depth + 1),
                ({"param_base": config.param_depth + 4}, "BUFFER", config.param_depth + 4),
                ({"addr": 2 * end}, "ADDRESS", 2 * end),
                ({"addr": end}, "BUS", 0),
                ({"run_words": store["run_words"] + 1}, "COUNT", 0),
            )
        ),
    ]
    runs = []
    for number, bad, *_ in table:
        runs += [(0, layer.address + number * INSTRUCTION_BYTES, bad, 0, 0), good_run(layers, 0)]
    timing = MemoryTiming(latency=5)
    jobs, answers = simulate_runs(config, layers, runs, tmp_path, timing, window_end=2 * end)
    for index, (number, _, error, engine, info) in enumerate(table):
        run = 2 * index
        what = f"{error} of {engine.name} at instruction {number}"
        assert answers.status[run] == STATUS_ERROR, what
        assert ErrorCode(answers.code[run]).name == error, what
        assert answers.engine[run] == engine, what
        assert answers.info[run] == info, what
        assert answers.reset[run], what
        check_good(layers, jobs, answers, run + 1)


BREACHES = range(1, 8)
"""Of axi_memory.v: stray beats and answers, wrong ends of bursts, wrong identifiers, lost beats."""


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_a_memory_that_breaks_the_protocol_is_named_and_a_reset_ends(config, tmp_path):
    seed = int(SEED) if SEED else random.SystemRandom().getrandbits(32)
    print(f"SYSTOLITH_SEED={seed}")
    rng = random.Random(seed)
    layers = layers_of(rng, config)
    runs = []
    for index in range(COUNT):
        number, place, code, _, _ = good_run(layers, rng.randrange(LAYERS))
        breach = BREACHES[index % len(BREACHES)]
        runs.append(
            (number, place, code, breach, rng.choice([rng.randrange(100), rng.randrange(2000)]))
        )
        # The first of these may still be told of a breach that came after the program's end.
        runs += [good_run(layers, rng.randrange(LAYERS)) for _ in range(2)]
    timing = MemoryTiming(latency=rng.choice([2, 20]), stalls=rng.choice([0.0, 0.3]))
    jobs, answers = simulate_runs(config, layers, runs, tmp_path, timing)
    kinds = Counter()
    for index in range(0, len(runs), 3):
        what = f"run {index}, breach {runs[index][3]} after {runs[index][4]} cycles"
        for run in (index, index + 1):
            code = ErrorCode(answers.code[run])
            assert answers.interrupt[run], what
            assert answers.reset[run], what
            if answers.status[run] == STATUS_DONE:
                check_good(layers, jobs, answers, run)
            else:
                assert code == ErrorCode.PROTOCOL, f"{what}: {code.name}"
                assert answers.info[run] == 0
            guard = jobs.start_memory(run)[WINDOW:]
            np.testing.assert_array_equal(answers.memory[run][WINDOW:], guard, err_msg=what)
            kinds[f"breach {runs[index][3]}", code.name, Engine(answers.engine[run]).name] += 1
        check_good(layers, jobs, answers, index + 2)
    for breach in BREACHES:
        assert any(kind[0] == f"breach {breach}" and kind[1] == "PROTOCOL" for kind in kinds), kinds
    assert {kind[2] for kind in kinds if kind[1] == "PROTOCOL"} == {"FETCH", "LOAD", "STORE"}


def decode_or_none(code, config):
    try:
        return decode(code, config.addr_width)
    except ValueError as error:
        return error
