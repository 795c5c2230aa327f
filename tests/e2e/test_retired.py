"""RTL and emulator in lock step: each instruction writes the same, and the first that does not."""

import json
import random
from contextlib import nullcontext
from dataclasses import replace

import pytest

from systolith_host.compiler import compile_network
from systolith_host.compiler.shortage import ShortageError
from systolith_host.flow.retired import lock_step
from systolith_host.lab.fuzz.gather import random_dense_qgraph
from systolith_host.lab.fuzz.networks import random_input, random_qgraph
from systolith_host.lab.fuzz.nibbles import narrow_weights
from systolith_host.lab.fuzz.winograd import random_tilings, random_winograd_case
from systolith_host.program.instructions import kind_of_convs
from systolith_host.runtime.rtl.simulate import run_layers
from systolith_hw.compute import core, sequencer
from systolith_hw.generate import Flavour
from systolith_hw.load import engine as load_engine
from systolith_hw.load import linear
from systolith_hw.spec.isa import Opcode
from systolith_hw.store import lanes, requantize
from systolith_sim.memory.timing import MemoryTiming
from systolith_sim.rtl.build import build
from systolith_sim.rtl.simulator import accelerator_build
from systolith_sim.rtl.testbench import accelerator_testbench
from systolith_sim.testing.broken import Broken, broken_verilog
from systolith_sim.testing.configs import small_config

pytestmark = pytest.mark.rtl

SMALL = small_config(4, 2, act_depth=512, weight_depth=300, param_depth=96)
CONFIGS = {
    "direct": replace(SMALL, post_lanes=2, functions=1),
    "winograd": replace(SMALL, act_depth=1024, acc_depth=189, winograd=5),
    "gather": replace(SMALL, act_depth=1024, gather=512, nibbles=1),
}

MUTANTS = {
    "a parameter with a wrong bit": (
        Broken(
            "LinearWriter",
            linear,
            (("value.as_value().eq(self.word.p)", "value.as_value().eq(self.word.p ^ 2)"),),
            load_engine,
        ),
        Opcode.LOAD,
        "of word 0 in param is",
    ),
    "sums that begin with those before": (
        Broken(
            "PixelSequencer",
            sequencer,
            (("overwrite_1.eq(first_pass & job.clear)", "overwrite_1.eq(0)"),),
            core,
        ),
        Opcode.CONV,
        "in acc",
    ),
    "results without their zero point": (
        Broken("Requantizer", requantize, ((" + self.output.zero_point)", ")"),), lanes),
        Opcode.STORE,
        "the byte at 0x",
    ),
}


@pytest.mark.requirement("ISA-3")
@pytest.mark.parametrize("name", CONFIGS)
def test_every_instruction_writes_the_same_in_rtl_and_emulator(name, tmp_path):
    config = CONFIGS[name]
    kinds: set[str] = set()
    step = None
    for seed in range(2):
        program, images = random_program(config, seed, 3000)
        step = follow(program, images, tmp_path, seed)
        assert step.difference == ""
        count = sum(layer.instruction_count for layer in program.layers)
        assert len(step.retired) == count
        assert all(one.emulator == one.rtl for one in step.retired)
        kinds |= {one.store for one in step.retired}
    wanted = {"act", "weight", "param", "acc0", "acc1", "memory"}
    assert kinds == wanted | ({"table"} if config.functions else set())
    assert step is not None
    step.save(tmp_path / "retired.jsonl")
    lines = (tmp_path / "retired.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [one.to_dict() for one in step.retired]


@pytest.mark.parametrize("name", MUTANTS)
def test_the_first_instruction_that_differs_is_named(name, tmp_path):
    broken, opcode, text = MUTANTS[name]
    config = CONFIGS["direct"]
    verilog = broken_verilog(config, broken, flavour=Flavour.PLAIN)
    built = build(accelerator_testbench(config, verilog, 1 << 17, writes=True), "icarus")
    runs = (
        follow(*random_program(config, seed, 3000), tmp_path, seed, built) for seed in range(1, 9)
    )
    # Some networks have no zero point, or clamp all that is wrong.
    step = next(one for one in runs if one.difference)
    last = step.retired[-1]
    assert last.emulator != last.rtl
    assert all(one.emulator == one.rtl for one in step.retired[:-1])
    assert last.opcode is opcode
    assert step.difference.startswith(f"{last.layer}, instruction {last.number} ({opcode.name}): ")
    assert text in step.difference


def random_program(config, first_seed, limit):
    """Return the first random program from a seed on that uses the configuration's units."""
    for seed in range(1000 * first_seed, 1000 * first_seed + 200):
        rng = random.Random(seed)
        if config.winograd:
            qgraph, images = random_winograd_case(rng, config)
        elif config.gather:
            qgraph = narrow_weights(rng, random_dense_qgraph(rng))
            images = random_input(rng, qgraph, 1)
        else:
            qgraph = random_qgraph(rng, functions=bool(config.functions), mosaics=True)
            images = random_input(rng, qgraph, rng.randint(1, 2))
        tilings = random_tilings(rng, winograd=1.0) if config.winograd else nullcontext()
        try:
            with tilings:
                program = compile_network(qgraph, config, len(images), density=0.01)
        except ShortageError:
            continue
        wanted = "winograd" if config.winograd else "gather" if config.gather else "direct"
        kinds = {kind_of_convs(program, layer) for layer in program.layers}
        cycles = sum(layer.predicted_cycles for layer in program.layers)
        if wanted in kinds and cycles <= limit:
            return program, images
    raise AssertionError(f"none of 200 programs suits {config}")


def follow(program, images, folder, seed, built=None):
    """Run a program in Icarus, with a memory that pauses, and follow its instructions."""
    memory = program.memory_image({program.input: images})
    memory.tofile(folder / "image")
    timing = MemoryTiming(latency=5, stalls=0.3, seed=seed + 1)
    if built is None:
        built = accelerator_build(program.config, "icarus", program.memory_size, writes=True)
    run_layers(
        built,
        program.config,
        program.layers,
        folder / "image",
        memory=timing,
        writes=folder / "writes",
    )
    return lock_step(program, memory, folder / "writes")
