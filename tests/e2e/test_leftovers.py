"""What is left over at a program's end is an error, whoever failed to see it before.

The engines count the words of their regions; here that check is removed, so that a miscounted
program leaves words behind. The end of the program must notice, and the next program be exact.
"""

import random
import shutil
from dataclasses import replace

import numpy as np
import pytest

from systolith_host.compiler import compile_network
from systolith_host.drivers.simulation import linked_simulation
from systolith_host.lab.c_driver import compile_run_image
from systolith_host.lab.faults.programs import Run, random_layers, simulate_runs
from systolith_host.lab.fuzz.networks import random_input, random_qgraph, sought
from systolith_host.network.golden import run_golden
from systolith_host.program.instructions import layer_instructions
from systolith_hw.control import controller
from systolith_hw.spec.isa import Buffer, Instruction, Opcode
from systolith_hw.spec.registers import STATUS_DONE, STATUS_ERROR, Engine, ErrorCode
from systolith_sim.memory.timing import MemoryTiming
from systolith_sim.rtl.build import build
from systolith_sim.rtl.testbench import accelerator_testbench
from systolith_sim.testing.broken import BROKEN, Broken, broken_verilog
from systolith_sim.testing.configs import small_config

pytestmark = pytest.mark.rtl

CONFIG = small_config(4, 2, bus_bytes=8, act_depth=512, param_depth=32)

ENGINES = (Engine.STORE, Engine.LOAD)

NOT_COUNTED = (BROKEN["a STORE's words are not counted"], BROKEN["a LOAD's words are not counted"])
NO_REST = Broken(
    "Controller",
    controller,
    (
        ("finished & self.rest.all()", "finished"),
        ("[self.begin.eq(1), leftover.eq(1)]", "self.begin.eq(1)"),
    ),
)


def broken(*parts):
    """Return the build of an accelerator with broken parts."""
    return build(accelerator_testbench(CONFIG, broken_verilog(CONFIG, *parts)), "verilator")


def too_much(engine, layers):
    """Return a run in which the last instruction of an engine moves more words than its place has.

    A STORE drains more than its region has; a LOAD's region has more than its tile.
    """
    change = {Engine.STORE: -1, Engine.LOAD: 1}[engine]
    for index, layer in enumerate(layers):
        for number, i in reversed(list(enumerate(layer.program(CONFIG)))):
            if engine is Engine.STORE:
                fits = i.opcode is Opcode.STORE and i["run_words"] > 1
            else:
                fits = i.opcode is Opcode.LOAD and i["buffer"] == Buffer.ACT
            if fits:
                fields = {**i.fields, "run_words": i["run_words"] + change}
                return Run(index, layer.place(number), Instruction(i.opcode, fields).encode())
    raise AssertionError("no layer has such an instruction")


def run_each(built, folder):
    """Return the answers to a bad program and two correct ones for each engine, with the wanted."""
    layers = random_layers(random.Random(3), CONFIG, 4)
    bad = [too_much(engine, layers) for engine in ENGINES]
    runs = []
    for run in bad:
        good = Run.good(layers, run.layer)
        runs += [run, good, good]
    timing = MemoryTiming(latency=5)
    _, answers = simulate_runs(built, CONFIG.bus_bytes, layers, runs, folder, timing)
    return answers, [layers[run.layer].after for run in bad]


@pytest.mark.requirement("ERR-4")
def test_words_that_nobody_counted_are_seen_at_the_end(tmp_path):
    answers, wanted = run_each(broken(*NOT_COUNTED), tmp_path)
    for index, engine in enumerate(ENGINES):
        run = 3 * index
        assert answers.status[run] == STATUS_ERROR
        assert (answers.code[run], answers.engine[run]) == (ErrorCode.LEFTOVER, engine)
        assert answers.info[run] == 0
        assert answers.interrupt[run]
        assert answers.reset[run]
        for good in (run + 1, run + 2):
            assert answers.status[good] == STATUS_DONE
            np.testing.assert_array_equal(answers.memory[good], wanted[index])


def test_without_that_the_next_program_is_wrong_in_silence(tmp_path):
    """It shows that the test above has something to see."""
    answers, wanted = run_each(broken(*NOT_COUNTED, NO_REST), tmp_path)
    store = 3 * ENGINES.index(Engine.STORE)
    assert list(answers.status[store : store + 2]) == [STATUS_DONE] * 2
    assert not np.array_equal(answers.memory[store + 1], wanted[ENGINES.index(Engine.STORE)])


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is missing")
@pytest.mark.parametrize("options", [(), ("--poll",)], ids=["interrupt", "poll"])
def test_the_c_driver_reports_them_and_runs_the_next_program(options, tmp_path):
    rng = random.Random(4)

    def draw():
        qgraph = random_qgraph(rng)
        program = compile_network(qgraph, CONFIG, 1)
        layer = program.layers[0]
        instructions = layer_instructions(program, layer)
        stores = [i for i in instructions if i.opcode is Opcode.STORE and i["run_words"] > 1]
        if stores and len(instructions) < 30:
            return qgraph, program, layer, instructions, stores
        return None

    qgraph, program, layer, instructions, stores = sought(draw)
    images = random_input(rng, qgraph, 1)
    last = stores[-1]
    fewer = Instruction(last.opcode, {**last.fields, "run_words": last["run_words"] - 1})
    code = b"".join((fewer if i is last else i).encode() for i in instructions)
    end = program.memory_size
    bad = replace(layer, name="bad", instruction_address=end)
    changed = replace(
        program,
        layers=(bad, layer),
        segments=(*program.segments, (end, np.frombuffer(code, np.uint8))),
        memory_size=end + len(code),
        output=layer.output,
    )
    built = broken(*NOT_COUNTED)
    (tmp_path / "driver").mkdir()
    run_image = compile_run_image(tmp_path / "driver")
    with linked_simulation(built, CONFIG, tmp_path, changed.memory_size) as link:
        seen = run_image.run(changed, images, link, "--keep-going", *options)
    failure = seen.failures["bad"]
    assert (failure["code"], failure["engine"]) == (ErrorCode.LEFTOVER.name, Engine.STORE.name)
    assert (failure["info"], failure["stuck"]) == ("0", "0")
    assert seen.order == ("bad", layer.name)
    np.testing.assert_array_equal(seen.output, run_golden(qgraph, images)[layer.output])
