"""Synthesised netlists of array and post-processing, checked against the RTL in every cycle."""

import subprocess
import sys

import pytest
from amaranth.hdl import MemoryData, unsigned

from systolith_host.fpga.synthesis import synthesise
from systolith_hw.compute.accumulator import AccumulatorColumn
from systolith_hw.compute.mesh import Mesh
from systolith_hw.generate import Flavour, component_rtlil, component_verilog
from systolith_hw.primitives.ecp5 import Ecp5
from systolith_hw.primitives.memory import RegisteredMemory
from systolith_hw.store.lanes import PostLanes
from systolith_hw.store.requantize import Requantizer
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.equivalence import compare_forms

RANDOM = "$random(seed)"


def netlist_verilog(path):
    """Return the netlist that place and route reads, as Verilog."""
    code = (
        "from pyosys import libyosys; design = libyosys.Design(); "
        f"design.run_pass('read_json {path.name}'); "
        "design.run_pass('write_verilog -noattr netlist.v')"
    )
    subprocess.run([sys.executable, "-c", code], cwd=path.parent, check=True, capture_output=True)
    return (path.parent / "netlist.v").read_text()


def compare(component, folder, drive, cycles, settle):
    """Return how many cycles of the synthesised netlist differ from the plain RTL; and cells."""
    plain = component_verilog(component, "plain", Flavour.PLAIN)
    netlist = synthesise(component_rtlil(component, "other", Ecp5()), "other", folder)
    wrong = compare_forms(
        component,
        plain,
        netlist_verilog(netlist.path),
        folder,
        drive,
        cycles=cycles,
        settle=settle,
    )
    return wrong, netlist.cells


def test_the_netlist_of_the_array_gives_the_same_sums(tmp_path):
    config = small_config(4, 2)
    drive = f"""
      act = {RANDOM};
      weight = {RANDOM};
      swap = n % 16 == 0;
      capture = n % 16 == 3;"""
    wrong, cells = compare(Mesh(config), tmp_path, drive, 1500, 80)
    assert wrong == 0
    assert cells["MULT18X18D"] == 8


def test_the_netlist_of_post_processing_gives_the_same_words(tmp_path):
    config = small_config(4, 4, post_lanes=2)
    drive = f"""
      sum = {{{RANDOM}, {RANDOM}}} >>> ({RANDOM} & 15);
      param = {{{RANDOM}, {RANDOM}, {RANDOM}, {RANDOM}}};
      param[63:56] = ({{{RANDOM}}} % 40) + 1;
      param[127:120] = ({{{RANDOM}}} % 40) + 1;
      flags = {RANDOM};
      \\output = 24'h7f8003;"""
    wrong, cells = compare(PostLanes(config), tmp_path, drive, 1500, 40)
    assert wrong == 0
    assert cells["MULT18X18D"] == 4


def test_the_netlist_of_an_accumulator_column_gives_the_same_sums(tmp_path):
    config = small_config(acc_depth=64)
    # Fills the first bank while the second one drains, then the other way round.
    drive = f"""
      accumulate = {RANDOM};
      accumulate[0] = 1;
      accumulate[4] = (n / 64) & 1;
      accumulate[10:5] = n;
      drain = {{n[5:0], ~accumulate[4]}};
      psum = {RANDOM};"""
    wrong, cells = compare(AccumulatorColumn(config), tmp_path, drive, 1500, 200)
    assert wrong == 0
    assert cells["DP16KD"] == 2


@pytest.mark.parametrize(("depth", "width"), [(16384, 2), (1024, 20)])
def test_the_netlist_of_a_memory_gives_the_same_words(tmp_path, depth, width):
    memory = RegisteredMemory(MemoryData(shape=unsigned(width), depth=depth, init=[]))
    drive = f"""
      w_addr = {RANDOM} & 15;
      r_addr = {RANDOM} & 15;
      w_data = {RANDOM};
      w_en = w_addr != r_addr;"""
    wrong, cells = compare(memory, tmp_path, drive, 1500, 4)
    assert wrong == 0
    assert cells["DP16KD"] == 2


@pytest.mark.parametrize(("width", "multipliers"), [(16, 2), (18, 2), (20, 4)])
def test_a_lane_takes_the_multipliers_that_its_width_needs(tmp_path, width, multipliers):
    lane = Requantizer(small_config(4, 4, multiplier_width=width))
    netlist = synthesise(component_rtlil(lane, "lane", Ecp5()), "lane", tmp_path)
    assert netlist.cells["MULT18X18D"] == multipliers
