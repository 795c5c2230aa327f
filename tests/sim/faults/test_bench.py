"""The fault bench: what it injects strikes, and what the accelerator breaks is named."""

import os
from dataclasses import replace

import numpy as np
import pytest

from systolith_hw.bus import issue, registers, write_port
from systolith_hw.spec.isa import FIELDS, Buffer, Instruction, Opcode
from systolith_hw.spec.registers import CONTROL_RESET, CONTROL_START, Engine, ErrorCode
from systolith_sim.faults.bench import (
    FOREVER,
    BusTiming,
    Channel,
    FaultBench,
    Injection,
    Kind,
)
from systolith_sim.rtl.build import SimulatorError
from systolith_sim.rtl.simulator import simulation_verilog
from systolith_sim.testing.broken import Broken, broken_verilog
from systolith_sim.testing.configs import small_config

pytestmark = pytest.mark.rtl

CONFIG = small_config(2, 2, addr_width=20)
MORE = os.environ.get("SYSTOLITH_MUTANTS")
SIZE = 1 << 14
WORDS = 40
SOURCE, TARGET = 0x1000, 0x2000


def instruction(opcode, **fields):
    least = {field.name: field.least or 0 for field in FIELDS[opcode]}
    return Instruction(opcode, {**least, **fields}).encode()


def program(clear=1):
    """Return instructions: LOADs of weights, parameters and pixels, a CONV, and a STORE."""
    region = {"runs": 1, "planes": 1}
    return b"".join(
        (
            instruction(Opcode.LOAD, buffer=Buffer.WEIGHT, addr=SOURCE, run_words=4, **region),
            instruction(Opcode.LOAD, buffer=Buffer.PARAM, addr=SOURCE + 64, run_words=4, **region),
            instruction(
                Opcode.LOAD,
                buffer=Buffer.ACT,
                addr=SOURCE + 128,
                run_words=WORDS,
                rows=1,
                pixels=WORDS,
                **region,
            ),
            instruction(
                Opcode.CONV,
                after_loaded_act=3,
                after_loaded_weight=1,
                x_count=WORDS,
                x_step=1,
                clear=clear,
            ),
            instruction(
                Opcode.STORE,
                after_computed=1,
                after_loaded=2,
                addr=TARGET,
                run_words=WORDS,
                x_count=WORDS,
                x_step=1,
                low=-128,
                high=127,
                **region,
            ),
        )
    )


CODE = np.frombuffer(program(), np.uint8)
PARAMS = np.array([[0, 1 << 14 | 22 << 24]] * 4, "<u4").view(np.uint8).reshape(-1)
"""No bias, and a 256th of the sum."""


def prepare(bench, *faults, seed=1, timing=None, watchdog=500, code=CODE):
    """Start the program with these faults to come."""
    bench.memory[:] = np.random.default_rng(7).integers(0, 256, SIZE, np.uint8)
    bench.memory[: code.size] = code
    bench.memory[SOURCE + 64 :][:32] = PARAMS
    bench.write("WINDOW_END", SIZE)
    bench.allow(0, SIZE)
    bench.write("WATCHDOG", watchdog)
    bench.write("IRQ_ENABLE", 1)
    bench.write("IRQ_PENDING", 1)
    bench.write("PROGRAM_COUNT", CODE.size // 64)
    bench.behave(timing or BusTiming((1, 9), (60, 60, 60, 60, 60), by_id=True))
    bench.restart(seed)
    for fault in faults:
        bench.inject(fault)
    bench.write("CONTROL", CONTROL_START)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    image = tmp_path_factory.mktemp("bench") / "image"
    with FaultBench.of(CONFIG, simulation_verilog(CONFIG), image, SIZE) as started:
        yield started


@pytest.fixture(autouse=True)
def rested(request):
    if "bench" in request.fixturenames:
        request.getfixturevalue("bench").reset(3)


def finish(bench):
    came = bench.wait_interrupt(20_000)
    return came, bench.outcome(), bench.observe()


@pytest.mark.requirement("AXI-6")
@pytest.mark.parametrize(
    "timing",
    [
        BusTiming(),
        BusTiming((30, 30)),
        BusTiming((1, 30), (128, 128, 128, 128, 128), by_id=True, interleaves=True),
        BusTiming((1, 3), data_first=True),
        BusTiming((1, 3), address_first=True),
    ],
)
def test_a_program_gives_the_same_whatever_the_timing(bench, timing):
    prepare(bench, timing=BusTiming())
    assert finish(bench)[1].done
    wanted = bench.memory.copy()
    prepare(bench, timing=timing)
    came, outcome, observed = finish(bench)
    assert came
    assert outcome.done
    assert observed.broken == ""
    assert (observed.reads, observed.writes) == (0, 0)
    np.testing.assert_array_equal(bench.memory, wanted)
    assert len(set(wanted[TARGET : TARGET + WORDS])) > 10


@pytest.mark.requirement("RST-3")
def test_memories_begin_with_bits_of_the_seed(tmp_path):
    verilog, seen = simulation_verilog(CONFIG), []
    for seed in (0, 0, 1, 2):
        with FaultBench.of(CONFIG, verilog, tmp_path / "image", SIZE, seed) as bench:
            # The sums begin with what their memory held.
            prepare(bench, code=np.frombuffer(program(clear=0), np.uint8))
            assert finish(bench)[1].done
            seen.append(bench.memory[TARGET : TARGET + WORDS].tobytes())
    assert seen[0] == seen[1]
    assert len(set(seen)) == 3


def test_a_run_can_be_repeated(bench):
    seen = []
    for _ in range(2):
        prepare(bench, seed=5)
        seen.append(finish(bench))
    assert seen[0] == seen[1]
    cycles = set()
    for seed in range(6, 16):
        prepare(bench, seed=seed)
        cycles.add(finish(bench)[2].cycles)
    assert len(cycles) > 3


@pytest.mark.parametrize("kind", [Kind.R_ERROR, Kind.B_ERROR])
@pytest.mark.parametrize("response", [2, 3])
def test_an_error_is_answered_once_where_it_is_asked_for(bench, kind, response):
    prepare(bench, Injection(kind, 1, 1, response))
    came, outcome, observed = finish(bench)
    assert came
    assert observed.injected == 1
    reader = Engine.FETCH if observed.id else Engine.LOAD
    engine = Engine.STORE if kind is Kind.B_ERROR else reader
    assert (outcome.code, outcome.engine) == (ErrorCode.BUS, engine)


@pytest.mark.parametrize("channel", Channel)
def test_a_dead_channel_is_dead_until_it_lives(bench, channel):
    fault = Injection(Kind.DEAD, 0, FOREVER, 1 << channel)
    prepare(bench, fault)
    came, outcome, observed = finish(bench)
    assert came
    assert observed.injected
    assert (outcome.failed, outcome.code) == (True, ErrorCode.WATCHDOG)
    bench.write("CONTROL", CONTROL_RESET)
    bench.heal()
    assert bench.wait_idle(5000)
    prepare(bench, replace(fault, length=200))
    assert finish(bench)[1].done


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind > Kind.DEAD])
def test_a_broken_protocol_is_told(bench, kind):
    timing = BusTiming((1, 2), address_first=True)
    # Strays count cycles: these come while something is under way.
    at = 60 if kind in (Kind.STRAY_R, Kind.STRAY_B) else 2
    prepare(bench, Injection(kind, at), timing=timing)
    came, outcome, observed = finish(bench)
    assert came
    assert observed.injected == 1
    assert outcome.failed
    assert outcome.code == ErrorCode.PROTOCOL or kind is Kind.LOST_BEAT
    assert observed.broken == ""


def test_a_memory_at_another_place_answers_there_alone(bench):
    bench.place(0x4000)
    prepare(bench)
    outcome = finish(bench)[1]
    assert (outcome.code, outcome.engine) == (ErrorCode.BUS, Engine.FETCH)
    bench.place(0)


def test_a_bench_that_ends_is_an_error(tmp_path, bench):
    with FaultBench.of(CONFIG, simulation_verilog(CONFIG), tmp_path / "image", SIZE) as other:
        other._process.kill()
        with pytest.raises(SimulatorError, match="the fault bench has ended"):
            other.read("STATUS")


def blocked(channel, length=FOREVER):
    """Return a fault by which the program stands still from its start on."""
    return Injection(Kind.DEAD, 0, length, 1 << channel)


@pytest.mark.requirement("REG-3")
@pytest.mark.parametrize("wait", [0, 1, 2, 100])
@pytest.mark.parametrize("count", [0, 1, 0xFFFF])
def test_the_next_programs_place_and_count_may_be_written_while_one_runs(bench, wait, count):
    prepare(bench)
    assert finish(bench)[1].done
    wanted = bench.memory.copy()
    prepare(bench, blocked(Channel.AR, 200))
    bench.run(wait)
    bench.write("PROGRAM_COUNT", count)
    bench.write("PROGRAM_ADDR", 1)
    came, outcome, observed = finish(bench)
    assert came
    assert outcome.done
    assert observed.cycles > 200
    np.testing.assert_array_equal(bench.memory, wanted)
    bench.write("PROGRAM_ADDR", 0)


@pytest.mark.requirement("REG-3")
def test_a_watchdog_that_is_written_holds_at_once(bench):
    prepare(bench, blocked(Channel.AR), watchdog=0)
    assert not bench.wait_interrupt(3000)
    bench.write("WATCHDOG", 2500)
    assert bench.wait_interrupt(20)
    assert bench.outcome().code == ErrorCode.WATCHDOG
    bench.reset(3)
    prepare(bench, blocked(Channel.AR, 3000), watchdog=500)
    bench.run(200)
    bench.write("WATCHDOG", 0)
    assert finish(bench)[1].done


@pytest.mark.requirement("REG-3")
@pytest.mark.parametrize(
    ("end", "engine"), [(SOURCE, Engine.LOAD), (SOURCE + 64, Engine.LOAD), (TARGET, Engine.STORE)]
)
def test_a_window_that_is_written_holds_for_what_is_not_offered_yet(bench, end, engine):
    prepare(bench, blocked(Channel.R, 200))
    bench.run(100)
    bench.write("WINDOW_END", end)
    came, outcome, observed = finish(bench)
    assert came
    assert observed.broken == ""
    assert (outcome.code, outcome.engine, outcome.info) == (ErrorCode.ADDRESS, engine, end)
    bench.reset(3)
    prepare(bench, blocked(Channel.R, 200))
    bench.write("WINDOW_END", TARGET)
    bench.run(100)
    bench.write("WINDOW_END", SIZE)
    assert finish(bench)[1].done


@pytest.mark.requirement("REG-4")
def test_an_interrupt_that_is_pending_comes_out_when_it_is_let(bench):
    prepare(bench)
    bench.write("IRQ_ENABLE", 0)
    assert bench.wait_idle(20_000)
    assert not bench.wait_interrupt(10)
    assert bench.read("IRQ_PENDING") == 1
    bench.write("IRQ_ENABLE", 1)
    assert bench.wait_interrupt(10)
    bench.write("IRQ_PENDING", 1)
    bench.run(5)
    assert not bench.wait_interrupt(10)
    assert bench.outcome().done


MUTANTS = {
    "CONTROL_B_BEFORE_WRITE": Broken(
        "RegisterFile",
        registers,
        (
            ("bus.bvalid.eq(1)]", "bus.bvalid.eq(0)]"),
            (
                "        with m.If(bus.awvalid & bus.awready):\n            m.d.sync += [",
                "        with m.If(bus.awvalid & bus.awready):\n"
                "            m.d.sync += [bus.bvalid.eq(1), ",
            ),
        ),
    ),
    "W_PAUSES_IN_BURST": Broken(
        "WritePort", write_port, (("(unclaimed > issue.held.length)", "(unclaimed > 0)"),)
    ),
    "WLAST": Broken(
        "WritePort", write_port, (("(sent == lengths.o.p)", "(sent + 1 == lengths.o.p)"),)
    ),
    "OUTSTANDING_WRITES": Broken(
        "WritePort",
        write_port,
        (
            (
                "outstanding = Signal(range(config.outstanding_writes + 1))",
                "outstanding = Signal(range(config.outstanding_writes + 2))",
            ),
            (
                "outstanding != config.outstanding_writes",
                "outstanding <= config.outstanding_writes",
            ),
        ),
    ),
    "WINDOW": Broken(
        "BurstIssue", issue, (("inside.eq(is_inside(", "inside.eq(1 | is_inside("),), write_port
    ),
    "AWVALID_WITHDRAWN": Broken(
        "BurstIssue",
        issue,
        (("m.Elif(self.address.ready)", "m.Elif(self.address.valid)"),),
        write_port,
    ),
}


# Each is compiled.
@pytest.mark.requirement("AXI-2", "AXI-4")
@pytest.mark.parametrize("rule", MUTANTS if MORE else list(MUTANTS)[:2])
def test_an_accelerator_that_breaks_a_rule_is_named(rule, tmp_path):
    verilog = broken_verilog(CONFIG, MUTANTS[rule])
    with FaultBench.of(CONFIG, verilog, tmp_path / "image", SIZE) as broken:
        names = set()
        for seed in range(20):
            broken.reset(2)
            prepare(broken, seed=seed, timing=BusTiming((5, 40), (0, 0, 128, 128, 0)))
            if rule == "WINDOW":
                broken.write("WINDOW_END", TARGET + 32)
                broken.allow(0, TARGET + 32)
            broken.wait_interrupt(5000)
            names.add(broken.observe().broken)
        assert rule in names, names
