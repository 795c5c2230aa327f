"""Broken accelerators that a start with unknown values shows; test_rtl.py starts whole ones so.

With zeros in all registers and memories, as simulators and FPGAs begin, each of them works.
"""

import random

import pytest

from systolith_host.compiler import compile_network
from systolith_host.errors import SystolithError
from systolith_host.lab.random_networks import random_input, random_qgraph
from systolith_host.runtime.rtl.simulate import run_layers
from systolith_hw.compute import core, sequencer
from systolith_hw.control import controller
from systolith_hw.generate import Flavour
from systolith_sim.memory.timing import MemoryTiming
from systolith_sim.rtl.build import build
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


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_accelerator_is_noticed(name, tmp_path):
    program, images = short_program()
    verilog = broken_verilog(CONFIG, MUTANTS[name], flavour=Flavour.PLAIN)
    verilog = with_watch(without_initial_values(verilog), CONFIG)
    built = build(accelerator_testbench(CONFIG, verilog), "icarus")
    image = tmp_path / "image"
    program.write_image(image)
    place = program.places[program.input]
    with image.open("r+b") as file:
        file.seek(place.address)
        file.write(place.pack(images).tobytes())
    with pytest.raises(SystolithError, match=NOTICED.get(name, r"\w")) as error:
        run_layers(built, CONFIG, program.layers, image, memory=MemoryTiming(), watchdog=2000)
    print(error.value)


def short_program():
    """Return the first random program of some hundred cycles, with its images."""
    for seed in range(100):
        rng = random.Random(seed)
        qgraph = random_qgraph(rng)
        program = compile_network(qgraph, CONFIG, 1)
        if sum(layer.predicted_cycles for layer in program.layers) < 3000:
            return program, random_input(rng, qgraph, 1)
    raise AssertionError("no network of 100 is short")
