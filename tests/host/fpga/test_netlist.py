"""Synthesised netlists of array and post-processing, checked against the RTL in every cycle."""

import pytest
from amaranth.hdl import MemoryData, unsigned

from systolith_hw.compute.accumulator import AccumulatorColumn
from systolith_hw.compute.mesh import Mesh
from systolith_hw.generate import Flavour, component_verilog
from systolith_hw.primitives.memory import RegisteredMemory
from systolith_hw.store.lanes import PostLanes
from systolith_hw.store.requantize import Requantizer
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.equivalence import compare_forms

RANDOM = "$random(seed)"


@pytest.fixture
def compare(ecp5_netlist, tmp_path):
    """Return what compares a component's netlist with the plain RTL: wrong cycles, and cells."""

    def compared(component, drive, cycles, settle):
        plain = component_verilog(component, "plain", Flavour.PLAIN)
        text, cells = ecp5_netlist(component)
        wrong = compare_forms(component, plain, text, tmp_path, drive, cycles=cycles, settle=settle)
        return wrong, cells

    return compared


def test_the_netlist_of_the_array_gives_the_same_sums(compare):
    config = small_config(4, 2)
    drive = f"""
      act = {RANDOM};
      weight = {RANDOM};
      swap = n % 16 == 0;
      capture = n % 16 == 3;"""
    wrong, cells = compare(Mesh(config), drive, 1500, 80)
    assert wrong == 0
    assert cells["MULT18X18D"] == 8


def test_the_netlist_of_post_processing_gives_the_same_words(compare):
    config = small_config(4, 4, post_lanes=2)
    drive = f"""
      sum = {{{RANDOM}, {RANDOM}}} >>> ({RANDOM} & 15);
      param = {{{RANDOM}, {RANDOM}, {RANDOM}, {RANDOM}}};
      param[63:56] = ({{{RANDOM}}} % 40) + 1;
      param[127:120] = ({{{RANDOM}}} % 40) + 1;
      flags = {RANDOM};
      \\output = 24'h7f8003;"""
    wrong, cells = compare(PostLanes(config), drive, 1500, 40)
    assert wrong == 0
    assert cells["MULT18X18D"] == 4


def test_the_netlist_of_an_accumulator_column_gives_the_same_sums(compare):
    config = small_config(acc_depth=64)
    # Fills the first bank while the second one drains, then the other way round.
    drive = f"""
      accumulate = {RANDOM};
      accumulate[0] = 1;
      accumulate[4] = (n / 64) & 1;
      accumulate[10:5] = n;
      drain = {{n[5:0], ~accumulate[4]}};
      psum = {RANDOM};"""
    wrong, cells = compare(AccumulatorColumn(config), drive, 1500, 200)
    assert wrong == 0
    assert cells["DP16KD"] == 2


@pytest.mark.parametrize(("depth", "width"), [(16384, 2), (1024, 20)])
def test_the_netlist_of_a_memory_gives_the_same_words(compare, depth, width):
    memory = RegisteredMemory(MemoryData(shape=unsigned(width), depth=depth, init=[]))
    drive = f"""
      w_addr = {RANDOM} & 15;
      r_addr = {RANDOM} & 15;
      w_data = {RANDOM};
      w_en = w_addr != r_addr;"""
    wrong, cells = compare(memory, drive, 1500, 4)
    assert wrong == 0
    assert cells["DP16KD"] == 2


@pytest.mark.parametrize(("width", "multipliers"), [(16, 2), (18, 2), (20, 4)])
def test_a_lane_takes_the_multipliers_that_its_width_needs(ecp5_netlist, width, multipliers):
    _, cells = ecp5_netlist(Requantizer(small_config(4, 4, multiplier_width=width)))
    assert cells["MULT18X18D"] == multipliers
