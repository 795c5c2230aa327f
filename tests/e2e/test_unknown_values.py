"""Broken accelerators that a start with unknown values shows; test_rtl.py starts whole ones so.

With zeros in all registers and memories, as simulators and FPGAs begin, each of them works.
"""

import random
from dataclasses import replace

import numpy as np
import pytest

from systolith_host.compiler import compile_network
from systolith_host.errors import SystolithError
from systolith_host.lab.fuzz.networks import random_input, random_qgraph
from systolith_host.network.golden import run_golden
from systolith_host.network.qgraph import QGraph
from systolith_host.program.program import Program
from systolith_host.runtime.rtl.simulate import run_layers
from systolith_hw.compute import core, sequencer
from systolith_hw.control import controller
from systolith_hw.generate import Flavour
from systolith_hw.spec.config import AcceleratorConfig
from systolith_sim.memory.timing import MemoryTiming
from systolith_sim.rtl.build import build
from systolith_sim.rtl.simulator import accelerator_build
from systolith_sim.rtl.testbench import accelerator_testbench
from systolith_sim.rtl.unknown import with_watch, without_initial_values
from systolith_sim.testing.broken import BROKEN, Broken, broken_verilog
from systolith_sim.testing.configs import small_config

pytestmark = pytest.mark.rtl

CONFIG = small_config(2, 2, act_depth=512, weight_depth=256, param_depth=64)

MUTANTS = {
    "sums begin with what their memory held": Broken(
        "PixelSequencer",
        sequencer,
        (("overwrite_1.eq(first_pass & job.clear)", "overwrite_1.eq(0)"),),
        core,
    ),
    "a program may end by what its predecessor left": Broken(
        "Controller", controller, ((" & ~complete & (settle == 0)", " & ~complete"),)
    ),
    **{name: BROKEN[name] for name in list(BROKEN)[:2]},
}
NOTICED = {
    "sums begin with what their memory held": "error: unknown value of m_axi_wdata",
    "a program may end by what its predecessor left": "FETCH: something was left over",
}


@pytest.mark.requirement("RST-3")
@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_accelerator_is_noticed(name, tmp_path):
    program, _, images = short_program(CONFIG)
    verilog = broken_verilog(CONFIG, MUTANTS[name], flavour=Flavour.PLAIN)
    verilog = with_watch(without_initial_values(verilog), CONFIG)
    built = build(accelerator_testbench(CONFIG, verilog), "icarus")
    image = tmp_path / "image"
    program.memory_image({program.input: images}).tofile(image)
    with pytest.raises(SystolithError, match=NOTICED.get(name, r"\w")) as error:
        run_layers(built, CONFIG, program.layers, image, memory=MemoryTiming(), watchdog=2000)
    print(error.value)


def test_lanes_that_no_load_fills_meet_weights_of_zero(tmp_path):
    config = replace(CONFIG, rows=8)
    program, qgraph, images = short_program(config)
    source = program.places[program.input]
    assert source.block == 2
    assert source.channels <= 6, "all four lanes of a word are filled"
    image = tmp_path / "image"
    program.memory_image({program.input: images}).tofile(image)
    built = accelerator_build(config, "icarus", program.memory_size, unknown=True)
    run_layers(built, config, program.layers, image, memory=MemoryTiming())
    memory = np.fromfile(image, np.uint8)
    golden = run_golden(qgraph, images)
    for name, place in program.places.items():
        values = place.unpack(memory[place.address : place.address + place.size])
        np.testing.assert_array_equal(values, golden[name], err_msg=name)


def short_program(config: AcceleratorConfig) -> tuple[Program, QGraph, np.ndarray]:
    """Return the first random program of some hundred cycles, with its network and its images."""
    for seed in range(100):
        rng = random.Random(seed)
        qgraph = random_qgraph(rng)
        program = compile_network(qgraph, config, 1)
        if sum(layer.predicted_cycles for layer in program.layers) < 3000:
            return program, qgraph, random_input(rng, qgraph, 1)
    raise AssertionError("no network of 100 is short")
